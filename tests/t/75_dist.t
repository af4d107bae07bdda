# `make dist` packs what is committed, and the same commit always into the same bytes. There is one version: what
# programs, the tarball and CHANGELOG.md say is the Makefile's.
# needs: nothing

use Cwd ();
use File::Basename qw(basename dirname);
use File::Find ();
use Pg2any::Test;

my $root = Cwd::abs_path(dirname(__FILE__) . '/../..');
my ($version) = Pg2any::Postgres::read_file("$root/Makefile") =~ /^VERSION\s*:=\s*(\S+)$/m;
like($version, qr/\A\d+\.\d+\.\d+\z/, 'the Makefile has a version');

sub run {
    my ($env, @argv) = @_;
    my ($out, $err) = (fresh_name('run.out'), fresh_name('run.log'));
    my $process = Pg2any::Process->start(
        name => $argv[0], argv => \@argv, stdout => $out, stderr => $err,
        env => { MAKEFLAGS => undef, MAKELEVEL => undef, %$env });
    my $status = $process->wait_exit(120);
    diag(Pg2any::Postgres::read_file($err)) if $status;
    return $status ? undef : Pg2any::Postgres::read_file($out);
}

# ---- the version ----

my @programs = glob Pg2any::Pipeline::tool_dir() . '/*';
for my $program (map { basename($_) } @programs) {
    my ($status, $said) = run_tool($program, args => ['--version']);
    is("$status $said", "0 $program $version\n", "$program --version");
}

my $changelog = Pg2any::Postgres::read_file("$root/CHANGELOG.md");
my @sections = $changelog =~ /^## (.*)$/mg;
is(scalar(grep { !/\A(?:Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)\z/ } @sections), 0,
    'each section of CHANGELOG.md is a version with its day, or unreleased') or diag("@sections");
sub number { return sprintf '%05d%05d%05d', split /\./, shift =~ s/ .*//r }
my @released = grep { $_ ne 'Unreleased' } @sections;
is_deeply(\@released, [sort { number($b) cmp number($a) } @released], 'the newest comes first');
if ($sections[0] eq 'Unreleased') {
    cmp_ok(number($version), 'gt', number($released[0]), "$version is what comes after $released[0]");
} else {
    is($version, $sections[0] =~ s/ .*//r, 'the newest section is this version');
}
my @kinds = $changelog =~ /^### (.*)$/mg;
is_deeply([grep { !/\A(?:Added|Changed|Deprecated|Removed|Fixed|Security)\z/ } @kinds], [], 'entries are sorted by kind');

my @files;
File::Find::find({ no_chdir => 1, wanted => sub {
    $File::Find::prune = 1 if -d && m{/(?:build|[.]git)\z};
    push @files, substr $File::Find::name, length($root) + 1 if -f && !m{/[.]git\z};
} }, $root);
my @elsewhere = grep {
    !/\A(?:Makefile|CHANGELOG[.]md)\z/ && Pg2any::Postgres::read_file("$root/$_") =~ /(?<![\d.])\Q$version\E(?![\d.])/
} @files;
is_deeply(\@elsewhere, [], "no other file says $version");

# ---- the tarball ----

SKIP: {
    skip 'this is not a checkout of git', 6 if !-e "$root/.git";
    my $head = run({}, 'git', '-C', $root, 'rev-parse', 'HEAD') =~ s/\n//r;
    my $n = 0;
    # The bytes that make gives in a checkout, with some of the environment and of git's configuration changed.
    my $dist = sub {
        my ($checkout, $umask, %env) = @_;
        my $build = scratch_dir() . '/dist' . $n++;
        my $before = umask $umask;
        my $made = run(\%env, 'make', '-s', '-C', $checkout, 'dist', "BUILD=$build");
        umask $before;
        my $file = "$build/pg2any-$version.tar.gz";
        return defined $made && -e $file ? ($file, Pg2any::Postgres::read_file($file)) : ();
    };
    my ($file, $bytes) = $dist->($root, 022, TZ => 'UTC', LC_ALL => 'C');
    ok($bytes, 'a tarball is made');
    my $home = scratch_dir() . '/home';
    mkdir $home or die "$home: $!";
    open my $config, '>', "$home/.gitconfig" or die "$home: $!";
    print {$config} "[tar]\n\tumask = user\n[core]\n\tautocrlf = true\n\tattributesFile = $home/attributes\n[safe]\n\tdirectory = *\n";
    close $config or die "$home: $!";
    open my $attributes, '>', "$home/attributes" or die "$home: $!";
    print {$attributes} "*.md export-ignore\n";
    close $attributes or die "$home: $!";
    my %elsewhere = (HOME => $home, TZ => 'Asia/Kathmandu', LC_ALL => 'C.UTF-8', GZIP => '-1');
    my (undef, $again) = $dist->($root, 077, %elsewhere);
    ok($again && $again eq $bytes, 'the same bytes with another umask, time zone, locale and configuration');

    my $clone = scratch_dir() . '/clone';
    run({}, 'git', 'clone', '-q', '--no-checkout', $root, $clone);
    run({}, 'git', '-C', $clone, '-c', 'advice.detachedHead=false', 'checkout', '-q', $head);
    my (undef, $cloned) = $dist->($clone, 027, %elsewhere);
    ok($cloned && $cloned eq $bytes, 'and from a fresh clone');

    my @entries = split /\n/, run({}, 'tar', '-tzf', $file);
    is_deeply([sort grep { !m{/\z} } @entries], [sort map { "pg2any-$version/$_" }
            split /\n/, run({}, 'git', '-C', $root, 'ls-tree', '-r', '--name-only', 'HEAD')],
        'it holds each file that is committed, and nothing else');
    my @owners = run({}, 'tar', '-tvzf', $file) =~ /^\S+ (\S+)/mg;
    is_deeply([grep { $_ ne 'root/root' } @owners], [], 'of nobody on this machine');
    is(unpack('x4 V', $bytes), 0, 'without the time when it was packed');
}

done_testing;

# Every link of the documents leads to a file and a heading that are there, in the sources and in what
# `make install` makes of them; a manual page refers to pages that are there.
# needs: nothing

use Cwd ();
use File::Basename qw(basename dirname);
use Pg2any::Test;

my $root = Cwd::abs_path(dirname(__FILE__) . '/../..');

# What tests/links says of a folder: status, text.
sub links {
    my ($dir) = @_;
    my $out = fresh_name('links');
    my $process = Pg2any::Process->start(
        name => 'links', argv => ["$root/tests/links", $dir], stdout => $out, stderr => $out);
    my $status = $process->wait_exit(30);
    return ($status, Pg2any::Postgres::read_file($out));
}

sub write_file {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print {$out} $text or die "$file: $!";
    close $out or die "$file: $!";
    return;
}

# ---- what is found ----

my $planted = scratch_dir() . '/planted';
mkdir $_ or die "$_: $!" for $planted, "$planted/docs";
write_file("$planted/README.md", <<'END');
# A title with `code`, and: more

[good](docs/A.md), [good](docs/A.md#second-1), [good](#a-title-with-code-and-more), [elsewhere](https://host.example/x)
[file](docs/B.md) and [heading](docs/A.md#third), [outside](../outside.md), ![picture](a.svg)

    [shown](as-it-is.md)

`[shown](as-it-is.md)`
END
write_file("$planted/docs/A.md", "# First\n\n## Second\n\n## Second\n\n[back](../README.md#first)\n");
write_file(scratch_dir() . '/outside.md', "# Outside\n");
my ($status, $said) = links($planted);
is($status, 1, 'links that lead nowhere are found');
is_deeply([sort split /\n/, $said], [sort split /\n/, <<'END'], 'these, and no others');
README.md: ../outside.md: outside of what is installed together
README.md: a.svg: no such file
README.md: docs/A.md#third: no such heading
README.md: docs/B.md: no such file
docs/A.md: ../README.md#first: no such heading
END

# ---- the documents ----

($status, $said) = links($root);
is($status, 0, 'every link of the sources leads somewhere') or diag($said);
cmp_ok(($said =~ /\A(\d+) links/)[0] // 0, '>', 50, 'there are links');

my $installed = scratch_dir() . '/installed';
my $make = Pg2any::Process->start(
    name => 'make', argv => ['make', '-s', '-C', $root, 'install-docs', "DESTDIR=$installed", 'PREFIX=/usr'],
    stdout => fresh_name('make.out'), env => { MAKEFLAGS => '', MAKELEVEL => '' });
is($make->wait_exit(60), 0, 'the documents are installed');
my $docs = "$installed/usr/share/doc/pg2any";
($status, $said) = links($docs);
is($status, 0, 'every link of the installed documents leads somewhere') or diag($said);
is_deeply([grep { !-e "$docs/$_" } qw(README.md LICENSE CHANGELOG.md docs/OPERATIONS.md docs/benchmarks.svg)], [],
    'they are there, in their folders');

# ---- manual pages ----

my @pages = glob "$root/man/*.[1-8]";
cmp_ok(scalar @pages, '>', 8, 'there are manual pages');
my @lost;
for my $page (@pages) {
    for my $line (grep { /^\.Xr / } split /\n/, Pg2any::Postgres::read_file($page)) {
        my (undef, $name, $section) = split ' ', $line;
        push @lost, basename($page) . ": $name($section)" if !-e "$installed/usr/share/man/man$section/$name.$section";
    }
}
is_deeply(\@lost, [], 'each page that a manual page refers to is installed');

done_testing;

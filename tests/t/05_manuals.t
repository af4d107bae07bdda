# Every program has a manual page, mandoc finds nothing wrong with it, and it has the options and the
# variables that --help prints: all of them, and no others.
# needs: nothing

use Cwd ();
use File::Basename ();
use Pg2any::Test;

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my @programs = map { File::Basename::basename($_) } glob Pg2any::Pipeline::tool_dir() . '/*';
cmp_ok(scalar @programs, '>=', 8, 'there are programs');

sub page {
    my ($name) = @_;
    return Pg2any::Postgres::read_file("$root/man/$name");
}

my %all;
for my $program (@programs) {
    my @commands = $program eq 'pg2any' ? ([], map { [$_] } qw(run check status init copy pause resume compare resync drop stage)) : ([]);
    my (%options, %variables);
    for my $command (@commands) {
        my ($status, $help) = run_tool($program, args => [@$command, '--help']);
        is($status, 0, "$program @$command --help");
        $options{$_} = 1 for $help =~ /^  --([a-z-]+)/mg;
        $all{$_} = 1 for $help =~ /\(((?:CDC|METRICS)_[A-Z_]+)\)/g;
        $variables{$_} = 1 for $help =~ /\(((?:CDC|METRICS)_[A-Z_]+)\)/g;
    }
    delete $options{$_} for qw(help version);
    my $page = page("$program.1");
    my %documented = map { $_ => 1 } grep { !/\A(?:help|version)\z/ } $page =~ /\bFl -([a-z-]+)/g;
    # What an example does with another program is not an option of this one.
    is_deeply([grep { !$documented{$_} } sort keys %options], [], "$program.1 has every option");
    my @items = $page =~ /^\.It Fl -([a-z-]+)/mg;
    is_deeply([grep { !$options{$_} && !/\A(?:help|version)\z/ } @items], [], "$program.1 has no other options")
        if $program ne 'pg2any';
    is_deeply([grep { $page !~ /\b$_\b/ } sort keys %variables], [], "$program.1 has every variable");
}

# What the front command takes for known is what programs read.
my $plan = Pg2any::Postgres::read_file("$root/pg2any/plan.c");
my %known = map { $_ => 1 } $plan =~ /"((?:CDC|METRICS)_[A-Z_]+[A-Z])"/g;
is_deeply([grep { !$known{$_} } sort keys %all], [], 'pg2any knows every variable that a program reads');
is_deeply([grep { !$all{$_} && !/\ACDC_(?:DEST_TYPE|STATE_DIR|USER)\z/ } sort keys %known], [], 'and no others');

for my $file (glob "$root/man/*.[1-8]") {
    my $out = fresh_name('lint');
    my $lint = Pg2any::Process->start(name => 'mandoc', argv => ['mandoc', '-Tlint', $file], stdout => $out, stderr => $out);
    $lint->wait_exit(30);
    # Whether other pages are installed is no fault of this one.
    my @said = grep { !/referenced manual not found/ } split /\n/, Pg2any::Postgres::read_file($out);
    is_deeply(\@said, [], File::Basename::basename($file) . ': mandoc -Tlint has nothing to say');
}
like(page('pg2any-frames.5'), qr/^\.Sh NAME/m, 'the frame format has a page');

done_testing;

# What stands in svc/ is what its readers take: promtool the alert rules and their tests, jq the
# dashboard, systemd-analyze the unit, the shell the scripts. And the names of metrics in it are those that
# the programs write.
# needs: nothing

use Cwd ();
use File::Basename ();
use File::Find ();
use Pg2any::Test;

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my ($promtool) = grep { -x } map { "$_/promtool" } split(/:/, $ENV{PATH}), "$root/build/promtool";

sub output_of {
    my (@command) = @_;
    my $out = fresh_name('out');
    my $process = Pg2any::Process->start(name => $command[0], argv => \@command, stdout => $out, stderr => $out, dir => "$root/svc/monitoring");
    return ($process->wait_exit(60), Pg2any::Postgres::read_file($out));
}

ok($promtool, 'promtool is there: make deps fetches it');
SKIP: {
    skip 'no promtool', 3 if !$promtool;
    for my $words (['check', 'config', 'prometheus.yml'], ['check', 'rules', 'alerts.yml'], ['test', 'rules', 'alerts_test.yml']) {
        my ($status, $text) = output_of($promtool, @$words);
        is($status, 0, "promtool @$words") or diag($text);
    }
}

my ($status, $text) = output_of('jq', '-r', '.. | .expr? // empty', 'grafana-dashboard.json');
is($status, 0, 'the dashboard is JSON');
my %used = map { $_ => 1 } map { /\b(pg2any_\w+)/g } $text, map { Pg2any::Postgres::read_file("$root/svc/monitoring/$_") } 'alerts.yml';
my %written;
for my $file (glob "$root/{*,common/*}/*.c") {
    my $source = Pg2any::Postgres::read_file($file);
    $written{$_} = 1 for $source =~ /"(pg2any_\w+)"/g;
    $written{"pg2any_capture_$_"} = 1 for $source =~ /GAUGE\((\w+),/g;
    $written{"pg2any_capture_${_}_total"} = 1 for $source =~ /COUNTER\((\w+),/g;
}
my @unknown = grep { !$written{ s/_(?:bucket|sum|count)\z//r } && !$written{$_} } sort keys %used;
is_deeply(\@unknown, [], 'every metric that rules and dashboard ask for is one that a program writes');
cmp_ok(scalar keys %used, '>', 15, 'and there are many');

SKIP: {
    chomp(my $analyze = `command -v systemd-analyze 2>/dev/null` // '');
    skip 'no systemd here', 1 if $analyze eq '';
    my $unit = fresh_name('unit');
    mkdir $unit or die "$unit: $!\n";
    my $content = Pg2any::Postgres::read_file("$root/svc/systemd/pg2any\@.service");
    my $program = Pg2any::Pipeline::tool('pg2any');
    $content =~ s{/usr/local/bin/pg2any}{$program};
    open my $fh, '>', "$unit/pg2any\@x.service" or die "$unit: $!\n";
    print {$fh} $content;
    close $fh or die "$unit: $!\n";
    ($status, $text) = output_of($analyze, 'verify', '--man=no', "$unit/pg2any\@x.service");
    my @about = grep { /pg2any/ } split /\n/, $text;
    is_deeply(\@about, [], 'systemd-analyze verify has nothing to say') or diag($text);
}

for my $script (map { glob "$root/svc/$_" } qw(start s6/stage/run s6/stage/finish s6/stage/log/run runit/run runit/finish runit/log/run)) {
    ok(-x $script, File::Basename::basename($script) . ' can be executed');
    is((output_of('sh', '-n', $script))[0], 0, "$script is what a shell reads");
}

# pg2any init that cannot write leaves nothing that the next one trips over.
sub init {
    my ($directory, $before) = @_;
    my $process = Pg2any::Process->start(
        name => 'pg2any init',
        argv => ['sh', '-c', "$before exec \"\$0\" init \"\$1\" >/dev/null 2>&1", Pg2any::Pipeline::tool('pg2any'), $directory],
        stderr => fresh_name('init.log'),
        env => { CDC_USER => 'nobody', CDC_SOURCE_CONNECTION_STRING => 'postgresql://x@h/x', CDC_DEST_URI => '/x.db', METRICS_PORT => 1 });
    return $process->wait_exit(30);
}

sub tree {
    my ($directory) = @_;
    my %tree;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my $mode = sprintf '%o', (lstat)[2];
        (my $text = -f _ ? Pg2any::Postgres::read_file($_) : '') =~ s/\Q$directory\E/DIR/g;
        $tree{ s/\A\Q$directory\E//r } = "$mode $text";
    } }, $directory);
    return \%tree;
}

my $whole = fresh_name('whole');
is(init($whole, ''), 0, 'pg2any init');
ok(-s "$whole/service/capture/run" && -s "$whole/env/CDC_DEST_URI", 'it has made what belongs there');
for my $case (
    ['no room for a file', q{trap '' XFSZ; ulimit -f 0;}, 111],
    ['no room for a larger file', q{trap '' XFSZ; ulimit -f 1;}, 111],
) {
    my ($name, $before, $expected) = @$case;
    my $directory = fresh_name('half');
    mkdir $directory or die "$directory: $!\n";
    is(init($directory, $before), $expected, "$name: $expected");
    is_deeply([glob "$directory/*"], [], "$name: nothing is there");
    is(init($directory, ''), 0, "$name: once more, with room");
    is_deeply(tree($directory), tree($whole), "$name: and all is there");
    is(init($directory, ''), 100, "$name: a third time it is set up already");
}

# METRICS=0 asks for nothing of metrics-http.
{
    my $out = fresh_name('make.out');
    my $make = Pg2any::Process->start(name => 'make', argv => ['make', '-n', 'METRICS=0', 'BUILD=' . fresh_name('build'), 'all'],
        stdout => $out, stderr => $out, dir => $root, env => { MAKEFLAGS => undef, MFLAGS => undef, MAKELEVEL => undef });
    is($make->wait_exit(60), 0, 'make METRICS=0 would build');
    my $commands = Pg2any::Postgres::read_file($out);
    like($commands, qr{bin/pg2any\b}, 'the tools');
    unlike($commands, qr/microhttpd|metrics-http/, 'but not metrics-http, nor with its library');
}

done_testing;

# What stands in svc/ is what its readers take: promtool the alert rules and their tests, jq the
# dashboard, systemd-analyze the unit, the shell the scripts. And the names of metrics in it are those that
# the programs write.
# needs: nothing

use Cwd ();
use File::Basename ();
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

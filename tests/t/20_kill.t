# kill -9 of a random stage, again and again, under a mixed load: inserts, updates n = n + 1, deletes,
# changes of keys, big transactions that are streamed and partly rolled back, prepared ones. The test plays the
# supervisor. In the end the target equals the source, so nothing was lost and nothing applied twice.
#
# PG2ANY_KILLS: how many times (12). PG2ANY_SEED: chooses the stages, the moments and the load.
# needs: postgres

use Pg2any::Load;
use Pg2any::Test;

my $kills = $ENV{PG2ANY_KILLS} // 12;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
srand $seed;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(Pg2any::Load::schema(), 'create publication cdc_pub for all tables');
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => {
    capture => $pg->major >= 15 ? ['--two-phase'] : [], assemble => ['--memory-limit', '256kB'] });
$pipeline->start;
$pipeline->wait_streaming;
my @writers = Pg2any::Load::start($pg, writers => 3, seed => $seed, pause => 0.02, prepare => 1);
$pipeline->wait_caught_up;

my @stages = qw(capture assemble apply);
my %killed;
for my $n (1 .. $kills) {
    Pg2any::Load::check(@writers);
    my $stage = $stages[rand @stages];
    # Every third is killed while the pipeline is still starting, the others at work.
    if ($n % 3) {
        my $at = sub { return ($target->checkpoint // {})->{remote_lsn} // '' };
        my $before = $at->();
        $pipeline->wait_while_running(sub { my $now = $at->(); $now ne '' && $now ne $before }, 180,
            'progress at the target');
    }
    let_pass(rand 0.4);
    ok($pipeline->signal($stage, 'KILL'), "kill -9 number $n: $stage");
    $killed{$stage}++;
    my $statuses = $pipeline->wait_all(30);
    is($statuses->{$stage}, 'SIGKILL', 'it is dead');
    is_deeply([grep { $_ ne $stage && $statuses->{$_} ne '111' } @stages], [],
        'and the others have left with 111, to be started again');
    $pipeline->start;
}
note(join ', ', map { "$_: $killed{$_}" } sort keys %killed);

$pipeline->wait_while_running(sub {
    return ($pipeline->metric(assemble => 'pg2any_assemble_dropped_subtransactions_total') // 0) > 0;
}, 180, 'a stream with a savepoint rolled back');
Pg2any::Load::stop(@writers);
$pipeline->wait_caught_up;
same_content($pg, $target, [@Pg2any::Load::TABLES], "after $kills kills the target equals the source");
ok($pipeline->running, 'and the pipeline runs');
cmp_ok(lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}), '<=',
    lsn_number($target->checkpoint->{remote_lsn}), 'the slot is not ahead of the target');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');
opendir my $spill, $pipeline->spill_dir or die "spill: $!\n";
is_deeply([grep { !/\A\.\.?\z/ } readdir $spill], [], 'no spill file is left');

done_testing;

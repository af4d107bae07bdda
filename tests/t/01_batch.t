# A batch run: `--until-lsn current` ends with 0 when all up to there is applied and confirmed.
# needs: postgres, any target

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, n int)', 'create publication cdc_pub for all tables');
my $target = new_target();
my $batch = Pg2any::Pipeline->new(pg => $pg, target => $target,
    args => { capture => ['--until-lsn', 'current'] });
my $all_0 = { capture => 0, assemble => 0, apply => 0 };

$batch->start;
is_deeply($batch->wait_all, $all_0, 'a first run, with nothing to do, makes the slot and leaves');
is($pg->slot('cdc_slot')->{plugin}, 'pgoutput', 'the slot is there');

for my $round (1 .. 3) {
    $pg->do("insert into t select g, 0 from generate_series($round * 1000, $round * 1000 + 500) g",
        'update t set n = n + 1');
    my $lsn = $pg->current_lsn;
    $batch->start;
    is_deeply($batch->wait_all, $all_0, "round $round: all leave with 0");
    same_content($pg, $target, ['t'], "round $round: all is applied");
    cmp_ok(lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}), '>=', lsn_number($lsn),
        "round $round: and confirmed");
}

$batch->start;
is_deeply($batch->wait_all, $all_0, 'a run with nothing to do leaves');
same_content($pg, $target, ['t'], 'and changes nothing');

# The server takes its time to end the stream. Status updates that fall due meanwhile would come after its end.
$pg->do('update t set n = n + 1');
my $lsn = $pg->current_lsn;
my $logged = length $batch->log_text('capture');
my $log = sub { return substr $batch->log_text('capture'), $logged };
$batch->start;
$batch->signal(apply => 'STOP');
wait_for(sub { $log->() =~ /everything up to --until-lsn is read/ }, 60, 'the end');
my $walsender = $pg->value('select pid from pg_stat_replication');
kill STOP => $walsender or die "the walsender: $!\n";
$batch->signal(apply => 'CONT');
$batch->wait_applied($lsn);
let_pass(1);
kill CONT => $walsender or die "the walsender: $!\n";
$batch->wait_all;
unlike($log->(), qr/no COPY in progress/, 'a server that is slow to end the stream');
same_content($pg, $target, ['t'], 'which has come');

done_testing;

# Bugs that were there once, about transactions, connections and slots: what each was, and the
# smallest case that showed it. 91_rows_regressions.t has those about rows.
# needs: postgres

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(
    settings => { logical_decoding_work_mem => '64kB' },
    sql => ['create table t (id int primary key, pad text)'],
    args => { capture => [] },
);
my $two_phase = $pg->major >= 15;
my $prepared_target = new_target(origin => 'prepared');
my $prepared = Pg2any::Pipeline->new(pg => $pg, target => $prepared_target, slot => 'prepared',
    args => { capture => $two_phase ? ['--two-phase'] : [] });
$prepared->start;
$prepared->wait_streaming;

# What came of a transaction in progress was looked up in the catalog while it was in progress, when
# the catalog shows nothing of its DDL: the applier then stopped at a column that nobody could
# describe. It depended on who was quicker; here the transaction stays open until it is held.
{
    my $dbh = $pg->connect;
    $dbh->do($_) for 'begin', q{alter table t add column more text default 'm'},
        q{insert into t select g, repeat('x', 100), 'n' from generate_series(1, 2000) g};
    for ($pipeline, $prepared) {
        my $held = $_;
        wait_for(sub { ($held->metric(assemble => 'pg2any_queue_depth') // 0) > 0 },
            30, 'the stream to begin');
    }
    $dbh->do('commit');
    $dbh->disconnect;
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'DDL in a streamed transaction, looked up before its commit');
    $prepared->wait_caught_up;
}

# The same with PREPARE TRANSACTION, where it never went well: the changes come at PREPARE, and the
# catalog shows the table as it was until COMMIT PREPARED.
{
    my $dbh = $pg->connect;
    $dbh->do($_) for 'begin', 'alter table t add column extra int',
        q{insert into t values (3000, 'x', 'n', 1)}, 'create table made (id int primary key)',
        'insert into made values (1)', q{prepare transaction 'ddl'};
    $dbh->disconnect;
    wait_for(sub { ($prepared->metric(assemble => 'pg2any_assemble_open_prepared_transactions') // 0) > 0 },
        30, 'the prepared transaction') if $two_phase;
    $pg->do(q{commit prepared 'ddl'}, q{insert into t values (3001, 'x', 'n', 2)});
    $prepared->wait_caught_up;
    same_content($pg, $prepared_target, [qw(t made)], 'DDL in a prepared transaction');
    $pipeline->wait_caught_up;
}

# Of two prepared transactions the slot is held at the one that is not decided. The other one, prepared
# before it, committed and applied, came again after a restart as a COMMIT PREPARED without its
# PREPARE, with its changes streamed in vain when it was big; that was taken for lost changes.
for my $rows (1, 2000) {
    my $base = 10_000 * $rows;
    my $prepare = sub {
        my ($gid, $from, $count) = @_;
        my $dbh = $pg->connect;
        $dbh->do($_) for 'begin', "insert into t select g, repeat('y', 100)"
            . " from generate_series($from, $from + $count - 1) g", "prepare transaction '$gid'";
        $dbh->disconnect;
        return;
    };
    $prepare->('decided', $base, $rows);
    $prepare->('undone', $base + 3000, $rows);
    $prepare->('undecided', $base + 6000, 1);
    $pg->do(q{commit prepared 'decided'}, q{rollback prepared 'undone'});
    $prepared->wait_caught_up;
    # Until the slot has been told, 0.2 s later at most.
    let_pass(0.5);
    $prepared->signal(capture => 'KILL');
    $prepared->wait_all;
    $prepared->start;
    $prepared->wait_streaming;
    $pg->do("insert into t select g, 'after' from generate_series($base + 7000, $base + 7010) g");
    $prepared->wait_caught_up;
    same_content($pg, $prepared_target, ['t'],
        "two prepared transactions of $rows rows, one decided, and a restart");
    $pg->do(q{commit prepared 'undecided'});
    $prepared->wait_caught_up;
    same_content($pg, $prepared_target, ['t'], 'and the other decided then');
}

# Each lost connection doubled the wait before the next, however well things went in between: after a
# few restarts of the server within a minute, nothing was read for ten seconds.
for my $n (1 .. 8) {
    my $pid = $pg->slot('cdc_slot')->{active_pid};
    $pg->do("select pg_terminate_backend($pid)");
    wait_for(sub { my $now = $pg->slot('cdc_slot')->{active_pid}; $now && $now != $pid }, 30,
        'capture to connect again');
    $pg->do("insert into t values (4000 + $n, 'after a loss')");
    $pipeline->wait_caught_up;
    my $lsn = lsn_number($target->checkpoint->{remote_lsn});
    wait_for(sub { lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) >= $lsn }, 30,
        'the confirmation');
}
unlike($pipeline->log_text('capture'), qr/wait_ms=[2-9]\d\d\d?\b/,
    'a connection that got somewhere is opened again without a longer wait each time');
same_content($pg, $target, ['t'], 'and nothing is lost');

# PostgreSQL 18 leaves out the changes of a publication that was dropped, with a warning, where
# the earlier ones fail; capture logged it and went on as if nothing had been written.
{
    $pg->do('create publication brief_pub for all tables');
    my $brief = Pg2any::Pipeline->new(pg => $pg, target => new_target(origin => 'brief'),
        slot => 'brief', publication => 'brief_pub');
    $brief->start;
    $brief->wait_streaming;
    $pg->do('drop publication brief_pub', q{insert into t values (5000, 'not published')},
        'create publication brief_pub for all tables', q{insert into t values (5001, 'published')});
    is($brief->wait_all(40)->{capture}, 100, 'a publication dropped and made anew: exit 100, nothing left out');
}

is_deeply([map { values %{ $_->stop } } $pipeline, $prepared], [(0) x 6], 'all leave with 0');

done_testing;

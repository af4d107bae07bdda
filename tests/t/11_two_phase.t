# PREPARE TRANSACTION. With --two-phase the changes come at PREPARE, perhaps long before COMMIT
# PREPARED, and are sent only once when the PREPARE was confirmed; without, they come at COMMIT
# PREPARED. Nothing of a transaction may be at the target before it is committed, nor be lost.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(
    'create table t (id int primary key, n int, pad text)',
    'create table other (id int primary key, n int)',
    'create publication cdc_pub for all tables',
);
my $major = $pg->major;

sub rows {
    my ($from, $count) = @_;
    return "insert into t select g, 0, repeat(md5(g::text), 3)"
        . " from generate_series($from, $from + $count - 1) g";
}

sub prepare {
    my ($gid, @statements) = @_;
    my $dbh = $pg->connect;
    $dbh->do($_) for 'begin', @statements, "prepare transaction '$gid'";
    $dbh->disconnect;
    return;
}

if ($major < 15) {
    my ($status, undef, $log) = run_tool('pg-capture', args => ['--source', $pg->uri, '--two-phase']);
    is($status, 100, "--two-phase is not for PostgreSQL $major");
    like($log, qr/--two-phase needs PostgreSQL 15/, 'and it says so');
}

my @WAYS = (
    ['without --two-phase', []],
    ['without --two-phase and streaming', ['--streaming', 'off']],
    $major < 15 ? () : (
        ['--two-phase', ['--two-phase', '--streaming', 'off']],
        ['--two-phase, streaming', ['--two-phase']],
    ),
    $major < 16 ? () : ['--two-phase, parallel', ['--two-phase', '--streaming', 'parallel']],
);
my @ways;
for my $way (@WAYS) {
    my ($name, $capture) = @$way;
    my $slot = 'way_' . @ways;
    my $copy = fresh_name("$slot.frames");
    my $target = new_target(origin => $slot);
    push @ways, { name => $name, slot => $slot, target => $target, copy => $copy,
        two_phase => scalar($name =~ /\A--two/), streams => !grep({ $_ eq 'off' } @$capture),
        pipeline => Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot,
            args => { capture => $capture, assemble => ['--memory-limit', '64kB'] },
            tee => { capture => $copy }) };
}

for my $way (@ways) {
    $way->{pipeline}->start;
    $way->{pipeline}->wait_streaming;
}

my $mark = 0;

sub all_same {
    my ($what, @tables) = @_;
    $pg->do("insert into other values (1000000 + ${\ ++$mark}, 0)");
    my $lsn = $pg->current_lsn;
    for my $way (@ways) {
        $way->{pipeline}->wait_applied($lsn);
        same_content($pg, $way->{target}, [@tables, 'other'], "$what ($way->{name})");
    }
    return;
}

prepare('small', 'insert into t values (1, 1, null), (2, 1, null)', 'update t set n = n + 1');
$pg->do('insert into other values (1, 1)');
all_same('prepared, not committed: not at the target', 't');
$pg->do(q{commit prepared 'small'});
all_same('commit prepared', 't');

prepare('undone', 'insert into t values (3, 1, null)', 'delete from t where id = 1');
$pg->do(q{insert into other values (2, 1)}, q{rollback prepared 'undone'});
all_same('rollback prepared', 't');

prepare('big', rows(1001, 1500), 'savepoint s', rows(3001, 1500), 'update t set n = n + 1',
    'rollback to s', 'update t set n = n + 1 where id > 1000', 'savepoint u', rows(5001, 300),
    'release u');
all_same('a big transaction, prepared, with a savepoint rolled back: not at the target', 't');
$pg->do(q{commit prepared 'big'});
all_same('stream prepare, commit prepared', 't');

prepare('big undone', rows(10_001, 1500), 'update t set n = n + 1');
$pg->do(q{rollback prepared 'big undone'});
all_same('stream prepare, rollback prepared', 't');

# Several at once, decided in another order.
prepare($_, rows(20_000 + 2000 * $_, 600), "insert into other values (100 + $_, 0)") for 1 .. 4;
$pg->do('update other set n = n + 1');
$pg->do(q{commit prepared '3'}, 'update t set n = n + 1 where id > 20000', q{rollback prepared '1'},
    q{commit prepared '4'}, 'update t set n = n + 1 where id > 20000', q{commit prepared '2'});
all_same('several prepared transactions, decided in another order', 't');

# One gid, used again; a gid with everything in it.
for my $n (1 .. 3) {
    my $gid = q{a 'gid', "quoted" and é};
    (my $quoted = $gid) =~ s/'/''/g;
    prepare($quoted, "insert into t values (-10 - $n, 0, null)");
    $pg->do("commit prepared '$quoted'");
}
all_same('a gid used again', 't');

# DDL inside: the catalog shows what became of the tables only after COMMIT PREPARED.
for my $how (['small'], ['big', rows(51_001, 1500)]) {
    my ($name, @more) = @$how;
    prepare("ddl $name", "alter table t add column extra_$name text default 'filled'", @more,
        "insert into t (id, n, extra_$name) values (50001 + @{[scalar @more]}, 1, 'extra')",
        "create table made_$name (k text primary key, n int)", "insert into made_$name values ('a', 1)");
    all_same("DDL in a prepared transaction, $name: nothing yet");
    $pg->do("commit prepared 'ddl $name'",
        "insert into t (id, n, extra_$name) values (50011 + @{[scalar @more]}, 1, 'after')",
        "update made_$name set k = 'b', n = n + 1");
    all_same("DDL in a prepared transaction, $name", 't', "made_$name");
}
# Decided only when the assembler holds it: what is looked up at PREPARE is surely the table as it was.
my @held = grep { $_->{two_phase} } @ways;
my $holds = sub { my ($way) = @_; return $way->{pipeline}->metric(assemble => 'pg2any_assemble_open_prepared_transactions') };
for my $way (@held) {
    wait_for(sub { ($holds->($way) // 1) == 0 }, 60, 'the statistics to know of none');
}
prepare('ddl', 'alter table t add column extra int', q{insert into t (id, pad, extra) values (3000, 'x', 1)},
    'create table made (id int primary key)', 'insert into made values (1)');
for my $way (@held) {
    wait_for(sub { ($holds->($way) // 0) > 0 }, 60, 'the prepared transaction');
}
$pg->do(q{commit prepared 'ddl'}, q{insert into t (id, pad, extra) values (3001, 'x', 2)});
all_same('DDL in a prepared transaction that is held', 't', 'made');
prepare('ddl undone', 'alter table t add column never int default 1', 'update t set n = 7');
all_same('DDL in a prepared transaction that is rolled back: nothing yet');
$pg->do(q{rollback prepared 'ddl undone'}, 'update t set n = n + 1 where id < 1000');
all_same('DDL in a prepared transaction that is rolled back', 't');

# ---- what the wire had ----

for my $way (@ways) {
    my $name = $way->{name};
    is_deeply([grep { $_ ne '0' } values %{ $way->{pipeline}->stop }], [], "$name: all leave with 0");
    my $count = count_frames($way->{copy});
    if ($way->{two_phase}) {
        cmp_ok($count->{prepare}, '>', 5, "$name: there were prepared transactions");
        cmp_ok($count->{commit_prepared}, '>', 5, "$name: and commits of them");
        cmp_ok($count->{rollback_prepared}, '>', 2, "$name: and rollbacks of them");
    } else {
        is($count->{prepare}, undef, "$name: nothing came at PREPARE");
        is($count->{commit_prepared}, undef, "$name: all at COMMIT PREPARED, as an ordinary commit");
    }
    cmp_ok($count->{stream_prepare} // 0, $way->{two_phase} && $way->{streams} ? '>' : '==', 0,
        "$name: stream prepare, where that is to be");
    $way->{pipeline}->start;
}

# ---- trap 36 ----

for my $round (1 .. 3) {
    my $base = 60_000 + 10_000 * $round;
    my $before = lsn_number($pg->current_lsn);
    prepare("held $round", "insert into t values ($base, 1, 'p', 'small')",
        'update other set n = n + 1 where id = 1');
    my $after_first = lsn_number($pg->current_lsn);
    prepare("held big $round", rows($base + 1, 1500));
    prepare("dropped $round", "insert into t values ($base + 9000, 1, 'p', 'never')");
    all_same("trap 36: held transactions are not at the target, round $round", 't');
    for my $way (@ways) {
        # Whatever else is durable at the target, the slot waits for the prepared transactions.
        my $pipeline = $way->{pipeline};
        if ($way->{two_phase}) {
            let_pass(1) if $round == 1;
            cmp_ok(lsn_number($pg->slot($way->{slot})->{confirmed_flush_lsn}), '<=', $after_first,
                "trap 36: the slot is held at the first PREPARE, round $round ($way->{name})");
        }
        if ($round == 1) {
            $pipeline->stop;
        } elsif ($round == 2) {
            $pipeline->signal(capture => 'KILL');
            $pipeline->wait_all;
        } else {
            $pg->do("select pg_terminate_backend(active_pid) from pg_replication_slots"
                . " where slot_name = '$way->{slot}'");
            next;
        }
        $pg->do("insert into other values (10000 * $round + " . substr($way->{slot}, 4) . ', 0)');
        $pipeline->start;
        $pipeline->wait_streaming;
    }
    $pg->do("commit prepared 'held $round'", "rollback prepared 'dropped $round'",
        "commit prepared 'held big $round'", 'update t set n = n + 1 where id > 60000');
    my $how = (undef, 'stopped and started', 'killed and started', 'connected again')[$round];
    all_same("trap 36: $how between PREPARE and COMMIT PREPARED: nothing lost", 't');
}

# Decided while the pipeline was away.
prepare('away', q{insert into t values (200001, 1, 'p', 'away')});
prepare('away undone', q{insert into t values (200002, 1, 'p', 'away')});
all_same('prepared, then away', 't');
$_->{pipeline}->stop for @ways;
$pg->do(q{commit prepared 'away'}, q{rollback prepared 'away undone'});
prepare('both away', q{insert into t values (200003, 1, 'p', 'away')});
$pg->do(q{commit prepared 'both away'});
$_->{pipeline}->start for @ways;
all_same('trap 36: decided while the pipeline was away', 't');

# Of two prepared transactions the slot is held at the one that is not decided. The other one, prepared
# before it, committed and applied, comes again after a restart as a COMMIT PREPARED without its
# PREPARE, with its changes streamed in vain when it is big; that looks like lost changes and is not.
for my $count (1, 2000) {
    my ($way) = ((grep { $_->{two_phase} && $_->{streams} } @ways), @ways);
    my ($pipeline, $base) = ($way->{pipeline}, 10_000 * $count);
    prepare('decided', rows($base, $count));
    prepare('undone', rows($base + 3000, $count));
    prepare('undecided', rows($base + 6000, 1));
    $pg->do(q{commit prepared 'decided'}, q{rollback prepared 'undone'});
    $pipeline->wait_caught_up;
    # Until the slot has been told, 0.2 s later at most.
    let_pass(0.5);
    $pipeline->signal(capture => 'KILL');
    $pipeline->wait_all;
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do("insert into t (id, pad) select g, 'after' from generate_series($base + 7000, $base + 7010) g");
    $pipeline->wait_caught_up;
    same_content($pg, $way->{target}, ['t'],
        "two prepared transactions of $count rows, one decided, and a restart");
    $pg->do(q{commit prepared 'undecided'});
    $pipeline->wait_caught_up;
    same_content($pg, $way->{target}, ['t'], 'and the other decided then');
}

# One in which nothing is decoded is sent without its PREPARE too, and is no loss. Prepared and decided
# while the stream runs, across a restart, while the pipeline is away.
sub no_loss {
    my ($when) = @_;
    $pg->do("insert into t values ($_[1], 1, 'p', 'after')");
    return all_same("a prepared transaction without a change, $when", 't');
}
my @nothing = ('select pg_current_xact_id()');
prepare('nothing', @nothing);
$pg->do(q{commit prepared 'nothing'});
no_loss('decided at once', 200_004);
prepare('nothing', @nothing);
no_loss('prepared', 200_005);
$_->{pipeline}->stop for @ways;
prepare('nothing away', @nothing);
prepare('something away', q{insert into t values (200006, 1, 'p', 'away')});
$pg->do(map { "commit prepared '$_ away'" } qw(nothing something));
$_->{pipeline}->start for @ways;
$_->{pipeline}->wait_streaming for @ways;
no_loss('decided away', 200_007);
$pg->do(q{commit prepared 'nothing'});
no_loss('decided after a restart', 200_008);

# All is decided: the slot catches up.
for my $way (@ways) {
    wait_for(sub {
        lsn_number($pg->slot($way->{slot})->{confirmed_flush_lsn})
            >= lsn_number($way->{target}->checkpoint->{remote_lsn});
    }, 30, "the slot of $way->{name} to catch up");
}

for my $way (@ways) {
    my $name = $way->{name};
    is_deeply([grep { $_ ne '0' } values %{ $way->{pipeline}->stop }], [], "$name: all leave with 0");
}

# A server that crashed has forgotten how far its slot was confirmed, and sends what all targets have again; a COMMIT
# PREPARED without its PREPARE, where the slot was confirmed in between once. We confirm again at once,
# so that a look at the transaction comes too late. It is not empty for that.
if ($major >= 15) {
    my $copy = fresh_name('again.frames');
    my $target = new_target(origin => 'again');
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => 'again',
        args => { capture => ['--two-phase'] }, tee => { capture => $copy });
    $pg->do('delete from t');
    $pipeline->start;
    $pipeline->wait_streaming;
    prepare('whole', rows(300_000, 5));
    # The server writes a slot down when it is confirmed beyond one of these.
    $pg->do('checkpoint');
    prepare('open', rows(300_100, 1));
    $pg->do(q{commit prepared 'whole'});
    $pipeline->wait_caught_up;
    let_pass(0.5);
    $pg->do(q{commit prepared 'open'});
    $pipeline->wait_caught_up;
    wait_for(sub {
        lsn_number($pg->slot('again')->{confirmed_flush_lsn}) >= lsn_number($target->checkpoint->{remote_lsn});
    }, 30, 'the slot to catch up');
    $pg->restart('immediate');
    $pg->do(rows(300_200, 1));
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'after a crash of the server');
    is_deeply([grep { $_ ne '0' } values %{ $pipeline->stop }], [], 'all leave with 0');
    my @again = grep { $_->{gid} eq 'whole' } frames($copy, 'commit_prepared');
    # Now and then the server has written the slot down once more, and then it does not come again.
    my ($from) = ($pipeline->log_text('capture') =~ /msg=streaming .* from=(\S+)/g)[-1];
    my $comes = lsn_number($from) < lsn_number($again[0]{end_lsn});
    diag('the slot was written down beyond it') if !$comes;
    is(scalar @again, $comes ? 2 : 1, 'what came again is told as it came');
}

done_testing;

# Transactions that the server sends before they commit: in blocks, mixed with others', with parts
# of them rolled back. Several pipelines read the same load, each with another protocol version
# and way of streaming; every target must hold what the source holds.
# needs: postgres, time

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(
    'create table a (id int primary key, n int not null, pad text)',
    'create table b (id int primary key, n int not null, pad text)',
    'create table small (id int primary key, n int)',
    'create table bag (n int, pad text)',
    'alter table bag replica identity full',
    'create publication cdc_pub for all tables',
);
my $major = $pg->major;

# [name, capture's options, assemble's options, least version of the server]
my @WAYS = (
    ['version 1', ['--protocol-version', 1, '--streaming', 'off'], [], 14],
    ['version 2, spilling', ['--protocol-version', 2], ['--memory-limit', '64kB'], 14],
    ['version 3, streaming off', ['--protocol-version', 3, '--streaming', 'off'], [], 15],
    ['version 3', ['--protocol-version', 3, '--streaming', 'on'], [], 15],
    ['version 4, parallel, spilling', ['--protocol-version', 4, '--streaming', 'parallel'],
        ['--memory-limit', '64kB'], 16],
    ['the defaults', [], [], 14],
);

my @ways;
for my $way (@WAYS) {
    my ($name, $capture, $assemble, $least) = @$way;
    if ($major < $least) {
        my ($status, undef, $log) = run_tool('pg-capture', args => ['--source', $pg->uri, @$capture]);
        is($status, 100, "$name: not with PostgreSQL $major");
        like($log, qr/PostgreSQL/, "$name: and says so");
        next;
    }
    my $slot = 'way_' . @ways;
    my $target = new_target(origin => $slot);
    my $copy = fresh_name("$slot.frames");
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot,
        args => { capture => $capture, assemble => $assemble }, tee => { capture => $copy });
    push @ways, { name => $name, pipeline => $pipeline, target => $target, copy => $copy,
        streams => !scalar($name =~ /version 1|off/), spills => scalar($name =~ /spilling/),
        parallel => scalar($name =~ /parallel/) };
}
$_->{pipeline}->start for @ways;
$_->{pipeline}->wait_streaming for @ways;

my $mark = 0;

# All the targets hold the same as the source, once they have all that is committed now.
sub all_same {
    my ($what, @tables) = @_;
    $mark++;
    $pg->do("insert into small values (1000000 + $mark, $mark)");
    my $lsn = $pg->current_lsn;
    for my $way (@ways) {
        $way->{pipeline}->wait_applied($lsn);
        same_content($pg, $way->{target}, [@tables, 'small'], "$what ($way->{name})");
    }
    return;
}

# As many rows as need several blocks of a stream.
sub rows {
    my ($table, $from, $count) = @_;
    return "insert into $table select g, 0, repeat(md5(g::text), 3)"
        . " from generate_series($from, $from + $count - 1) g";
}

sub session {
    my (@statements) = @_;
    my $dbh = $pg->connect;
    $dbh->do($_) for 'begin', @statements;
    return $dbh;
}

# The statistics, too, say that no transaction is in progress.
sub wait_unstreamed {
    for my $way (grep { $_->{streams} } @ways) {
        wait_for(sub { ($way->{pipeline}->metric(assemble => 'pg2any_queue_depth') // 1) == 0 }, 60, 'what was streamed before to go');
    }
    return;
}

# A part of the transaction in progress has come, after wait_unstreamed(). From PostgreSQL 18 on the server sends nothing of one
# that has been rolled back by the time it is decoded.
sub wait_streamed {
    for my $way (grep { $_->{streams} } @ways) {
        wait_for(sub { ($way->{pipeline}->metric(assemble =>
            'pg2any_queue_depth') // 0) > 0 }, 30, 'the stream to begin');
    }
    return;
}

sub finish {
    my ($dbh, @statements) = @_;
    $dbh->do($_) for @statements;
    $dbh->disconnect;
    return;
}


finish(session(rows('a', 1, 1500), 'savepoint s', rows('a', 2001, 1500), 'update a set n = n + 1',
    'rollback to s', 'update a set n = n + 1 where id % 2 = 0', 'savepoint t',
    rows('a', 4001, 1000), 'release t', 'delete from a where id % 10 = 0'), 'commit');
all_same('trap 2: ROLLBACK TO SAVEPOINT drops what the savepoint wrote, and no more', 'a');

finish(session(<<'SQL'), 'commit');
do $$
begin
    for i in 1 .. 20 loop
        begin
            update a set n = n + 1;
            insert into b select g, i, repeat(md5(g::text), 3)
                from generate_series(i * 1000, i * 1000 + 100) g;
            if i % 3 = 0 then
                raise exception 'rolled back';
            end if;
        exception when raise_exception then
            insert into small values (i, i);
        end;
    end loop;
end $$
SQL
all_same('trap 2: PL/pgSQL EXCEPTION blocks, some rolled back; n = n + 1 in each', qw(a b));

finish(session('savepoint s1', rows('a', 10_001, 400), 'savepoint s2', rows('a', 11_001, 400),
    'savepoint s3', rows('a', 12_001, 400), 'release s3', 'savepoint s4', rows('a', 13_001, 400),
    'rollback to s4', 'update a set n = n + 10 where id > 10000', 'rollback to s2',
    'savepoint s5', rows('a', 14_001, 400), 'release s5', 'release s1',
    'savepoint s6', 'update a set n = n + 100', 'release s6'), 'commit');
all_same('trap 2: nested subtransactions: an abort takes its released children with it', 'a');

{
    wait_unstreamed();
    my $dbh = session(rows('a', 20_001, 1500), 'update a set n = 7', 'delete from b');
    wait_streamed();
    finish($dbh, 'rollback');
}
all_same('trap 2: a streamed transaction is rolled back as a whole', qw(a b));

finish(session(q{insert into a values (30001, 1, 'x')}, 'savepoint s',
    q{insert into a values (30002, 1, 'x')}, 'rollback to s'), 'rollback');
finish(session('savepoint s', q{insert into a values (30003, 1, 'x')}, 'rollback to s',
    q{insert into small values (30003, 1)}), 'commit');
all_same('trap 2: the abort of a transaction that was never streamed', 'a');

{
    # Nothing but a rolled back savepoint was ever streamed.
    finish(session('savepoint s', rows('a', 31_001, 1500), 'rollback to s'), 'commit');
    all_same('trap 2: a transaction of which nothing is left', 'a');
}

{
    my @turns = (session(), session(), session());
    my @table = qw(a b a);
    for my $turn (0 .. 8) {
        for my $i (0 .. 2) {
            $turns[$i]->do(rows($table[$i], 40_000 + 20_000 * $i + 1000 * $turn, 300));
            $turns[$i]->do('savepoint s');
            $turns[$i]->do(rows($table[$i], 40_500 + 20_000 * $i + 1000 * $turn, 300));
            $turns[$i]->do(($turn + $i) % 2 ? 'rollback to s' : 'release s');
        }
        $pg->do("insert into small values (40000 + $turn, 0)",
            'update small set n = n + 1', "delete from small where id = 39998 + $turn");
    }
    finish($turns[1], 'update b set n = n + 1', 'commit');
    finish($turns[0], 'update a set n = n + 1 where id between 40000 and 59999', 'rollback');
    finish($turns[2], 'update a set n = n + 1 where id >= 80000', 'commit');
    all_same('traps 4 and 7: three streams in turns, ordinary commits between, one rolled back',
        qw(a b));
}

{
    # Keys that one transaction deletes are inserted anew by the next, which began first.
    my ($first, $second) = (session(rows('a', 110_001, 700)), session());
    finish($second, 'delete from a where id <= 1000', rows('a', 120_001, 700), 'commit');
    finish($first, 'insert into a select g, 5, repeat(md5(g::text), 3) from generate_series(1, 900) g',
        'commit');
    all_same('trap 6: streamed transactions take effect in the order of their commits', 'a');
}

finish(session(rows('a', 130_001, 800), 'truncate b', rows('b', 1, 800), 'savepoint s',
    'truncate a, b', rows('a', 1, 800), 'rollback to s', 'update b set n = n + 1'), 'commit');
all_same('traps 1 and 2: TRUNCATE in a stream, and one in a savepoint rolled back', qw(a b));

finish(session('insert into bag select g % 5, null from generate_series(1, 600) g',
    'savepoint s', 'delete from bag', 'rollback to s',
    q{insert into bag select 1, repeat('x', 100) from generate_series(1, 600)},
    'update bag set n = n + 1 where n = 2'), 'commit');
all_same('equal rows without a key in a stream', 'bag');

# PostgreSQL 18 sends aborts of such subtransactions also where nobody asked for streaming.
finish(session((map { ('savepoint s', "insert into small values (60000 + $_, 0)", 'release s') } 1 .. 5),
    rows('a', 135_001, 900)), 'rollback');
$pg->do('insert into small values (60000, 0)');
all_same('released savepoints in a large transaction that is rolled back', qw(a small));

# ---- relations ----

{
    my $dbh = session(rows('a', 140_001, 800), 'alter table b add column extra text',
        q{insert into b select g, 0, 'p', 'e' || g from generate_series(200001, 200800) g});
    $pg->do(q{insert into small values (50000, 1)});
    finish($dbh, 'commit');
    $pg->do(q{insert into b values (210000, 1, 'after', 'also')});
    all_same('trap 3: DDL inside a streamed transaction that commits', qw(a b));
}

{
    my $dbh = session(rows('a', 150_001, 800), 'alter table b add column never int default 1',
        q{insert into b select g, 0, 'p', 'e', g from generate_series(220001, 220800) g});
    $dbh->do('savepoint s');
    $dbh->do(rows('a', 151_001, 500));
    finish($dbh, 'rollback');
    $pg->do(q{insert into b values (230000, 1, 'after', 'the abort')}, 'update b set n = n + 1');
    all_same('trap 3: DDL inside a streamed transaction that aborts is forgotten', qw(a b));
}

{
    my $dbh = session(rows('a', 160_001, 800), 'savepoint s',
        'alter table b add column never int default 1',
        q{insert into b select g, 0, 'p', 'e', g from generate_series(240001, 240800) g},
        'rollback to s',
        q{insert into b select g, 0, 'p', 'q' from generate_series(250001, 250800) g});
    finish($dbh, 'commit');
    $pg->do(q{insert into b values (260000, 1, 'after', 'the savepoint')});
    all_same('trap 3: DDL in a savepoint rolled back, then the table as it was before', qw(a b));
}

{
    # The first word of a table is in a stream that aborts: it has to be described again.
    $pg->do('create table late (id int primary key, n int, pad text)');
    finish(session(rows('late', 1, 800)), 'rollback');
    $pg->do(q{insert into late values (1, 2, 'x')});
    finish(session(rows('late', 1001, 800)), 'commit');
    all_same('trap 3: a table described only in a stream that aborted', 'late');

    # In a transaction that made the table, and in two that are open at once.
    my $one = session('create table own (id int primary key, n int, pad text)', rows('own', 1, 800));
    my $two = session(rows('late', 3001, 800));
    finish($two, rows('late', 5001, 800), 'commit');
    finish($one, rows('own', 2001, 800), 'update own set n = n + 1', 'commit');
    all_same('trap 3: a table made in the stream', qw(late own));
}

{
    # What its values are the catalog shows only when it has committed.
    wait_unstreamed();
    my $dbh = session('create domain bytes as bytea',
        'create table own_domain (id int primary key, b bytes)',
        q{insert into own_domain select g, decode(md5(g::text), 'hex') from generate_series(1, 3000) g});
    wait_streamed();
    finish($dbh, q{insert into own_domain values (4000, '\x00ff')}, 'commit');
    all_same('a domain over bytea made in the stream', 'own_domain');
}

# ---- after a reconnect ----

{
    wait_unstreamed();
    my $dbh = session(rows('a', 170_001, 1500), 'savepoint s', rows('a', 172_001, 500),
        'rollback to s');
    wait_streamed();
    $pg->do(q{select pg_terminate_backend(pid) from pg_stat_replication});
    $dbh->do(rows('a', 174_001, 500));
    wait_for(sub { $pg->value('select count(*) from pg_stat_replication') == @ways }, 30,
        'all to connect again');
    finish($dbh, 'update a set n = n + 1 where id > 170000', 'commit');
    all_same('trap 5: a stream cut by a lost connection starts again from its first change', 'a');
    is_deeply([map { scalar grep { !defined $_->status } $_->{pipeline}->processes } @ways],
        [map { 4 } @ways], 'and every process is still the one that was started');
}

# ---- what the wire had ----

for my $way (@ways) {
    my ($name, $pipeline) = @$way{qw(name pipeline)};
    my $statuses = $pipeline->stop;
    is_deeply($statuses, { capture => 0, 'tee-capture' => 0, assemble => 0, apply => 0 },
        "$name: all leave with 0");
    my $count = count_frames($way->{copy});
    if (!$way->{streams}) {
        is($count->{stream_start}, undef, "$name: nothing was streamed");
        next;
    }
    cmp_ok($count->{stream_start}, '>', 20, "$name: there were blocks of streams");
    cmp_ok($count->{stream_abort}, '>', 10, "$name: and aborts");
    cmp_ok($pipeline->metric(assemble => 'pg2any_assemble_spilled_bytes_total'), '>', 1_000_000,
        "$name: transactions went to disk") if $way->{spills};
    my @aborts = frames($way->{copy}, 'stream_abort');
    cmp_ok(scalar(grep { $_->{xid} != $_->{subxid} } @aborts), '>', 5,
        "trap 2: $name: aborts of subtransactions");
    cmp_ok(scalar(grep { $_->{xid} == $_->{subxid} } @aborts), '>', 0,
        "trap 2: $name: and of whole transactions");
    is(scalar(grep { defined $_->{abort_lsn} } @aborts), $way->{parallel} ? scalar @aborts : 0,
        "trap 2: $name: an abort has its LSN with streaming=parallel only");

    my ($block, $others, %seen, %open) = (0, 0);
    my $interleaved = 0;
    for my $frame (frame_heads($way->{copy}, qw(hello stream_start stream_stop insert stream_commit
        stream_abort begin))) {
        my $type = $frame->{type};
        if ($type eq 'stream_start') {
            $block = $frame->{xid};
            $open{$block} = 1;
        } elsif ($type eq 'stream_stop') {
            $block = 0;
        } elsif ($type eq 'hello') {
            %open = ();
        } elsif ($type eq 'insert') {
            $others++ if $block && $frame->{xid} != $block;
        } elsif ($type eq 'begin') {
            $interleaved++ if %open;
        } elsif ($frame->{type} eq 'stream_commit' || $frame->{xid} == $frame->{subxid}) {
            delete $open{ $frame->{xid} };
        }
        $seen{ scalar keys %open }++;
    }
    cmp_ok($others, '>', 1000, "trap 1: $name: changes in a block carry the subtransaction's xid");
    cmp_ok($seen{3} // 0, '>', 0, "trap 4: $name: three streams were open at once");
    cmp_ok($interleaved, '>', 5, "trap 4: $name: with ordinary transactions between their blocks");
}

done_testing;

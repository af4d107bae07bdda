# A slow or stopped target slows the reading of WAL, and nothing times out meanwhile; a dead one is
# noticed at once; and the slot follows what the targets have, neither ahead of it nor left behind.
# needs: postgres, time

use POSIX ();

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => {
    wal_sender_timeout => '2s', logical_decoding_work_mem => '64kB' });
$pg->do(
    'create table t (id int primary key, n int, pad text)',
    'create table unpublished (id int, pad text)',
    'create publication cdc_pub for table t',
);

sub fresh {
    my ($slot, %arg) = @_;
    my $target = new_target(origin => $slot);
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot, %arg);
    $pipeline->start;
    $pipeline->wait_streaming;
    return ($pipeline, $target);
}

sub walsender { my ($slot) = @_; return $pg->slot($slot)->{active_pid} }

sub confirmed { my ($slot) = @_; return lsn_number($pg->slot($slot)->{confirmed_flush_lsn}) }

sub checkpoint { my ($target) = @_; return lsn_number($target->checkpoint->{remote_lsn}) }

sub end_with_slot {
    my ($pipeline, $slot) = @_;
    my $statuses = $pipeline->stop;
    is_deeply([grep { $_ ne '0' } values %$statuses], [], "$slot: asked to stop, all leave with 0");
    $pg->drop_slot($slot);
    return;
}

# ---- a stage that stands still ----

for my $case (['apply', 'ordinary', 30_000, 32, 2], ['assemble', 'streamed', 40_000, 16, 1]) {
    my ($stage, $kind, $rows, $width, $transactions) = @$case;
    my $slot = "stopped_$stage";
    my ($pipeline, $target) = fresh($slot,
        args => { capture => $kind eq 'ordinary' ? ['--streaming', 'off'] : [] });
    $pg->do('truncate t', q{insert into t values (0, 0, 'first')});
    $pipeline->wait_caught_up;
    my $pid = walsender($slot);
    $pipeline->signal($stage, 'STOP');
    # More than pipes, sockets and buffers hold.
    for my $n (1 .. $transactions) {
        $pg->do("insert into t select g, 0, repeat(md5(g::text), $width)"
            . " from generate_series($n * 100000 + 1, $n * 100000 + $rows) g",
            "update t set n = n + 1 where id % 10 = $n");
    }
    my $stopped = checkpoint($target);
    my $began = now();
    my ($senders, $ahead, $peak) = ({}, 0, 0);
    wait_for(sub {
        $senders->{ walsender($slot) // 'none' }++;
        $ahead++ if confirmed($slot) > $stopped;
        return now() - $began > 9;
    }, 60, 'four times wal_sender_timeout');
    is_deeply([keys %$senders], [$pid],
        "trap 15: $stage stopped for 9 s at wal_sender_timeout = 2s, $kind: not cut off");
    is($ahead, 0, "$stage stopped: the slot stays where the target is");
    for my $name (qw(capture assemble apply)) {
        cmp_ok($pipeline->process($name)->peak_memory_kb, '<', 100_000,
            "$stage stopped: $name has not grown");
    }
    cmp_ok($pg->value('select pg_wal_lsn_diff(pg_current_wal_lsn(), sent_lsn)
        from pg_stat_replication where pid = ?', $pid), '>', 1_000_000,
        "$stage stopped: the server is made to wait") if $kind eq 'ordinary';
    $pipeline->signal($stage, 'CONT');
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], "trap 15: $stage goes on: nothing lost, nothing doubled");
    is(walsender($slot), $pid, "trap 15: $stage goes on: the same connection");
    end_with_slot($pipeline, $slot);
}

# The source is shut down meanwhile, as at a switchover: it waits for what it has sent to be confirmed,
# with little to send, and with so much that the capture reads no more.
for my $case (['little', 10], ['much', 60_000]) {
    my ($what, $rows) = @$case;
    my $slot = "shut_down_$what";
    my ($pipeline, $target) = fresh($slot, args => { capture => ['--streaming', 'off'] });
    $pg->do('truncate t', q{insert into t values (0, 0, 'first')});
    $pipeline->wait_caught_up;
    $pipeline->signal('apply', 'STOP');
    $pg->do("insert into t select g, 0, repeat(md5(g::text), 16) from generate_series(1, $rows) g");
    $pg->stop('fast', 120);
    ok(!$pg->running, "the source shuts down while a target stands still, $what waiting for it");
    $pg->start;
    $pipeline->signal('apply', 'CONT');
    $pipeline->wait_streaming;
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], "$what: and nothing is lost");
    end_with_slot($pipeline, $slot);
}

# ---- a stage that dies ----

for my $stage (qw(apply assemble capture)) {
    my $slot = "dead_$stage";
    my ($pipeline, $target) = fresh($slot);
    $pg->do('truncate t', q{insert into t values (1, 0, 'first')});
    $pipeline->wait_caught_up;
    my $began = now();
    $pipeline->signal($stage, 'KILL');
    my $statuses = $pipeline->wait_all(60);
    my %expected = map { $_ => $_ eq $stage ? 'SIGKILL' : 111 } qw(capture assemble apply);
    is_deeply($statuses, \%expected, "kill -9 of $stage while nothing flows: the others leave with 111");
    cmp_ok(now() - $began, '<', 3, "kill -9 of $stage while nothing flows: they notice at once");
    $pg->drop_slot($slot);
}

# ---- acknowledgements ----

{
    $pg->do('truncate t');
    my ($pipeline, $target) = fresh('acks');
    $pg->do(q{insert into t values (1, 0, 'first')});
    my $writer = $pg->connect;
    my ($polls, $ahead, $back, $last, $beyond) = (0, 0, 0, 0, 0);
    my %steps;
    my $began = now();
    wait_for(sub {
        my $id = 1000 + ++$polls;
        $writer->do("insert into t values ($id, 0, repeat('x', 500))");
        $writer->do('update t set n = n + 1');
        # In this order: the checkpoint only grows.
        my $confirmed = confirmed('acks');
        my $checkpoint = $target->checkpoint or return 0;
        $ahead++ if $confirmed > lsn_number($checkpoint->{remote_lsn});
        $back++ if $confirmed < $last;
        $steps{$confirmed} = 1;
        $last = $confirmed;
        my $flush = $pg->value(q{select flush_lsn from pg_stat_replication
            where application_name = 'pg-capture' and flush_lsn > sent_lsn});
        $beyond++ if defined $flush;
        return now() - $began > 5 && keys %steps > 3;
    }, 60, 'five seconds of load, and some confirmations');
    note("$polls polls, ", scalar keys %steps, ' positions');
    is($ahead, 0, 'the slot is never ahead of the checkpoint');
    is($back, 0, 'trap 11: and never goes back');
    is($beyond, 0, 'trap 11: and is never beyond what was sent');
    cmp_ok(scalar keys %steps, '>', 3, 'the slot follows while the load lasts');
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'and the target has it all');

    # Trap 8: end LSN, not commit LSN. What is confirmed must not come again.
    wait_for(sub { confirmed('acks') == checkpoint($target) }, 30, 'the slot to confirm all');
    $pg->do(q{update t set n = n + 1 where id = 1}, q{update t set n = n + 1 where id = 1});
    $pipeline->wait_caught_up;
    wait_for(sub { confirmed('acks') >= checkpoint($target) }, 30, 'the slot to confirm that');
    $pipeline->stop;
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{update t set n = n + 1 where id = 1});
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'trap 8: transactions end to end across a restart');
    let_pass(1.1);
    is($pipeline->metric(apply => 'pg2any_apply_transactions_skipped_total'), 0,
        'trap 8: what was confirmed did not come again');

    # Traps 13 and 16: nothing of ours in the WAL.
    my $before = confirmed('acks');
    my $lsn;
    for (1 .. 3) {
        $pg->do(q{insert into unpublished select g, repeat('x', 1000) from generate_series(1, 500) g});
        $lsn = $pg->current_lsn;
    }
    wait_for(sub { confirmed('acks') >= lsn_number($lsn) }, 30,
        'the slot to pass what is not published');
    pass('trap 13: while only unpublished tables are written, the slot moves on and pins no WAL');
    cmp_ok(confirmed('acks'), '<=', checkpoint($target), 'trap 13: with the checkpoint before it');
    cmp_ok(confirmed('acks') - $before, '>', 1_000_000, 'trap 13: by what was written');
    end_with_slot($pipeline, 'acks');
}

{
    # Two targets behind one slot: tee hands the committed frames to both.
    $pg->do('truncate t', q{insert into t values (1, 0, 'before the slot')});
    my ($fifo, $ack) = (fresh_name('frames.fifo'), fresh_name('second.ack'));
    POSIX::mkfifo($fifo, 0600) or die "mkfifo: $!\n";
    my $second = new_target(origin => 'both');
    my $first = new_target(origin => 'both');
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $first, slot => 'both',
        tee => { assemble => $fifo }, args => { capture => ['--ack', $ack] });
    my $log = fresh_name('second.log');
    my $other = Pg2any::Process->start(name => 'second apply', stdin => $fifo, stderr => $log,
        argv => [Pg2any::Pipeline::tool($second->applier), '--dest', $second->dest, '--ack', $ack]);
    $pipeline->start;
    $pipeline->wait_streaming;
    my $reach = sub {
        my ($lsn) = @_;
        $pipeline->wait_applied($lsn);
        wait_for(sub { my $c = $second->checkpoint; $c && lsn_number($c->{remote_lsn}) >= lsn_number($lsn) },
            30, "the second target to reach $lsn");
        return;
    };
    $pg->do('truncate t', q{insert into t select g, 0, 'x' from generate_series(1, 100) g});
    $reach->($pg->current_lsn);
    same_content($pg, $_, ['t'], 'two targets: each has it all') for $first, $second;
    wait_for(sub { confirmed('both') >= checkpoint($first) }, 30, 'the slot to confirm what both have');

    my $slow = checkpoint($second);
    $other->signal('STOP');
    my $ahead = 0;
    for my $n (1 .. 10) {
        $pg->do("insert into t values (1000 + $n, 0, 'x')", 'update t set n = n + 1');
        $pipeline->wait_applied($pg->current_lsn);
        let_pass(0.3);
        # In this order: the checkpoint only grows, and the second target may have got further before it stopped.
        my $confirmed = confirmed('both');
        $ahead++ if $confirmed > checkpoint($second);
    }
    is($ahead, 0, 'two targets: the slot waits for the slower one');
    cmp_ok(checkpoint($first), '>', $slow, 'two targets: while the other goes on');
    $other->signal('CONT');
    $reach->($pg->current_lsn);
    wait_for(sub { confirmed('both') >= $slow + 1 }, 30, 'the slot to go on');
    same_content($pg, $_, ['t'], 'two targets: both have it all in the end') for $first, $second;
    end_with_slot($pipeline, 'both');
    is($other->wait_exit, 0, 'two targets: the second leaves with 0 too');
}

{
    # Trap 14: writing is not durability.
    my ($pipeline, $target) = fresh('looking', ack => 0);
    my $before = confirmed('looking');
    $pg->do('truncate t', q{insert into t values (1, 1, 'x')});
    $pipeline->wait_caught_up;
    let_pass(3);
    is(confirmed('looking'), $before, 'trap 14: without --ack the slot does not move');
    $pipeline->stop;
    is(confirmed('looking'), $before, 'trap 14: nor at the end');
    $pipeline->start;
    $pg->do(q{update t set n = n + 1});
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'trap 14: all comes again, and is skipped');
    end_with_slot($pipeline, 'looking');

    my $file = fresh_name('audit.frames');
    my $audit = Pg2any::Pipeline->new(pg => $pg, slot => 'audit', stages => ['capture'], output => $file);
    $audit->start;
    $audit->wait_streaming;
    $before = confirmed('audit');
    $pg->do(q{update t set n = n + 1});
    wait_for(sub { (run_tool('frame-dump', stdin => $file))[1] =~ /"type":"update"/ }, 60, 'the change in the file');
    $audit->stop;
    is(confirmed('audit'), $before, 'trap 14: looking at a slot never moves it');
    is(scalar(frames($file, 'update')), 1, 'and shows what there is');
    $pg->drop_slot('audit');
}

done_testing;

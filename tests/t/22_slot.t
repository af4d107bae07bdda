# The slot is the memory of what the target has. Whatever happens to it behind our back must be
# noticed before a change is lost: exit 100, in words that say what to do; and what only looks like
# trouble must not stop anything.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $target_kind = new_target()->kind;
$pg->do(
    'create table t (id serial primary key, at text)',
    'create table unpublished (id int, pad text)',
    'create publication cdc_pub for table t',
);

# A target and a pipeline on a slot of their own that have seen a row.
sub fresh {
    my ($slot, %arg) = @_;
    my $server = $arg{pg} // $pg;
    my $target = new_target(origin => $slot);
    my $pipeline = Pg2any::Pipeline->new(pg => $server, target => $target, slot => $slot, %arg);
    $pipeline->start;
    $pipeline->wait_streaming;
    $server->do("insert into t (at) values ('$slot begins')");
    $pipeline->wait_caught_up;
    return ($pipeline, $target);
}

# What people would read.
sub told { my ($pipeline) = @_; return join '', map { $pipeline->log_text($_) } qw(capture apply) }

# A test: the pipeline ends, that stage with 100, the others because of it; it says so and the
# target is as it was.
sub ends_with_100 {
    my ($pipeline, $stage, $says, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $statuses = $pipeline->wait_all(40);
    is($statuses->{$stage}, 100, "$name: $stage leaves with 100")
        or diag(join ', ', map { "$_ $statuses->{$_}" } sort keys %$statuses);
    is_deeply([grep { $_ !~ /\A(?:100|111)\z/ } values %$statuses], [], "$name: and the others follow");
    like(told($pipeline), $says, "$name: it says why");
    return;
}

# Without the capture's knowledge: its walsender is ended, then the code runs, before it can
# connect again.
sub behind_its_back {
    my ($pipeline, $slot, $code, $server) = @_;
    $server //= $pg;
    $pipeline->signal(capture => 'STOP');
    $server->do("select pg_terminate_backend(active_pid) from pg_replication_slots"
        . " where slot_name = '$slot' and active");
    wait_for(sub { !$server->slot($slot)->{active} }, 30, 'the walsender to go');
    $code->();
    $pipeline->signal(capture => 'CONT');
    return;
}

sub make_slot {
    my ($slot) = @_;
    $pg->do("select pg_create_logical_replication_slot('$slot', 'pgoutput')");
    return;
}

sub lost_row { $pg->do(q{insert into t (at) values ('meanwhile')}); return }

# Trap 17, the long way, goes on beside the rest: somebody has the slot and keeps it.
my $holder = Pg2any::Pipeline->new(pg => $pg, slot => 'held', stages => ['capture'],
    output => fresh_name('held.frames'));
$holder->start;
$holder->wait_streaming;
my $refused = Pg2any::Pipeline->new(pg => $pg, slot => 'held', target => new_target(origin => 'held'));
$refused->start;

# ---- while the slot is made ----

{
    my $running = $pg->connect;
    $running->do($_) for 'begin', q{insert into t (at) values ('running')};
    my @capture = map { Pg2any::Pipeline->new(pg => $pg, slot => 'making', stages => ['capture'],
        output => fresh_name('making.frames')) } 1 .. 2;
    $capture[0]->start;
    my $maker = q{select active_pid from pg_replication_slots where slot_name = 'making'};
    # Before it waits for the transaction it notices that its client has gone.
    wait_for(sub { $pg->value("select wait_event = 'transactionid' from pg_stat_activity where pid = ($maker)") }, 30,
        'the slot to be in the making');
    $capture[0]->kill_all;
    $capture[1]->start;
    wait_for(sub { $capture[1]->log_text('capture') =~ /the slot is in use; trying again/ }, 30, 'the next one to find it');
    $pg->do("select pg_terminate_backend(($maker))");
    is($capture[1]->wait_exit(capture => 30), 111,
        'a slot that vanishes because its maker was killed is a reason to start again');
    $running->do('rollback');
    $capture[1]->start;
    $capture[1]->wait_streaming;
    $capture[1]->stop;
    $pg->drop_slot('making');
}

# ---- while the pipeline is down ----

{
    my ($pipeline, $target) = fresh('recreated');
    $pipeline->stop;
    my $before = $target->checkpoint->{remote_lsn};
    $pg->drop_slot('recreated');
    lost_row();
    make_slot('recreated');
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/slot recreated was recreated.*--accept-gap/,
        'trap 10: slot dropped and recreated while the pipeline was down');
    is($target->checkpoint->{remote_lsn}, $before, 'and the checkpoint stays');
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/changes between the two are gone/,
        'starting again does not hide it');

    my $accepting = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => 'recreated',
        args => { apply => ['--accept-gap'] });
    $accepting->start;
    $accepting->wait_streaming;
    $pg->do(q{insert into t (at) values ('after the gap')});
    $accepting->wait_caught_up;
    like(told($accepting), qr/level=warning.*--accept-gap/, '--accept-gap: goes on, with a warning');
    is_deeply([map { $_->[0] } $target->rows('select at from t order by id')],
        ['recreated begins', 'after the gap'], '--accept-gap: without what is gone');
    $accepting->stop;
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into t (at) values ('as ever')});
    $pipeline->wait_caught_up;
    is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 },
        '--accept-gap is not needed a second time');
    $pg->drop_slot('recreated');
}

{
    my ($pipeline) = fresh('dropped');
    $pipeline->stop;
    $pg->drop_slot('dropped');
    lost_row();
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/slot dropped was created again/,
        'slot dropped while the pipeline was down, and made anew by capture itself');
    $pg->drop_slot('dropped');
}

{
    my ($pipeline) = fresh('idle_gap');
    $pipeline->stop;
    $pg->drop_slot('idle_gap');
    make_slot('idle_gap');
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/slot idle_gap was recreated/,
        'recreated with nothing lost: that cannot be known, so it stops too');
    $pg->drop_slot('idle_gap');
}

{
    my ($pipeline) = fresh('advanced');
    $pipeline->stop;
    lost_row();
    $pg->advance_slot('advanced', $pg->current_lsn);
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/confirmed by someone else/,
        'trap 10: slot advanced by someone else while the pipeline was down');
    $pg->drop_slot('advanced');
}

{
    # The slot stays where it was made, so the target is ahead of it.
    my ($pipeline, $target) = fresh('behind', ack => 0);
    $pipeline->stop;
    $pg->advance_slot('behind', $target->checkpoint->{remote_lsn});
    $pg->do(q{insert into t (at) values ('after the harmless advance')});
    $pipeline->start;
    $pipeline->wait_caught_up;
    is_deeply([map { $_->[0] } $target->rows('select at from t order by id')],
        ['behind begins', 'after the harmless advance'],
        'slot advanced by someone else to what the target has: harmless');
    $pipeline->stop;
    $pg->drop_slot('behind');
}

# A copy of a file is a backup of SQLite's.
if ($target_kind eq 'sqlite') {
    my ($pipeline, $target) = fresh('restored');
    $pipeline->stop;
    my $copy = fresh_name('older.db');
    $target->disconnect;
    system('cp', $target->file, $copy) == 0 or die "cp: $?\n";
    $pipeline->start;
    lost_row();
    $pipeline->wait_caught_up;
    is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all is confirmed');
    $target->disconnect;
    $target->drop;
    system('cp', $copy, $target->file) == 0 or die "cp: $?\n";
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/the changes between the two are gone/,
        'target restored from an older copy');
    $pg->drop_slot('restored');
}

{
    # A target that is thrown away is a new target: nothing to compare with.
    my ($pipeline, $target) = fresh('anew');
    $pipeline->stop;
    $target->drop;
    $pg->do(q{insert into t (at) values ('for the new target')});
    $pipeline->start;
    $pipeline->wait_caught_up;
    is_deeply([map { $_->[0] } $target->rows('select at from t order by id')],
        ['for the new target'], 'a new target begins where the slot stands');
    like(told($pipeline), qr/new target/, 'and that is logged');
    $pipeline->stop;
    $pg->drop_slot('anew');
}

# ---- while it runs ----

{
    my ($pipeline) = fresh('swapped');
    behind_its_back($pipeline, 'swapped', sub {
        $pg->drop_slot('swapped');
        lost_row();
        make_slot('swapped');
    });
    ends_with_100($pipeline, 'capture', qr/slot swapped was recreated or moved behind our back/,
        'slot dropped and recreated under a running capture');
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/changes between the two are gone/,
        'and the applier says the same when it is started again');
    $pg->drop_slot('swapped');
}

{
    my ($pipeline) = fresh('vanished');
    behind_its_back($pipeline, 'vanished', sub { $pg->drop_slot('vanished') });
    ends_with_100($pipeline, 'capture', qr/slot vanished does not exist any more/,
        'slot missing when capture connects again');
    is($pg->slot('vanished'), undef, 'and capture does not make another');
}

{
    my ($pipeline) = fresh('moved');
    behind_its_back($pipeline, 'moved', sub { lost_row(); $pg->advance_slot('moved', $pg->current_lsn) });
    ends_with_100($pipeline, 'capture', qr/slot moved was recreated or moved behind our back/,
        'slot advanced by someone else under a running capture');
    $pg->drop_slot('moved');
}

{
    my ($pipeline, $target) = fresh('publication');
    $pg->do('create publication other_pub for table t');
    my $other = Pg2any::Pipeline->new(pg => $pg, target => new_target(origin => 'other'),
        slot => 'other', publication => 'other_pub');
    $other->start;
    $other->wait_streaming;
    $pg->do('drop publication other_pub', q{insert into t (at) values ('without publication')});
    # PostgreSQL 18 leaves out the changes, with a warning, where the others fail.
    ends_with_100($other, 'capture',
        qr/publication \\"other_pub\\" does not exist|a publication does not exist at this point/,
        'trap 35: publication dropped in mid-stream');
    $pipeline->wait_caught_up;
    ok($pipeline->running, 'trap 35: a pipeline on another publication goes on');
    $pipeline->stop;
    $pg->drop_slot($_) for qw(other publication);
}

# ---- not ours, or not usable ----

$pg->do(q{select pg_create_physical_replication_slot('physical')}, 'create database elsewhere');
$pg->dbh('elsewhere')->do('create publication cdc_pub for all tables');
make_slot('here');
for my $case (
    ['physical', 'postgres', qr/slot physical is a physical one/, 'a physical slot'],
    ['here', 'elsewhere', qr/slot here is of database \\"postgres\\", not \\"elsewhere\\"/,
        'a slot of another database'],
) {
    my ($slot, $db, $says, $name) = @$case;
    my ($status, undef, $log) = run_tool('pg-capture',
        args => ['--source', $pg->uri(db => $db), '--slot', $slot]);
    is($status, 100, "$name: exit 100");
    like($log, $says, "$name: it says so");
}
$pg->drop_slot($_) for qw(physical here);

{
    # A test that waits here has waited long enough: see $refused above.
    my $statuses = $refused->wait_all(60);
    is($statuses->{capture}, 111, 'trap 17: the slot stays active for another PID: 111, start again');
    like($refused->log_text('capture'), qr/slot is in use; trying again/, 'trap 17: it tried for a while');
    like($refused->log_text('capture'), qr/is active for PID/, 'trap 17: and says who has it');
    $refused->start;
    $holder->kill_all;
    $refused->wait_streaming;
    $pg->do(q{insert into t (at) values ('held no more')});
    $refused->wait_caught_up;
    is($refused->{target}->value('select at from t order by id desc limit 1'), 'held no more',
        'trap 17: it goes on as soon as the slot is free');
    $refused->stop;
    $pg->drop_slot('held');
}

# ---- clusters ----

{
    my ($pipeline, $target) = fresh('cdc_slot');
    $pipeline->stop;
    my $other = Pg2any::Postgres->new(name => 'other');
    $other->do('create table t (id serial primary key, at text)',
        'create publication cdc_pub for table t');
    my $wrong = Pg2any::Pipeline->new(pg => $other, target => $target);
    $wrong->start;
    ends_with_100($wrong, 'apply', qr/follows cluster \d+ .* comes from cluster \d+/,
        'another cluster, by its system identifier, into the same target');
    $other->stop('immediate');

    # The server is restored from a backup, older than what the target has.
    $pg->stop;
    my $copy = $pg->data_dir . '.copy';
    system('cp', '-a', $pg->data_dir, $copy) == 0 or die "cp: $?\n";
    $pg->start;
    $pipeline->start;
    $pg->do(q{insert into t (at) select repeat('x', 1000) from generate_series(1, 5000)});
    $pipeline->wait_caught_up;
    $pg->stop('immediate'); # with all its processes, which may still write there otherwise
    system('rm', '-r', $pg->data_dir) == 0 or die "rm: $?\n";
    system('cp', '-a', $copy, $pg->data_dir) == 0 or die "cp: $?\n";
    $pg->start;
    ends_with_100($pipeline, 'capture', qr/a failover or a restore lost transactions/,
        'the server was restored from a backup under a running capture');
    $pipeline->start;
    ends_with_100($pipeline, 'apply', qr/the server was restored from a backup/,
        'and the applier says the same when it is started again');
    $pg->stop('immediate');
}

# ---- slots die ----

{
    my $small = Pg2any::Postgres->new(name => 'small', initdb => ['--wal-segsize=1'], settings => {
        max_slot_wal_keep_size => '2MB', max_wal_size => '2MB', min_wal_size => '2MB' });
    $small->do('create table t (id serial primary key, at text)',
        'create table unpublished (id int, pad text)', 'create publication cdc_pub for table t');
    my $outgrow = sub {
        my ($slot) = @_;
        wait_for(sub {
            $small->do(q{insert into unpublished select g, repeat('x', 1000)
                from generate_series(1, 2000) g}, 'select pg_switch_wal()', 'checkpoint');
            return $small->slot($slot)->{wal_status} eq 'lost';
        }, 60, "the slot $slot to be lost");
    };
    my ($down) = fresh('down', pg => $small);
    my ($running) = fresh('running', pg => $small);
    $down->stop;
    $running->signal(apply => 'STOP');
    $outgrow->('down');
    $down->start;
    ends_with_100($down, 'capture', qr/slot down cannot be used any more.*pg_drop_replication_slot.*max_slot_wal_keep_size/,
        'trap 18: the slot lost its WAL to max_slot_wal_keep_size while the pipeline was down');
    $outgrow->('running');
    is($running->wait_exit('capture', 40), 100,
        'trap 18: the same under a running capture whose target does not move: capture leaves with 100');
    $running->signal(apply => 'CONT');
    ends_with_100($running, 'capture', qr/slot running cannot be used any more/,
        'trap 18: the same under a running capture');

    if ($small->major >= 18) {
        $small->do(q{alter system set idle_replication_slot_timeout = '1s'});
        my ($idle) = fresh('idle', pg => $small);
        $idle->stop;
        $small->reload;
        wait_for(sub {
            $small->do('checkpoint');
            return defined $small->slot('idle')->{invalidation_reason};
        }, 30, 'the idle slot to be invalidated');
        $idle->start;
        ends_with_100($idle, 'capture', qr/slot idle cannot be used any more: idle_timeout/,
            'trap 18: idle_replication_slot_timeout');
    }
}

done_testing;

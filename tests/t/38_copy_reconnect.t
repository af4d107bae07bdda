# A chunk of a copy that comes while the stream brings again what the target has: after a connection that broke within one
# pg-capture, and where a file is replayed. The checkpoint stays where it was, and nothing goes in twice.
# needs: one postgres, time

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { max_prepared_transactions => 10, autovacuum => 'off' });
my $two_phase = $pg->major >= 15;
$pg->do('create table bag (n int, t text)', 'alter table bag replica identity full', 'insert into bag values (0)',
    'create table slow (id int primary key, t text)',
    q{insert into slow select g, repeat('x', 200) from generate_series(1, 500000) g},
    'create table held (id int primary key)', 'create publication cdc_pub for all tables', 'vacuum freeze');

SKIP: {
    skip 'a slot is held back by a prepared transaction from PostgreSQL 15 on', 2 if !$two_phase;
    my $target = new_target();
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target,
        args => { capture => ['--copy', 'initial', '--two-phase', '--copy-chunk', '64kB'] });
    $pipeline->start;
    $pipeline->wait_copied(['bag', 'held']);
    my $prepared = $pg->connect;
    $prepared->do($_) for 'begin', 'insert into held values (1)', 'prepare transaction $$p$$';
    $pg->do('do $$ begin for i in 1..10000 loop insert into bag values (i, repeat(md5(i::text), 60)); commit; end loop; end $$');
    $pipeline->wait_caught_up;
    my $before = my $least = $target->checkpoint->{remote_lsn};
    $pg->do(q{select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'cdc_slot'});
    $pipeline->wait_while_running(sub {
        my $lsn = $target->checkpoint->{remote_lsn};
        $least = $lsn if lsn_number($lsn) < lsn_number($least);
        return $pipeline->log_text('capture') =~ /msg="a table is copied" schema=public table=slow/;
    }, 240, 'the copy of slow');
    $pg->do('insert into slow values (1000000)');
    $pipeline->wait_caught_up;
    is($least, $before, 'the checkpoint never goes back');
    $prepared->do('commit prepared $$p$$');
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['bag', 'slow', 'held'], 'and nothing is doubled');
    $pipeline->stop;
    $pg->drop_slot('cdc_slot');
}

# A table that somebody has locked is copied behind a change of another one.
$pg->do(q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')}, 'delete from slow where id > 20000');
my $lock = $pg->connect;
$lock->do($_) for 'begin', 'lock table slow in access exclusive mode';
my $target = new_target();
my $file = fresh_name('captured');
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, tee => { capture => $file },
    args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_copied(['bag']);
$pg->do('insert into bag values (1)');
$pipeline->wait_caught_up;
$lock->do('rollback');
$pipeline->wait_copied(['slow']);
$pg->do('insert into bag values (2)');
$pipeline->wait_caught_up;
$pipeline->stop;
same_content($pg, $target, ['bag', 'slow'], 'a table that was locked is copied later');
my $replay = Pg2any::Pipeline->new(target => $target, stages => [qw(assemble apply)], input => $file,
    args => { apply => ['--group-bytes', '65536'] })->start;
is_deeply($replay->wait_all, { assemble => 0, apply => 0 }, 'the same stream once more');
same_content($pg, $target, ['bag', 'slow'], 'changes nothing');

done_testing;

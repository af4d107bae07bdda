# pg-capture --slot-copy: reads from where a slot stands that another pg-capture is using, with streamed and
# prepared transactions; leaves the slot and what others have of it alone, and nothing behind.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
my @two_phase = $pg->major < 15 ? () : '--two-phase';
$pg->do('create table t (id int primary key, n int, pad text)', 'create publication cdc_pub for all tables');

# The slot's own reader has nobody who acknowledges: the slot stays where it is.
my $main = Pg2any::Pipeline->new(pg => $pg, stages => ['capture'], output => fresh_name('main.frames'),
    args => { capture => [@two_phase, '--ack', fresh_name('ack')] })->start;
$main->wait_streaming;
my $stood = $pg->slot('cdc_slot')->{confirmed_flush_lsn};

sub beside {
    my ($target, @more) = @_;
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, ack => 0,
        args => { capture => [@two_phase, '--slot-copy', '--until-lsn', 'current', @more], assemble => ['--memory-limit', '64kB'] })->start;
    is_deeply([map { $pipeline->wait_exit($_, 60) } qw(capture assemble apply)], [0, 0, 0], 'it comes to its end')
        or diag(map { $pipeline->log_text($_) } qw(capture apply));
    return;
}

my $held = $pg->connect;
$held->do($_) for 'begin', q{insert into t select g, 0, repeat(md5(g::text), 3) from generate_series(5001, 6000) g}, 'savepoint s',
    'delete from t where id < 5500', 'rollback to s';
$pg->do(q{insert into t select g, 0, repeat(md5(g::text), 3) from generate_series(1, 3000) g}, 'update t set n = 1 where id % 3 = 0');
my $prepared = $pg->connect;
$prepared->do($_) for 'begin', 'update t set n = n + 100 where id % 7 = 0', q{prepare transaction 'p'};

my $target = new_target(origin => 'cdc_slot');
subtest 'a transaction is open, one prepared' => sub {
    beside($target);
    same_content($pg, $target, ['t']);
};

subtest 'it goes on where the target stands' => sub {
    $held->do('commit');
    $prepared->do(q{commit prepared 'p'});
    $pg->do('delete from t where id % 11 = 0');
    beside($target);
    same_content($pg, $target, ['t']);
};

subtest 'what it leaves' => sub {
    is($pg->slot('cdc_slot')->{confirmed_flush_lsn}, $stood, 'the slot stands where it stood');
    ok($main->process('capture')->running, 'its reader goes on');
    ok(eval { wait_for(sub { $pg->value('select count(*) from pg_replication_slots') == 1 }, 30, 'their end'); 1 }, 'the copies are gone');
};

subtest 'mistakes' => sub {
    for my $case (
        [qr/there is no replication slot nothing to copy/, '--slot', 'nothing'],
        [qr/--slot-copy and --ack: nothing is confirmed/, '--ack', fresh_name('ack')],
    ) {
        my ($like, @args) = @$case;
        my ($status, undef, $err) = run_tool('pg-capture', args => ['--source', $pg->uri, '--slot-copy', @args]);
        is($status, 100, "@args: 100");
        like($err, $like, "@args: why");
    }
    $pg->do(q{select pg_create_logical_replication_slot('other_' || g, 'pgoutput') from generate_series(1, current_setting('max_replication_slots')::int - 1) g});
    my ($status, undef, $err) = run_tool('pg-capture', args => ['--source', $pg->uri, '--slot-copy']);
    isnt($status, 0, 'no slot is free');
    like($err, qr/copying replication slot cdc_slot: .*all replication slots are in use.*drop an unused slot, or raise max_replication_slots/s, 'why');
};

done_testing;

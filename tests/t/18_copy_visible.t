# A commit is in the WAL, and in the stream, before others see it: long before, where a synchronous standby answers
# late. A copy sees whatever came before it, also of a transaction that an earlier pg-capture sent, or that wrote to
# a table before the publication had it. Without the conditions for that the same would find rows that are lost. And with
# xids on both sides of 2^32.
# needs: postgres, time

use DBD::Pg qw(:async);
use Pg2any::LateStandby;
use Pg2any::Load;
use Pg2any::PostgresProxy;
use Pg2any::Test;

my @tables = qw(keyed bag);

# Who commits synchronously there waits for a standby that never comes.
sub server {
    my $pg = Pg2any::Postgres->new(settings => { synchronous_commit => 'local', synchronous_standby_names => 'nobody' });
    $pg->do('create table keyed (id int primary key, n int)', 'insert into keyed select g, 0 from generate_series(1, 1000) g',
        'create table bag (n int)', 'alter table bag replica identity full', 'insert into bag select g % 100 from generate_series(1, 1000) g',
        'create publication cdc_pub for table keyed, bag', q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
    return $pg;
}

# A transaction whose commit is in the WAL and which nobody sees.
sub hide {
    my ($pg, @sql) = @_;
    my $dbh = $pg->connect;
    my ($pid) = $dbh->selectrow_array('select pg_backend_pid()');
    $dbh->do('set synchronous_commit = on');
    $dbh->do(join('; ', 'begin', @sql, 'commit'), { pg_async => PG_ASYNC });
    wait_for(sub { ($pg->value('select wait_event from pg_stat_activity where pid = ?', $pid) // '') eq 'SyncRep' }, 30, 'a commit that waits');
    return $dbh;
}

# Nobody is waited for any more.
sub show {
    my ($pg, @hidden) = @_;
    $pg->configure(synchronous_standby_names => '');
    $pg->reload;
    $_->pg_result for @hidden;
    return;
}

# The differences in the end. `early` is committed before pg-capture connects, `late` behind it; the one that is open
# then keeps the copy of its table off until `late` was sent. Without a `kill` of what sent both, `bag` is free then.
sub differences {
    my (%arg) = @_;
    my $pg = server();
    my $target = new_target();
    my $proxy = $arg{proxy} && Pg2any::PostgresProxy->new($pg, options => 'drop', %{ $arg{proxy} });
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, capture => $arg{capture},
        args => { capture => ['--copy', 'initial'] });
    my $early = hide($pg, 'update keyed set n = 1 where id <= 10', 'insert into keyed values (2000, 0)', 'delete from keyed where id = 20');
    my $open = $pg->connect;
    $open->do($_) for 'begin', 'insert into bag values (1000)';
    $pipeline->start;
    # Who ran when it connected is noted before it asks the first time whether one of them wrote.
    wait_for(sub { $pg->value(q{select count(*) from pg_stat_activity where application_name = 'pg-capture' and query like '%JOIN pg_locks%'}) },
        30, 'pg-capture to ask who wrote');
    my $late = hide($pg, 'delete from bag where n = 5', 'insert into bag values (2000)');
    my $lsn = $pg->current_lsn;
    $pipeline->wait_applied($lsn);
    $open->do('rollback') if !$arg{kill};
    if ($arg{kill}) {
        wait_for(sub { lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) >= lsn_number($lsn) }, 30, 'the slot to have both');
        $open->do('rollback');
        $pipeline->signal('capture', 'KILL');
        $pipeline->wait_all(30);
        $pipeline->{pg} = $proxy if $proxy;
        $pipeline->start;
        $pipeline->{pg} = $pg;
    }
    if ($proxy && $arg{proxy}{keep}) {
        $pipeline->wait_while_running(sub { $proxy->keeps }, 30, 'the question that is kept back');
    } elsif (my @wrong = @{ $arg{wrong} // [] }) {
        $pipeline->wait_while_running(sub { !grep { !$target->has_table($_) } @wrong }, 30, 'a copy too early');
    } else {
        let_pass(1);
        ok(!$target->has_table($_), "$_ is not copied before all see what was sent of it") for @tables;
    }
    show($pg, $early, $late);
    $proxy->release if $proxy && $arg{proxy}{keep};
    $pipeline->wait_copied(\@tables);
    $pg->do('update keyed set n = n + 1 where id between 5 and 30', 'delete from bag where n = 7');
    $pipeline->wait_applied($pg->current_lsn);
    my @differences = compare_tables($pg->dbh, $target, \@tables);
    $pipeline->stop;
    return @differences;
}

is_deeply([differences()], [], 'commits that nobody sees yet');
is_deeply([differences(kill => 1)], [], 'sent by a process that was killed');
is_deeply([differences(kill => 1, proxy => { keep => 'JOIN pg_locks' })], [], 'seen while it is asked who wrote');

# Both conditions broken on purpose.
my $hasty = Pg2any::Pipeline::tool_dir() . '/../unit/pg-capture-hasty';
my @lost = differences(capture => $hasty, wrong => ['bag']);
like("@lost", qr/bag: /, 'a pg-capture whose snapshots are too early loses what came before');
@lost = differences(kill => 1, wrong => ['keyed', 'bag'], proxy => { replace => [q{'%Exclusive%'}, q{'%NeverThis%'}] });
like("@lost", qr/keyed: .*bag: /s, 'one that does not ask who wrote, loses what an earlier one has sent');

# A standby that is always a second behind: without a pause of the stream something would be sent and not seen at all times.
my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(Pg2any::Load::schema(), 'create publication cdc_pub for all tables', q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
my $standby = Pg2any::LateStandby->new($pg, 1);
my @writers = Pg2any::Load::start($pg, writers => 4, seed => 1, pause => 0.2, prepare => 1);
wait_for(sub { $pg->value('select count(*) from account') > 100 }, 60, 'rows that are there before');
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_copied(\@Pg2any::Load::TABLES);
Pg2any::Load::check(@writers);
$standby->stop;
Pg2any::Load::stop(@writers);
$pipeline->wait_caught_up;
same_content($pg, $target, \@Pg2any::Load::TABLES, 'copied while commits are seen a second late');
$pipeline->stop;

# What a transaction wrote to a table before the publication had it does not come when it commits.
$pg = server();
$pg->do('create table later (id int primary key, t text)', q{insert into later values (1, 'before')});
$target = new_target();
$pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_copied(\@tables);
my $open = $pg->connect;
$open->do($_) for 'begin', q{insert into later values (2, 'open')};
$pg->do('alter publication cdc_pub add table later', q{insert into later values (3, 'after')}, 'create table other (id int primary key)');
$pipeline->wait_caught_up;
let_pass(0.5);
ok(!$target->has_table('later'), 'a table that joins is not copied while one that wrote before is open');
$pg->do('alter publication cdc_pub add table other');
$open->do('commit');
$pipeline->wait_copied(['later']);
$pg->do(q{insert into later values (4, 'after')});
$pipeline->wait_caught_up;
same_content($pg, $target, ['later'], 'a table that joins while one that wrote before is open');
$pipeline->stop;

# xids just below 2^32 and beyond, in a cluster whose rows are all frozen, so that no xid is older than those.
my $resetwal = Pg2any::Postgres::bin_dir() . '/pg_resetwal';
SKIP: {
    skip("no $resetwal", 2) if !-x $resetwal;
    my $FIRST = 4_294_967_296 - 1_500;
    my $near = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
    $near->connect(db => $_)->do('vacuum freeze') for qw(template1 postgres);
    $near->stop;
    my $clog = sprintf '%s/pg_xact/%04X', $near->data_dir, int($FIRST / 1_048_576);
    open my $fh, '>', $clog or die "$clog: $!\n";
    print {$fh} "\0" x 262_144;
    close $fh or die "$clog: $!\n";
    chown((stat $near->data_dir)[4, 5], $clog) or die "chown: $!\n";
    my $reset = Pg2any::Process->start(name => 'pg_resetwal', $near->server_process,
        argv => [$resetwal, '-e', 0, '-x', $FIRST, '-u', $FIRST - 100, '-D', $near->data_dir]);
    is($reset->wait_exit(30), 0, 'the xids are near the end of an epoch');
    $near->start;
    $near->do(Pg2any::Load::schema(), 'create table keyed (id int primary key, n int, pad text)', 'create table bag (n int)',
        'alter table bag replica identity full', q{insert into keyed select g, 0, repeat('x', 50) from generate_series(1, 5000) g},
        'insert into bag select g % 100 from generate_series(1, 2000) g', 'create publication cdc_pub for all tables',
        q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
    my @prepared = map { $near->connect } 1 .. 2;
    $prepared[$_]->do('begin') for 0 .. 1;
    $prepared[0]->do('update keyed set n = 7 where id % 100 = 0');
    $prepared[1]->do('delete from keyed where id % 100 = 1');
    $prepared[$_]->do("prepare transaction 'p$_'") for 0 .. 1;
    $target = new_target();
    $pipeline = Pg2any::Pipeline->new(pg => $near, target => $target, args => {
        capture => ['--copy', 'initial', '--copy-chunk', '32kB', $near->major >= 15 ? '--two-phase' : ()] });
    @writers = Pg2any::Load::start($near, writers => 3, seed => 1, pause => 0.02, prepare => 1);
    $pipeline->start;
    my $xid = sub { return $near->value('select pg_snapshot_xmax(pg_current_snapshot())') };
    $pipeline->wait_copied(['account', 'entry']);
    $near->do("commit prepared 'p0'", "rollback prepared 'p1'");
    $near->do('do $$ begin for i in 1 .. 200 loop perform pg_current_xact_id(); commit; end loop; end $$') while $xid->() < 4_294_967_296 + 50;
    my @both = (@Pg2any::Load::TABLES, 'keyed', 'bag');
    $pipeline->wait_copied(\@both);
    $near->do('create table later (id int primary key)', 'insert into later select generate_series(1, 500)');
    $pipeline->wait_copied(['later']);
    Pg2any::Load::check(@writers);
    Pg2any::Load::stop(@writers);
    $pipeline->wait_caught_up;
    same_content($near, $target, [@both, 'later'], 'copied across the end of an epoch of xids');
    $pipeline->stop;
}

done_testing;

# What the stream does not say is not taken for known. The catalog is asked about a row when that row is of
# the past: by then a name may be another column's, and a column that is new in the stream need not be new
# in the table. Each case runs to the end, changes, and runs once more: then both sides are equal, or it
# has stopped and says why.
# needs: postgres, any target, time

use Pg2any::Test;
use Pg2any::Wait qw(wait_for);

my $pg = Pg2any::Postgres->new(settings => { track_commit_timestamp => 'off',
    logical_decoding_work_mem => '64kB' });
$pg->do('create table pad (id int primary key, pad text not null)',
    'alter table pad alter pad set storage external', 'create table aside (id int)');
my $all_0 = { capture => 0, assemble => 0, apply => 0 };
my $count = 0;

# name, what is expected ('equal' or a pattern for the error), options, the steps after the first run. A
# step is SQL with %s for the table, or code.
sub case {
    my ($name, $expected, $option, @steps) = @_;
    my $table = 'proof_' . ++$count;
    my @sql = map { ref $_ ? $_ : s/%s/$table/gr } @steps;
    $pg->do(map {s/%s/$table/gr} @{ $option->{create} // ['create table %s (id int primary key, a text, b text)'] },
        $option->{publication} // 'create publication %s for table %s, pad');
    my $target = new_target(origin => $table);
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $table, publication => $table,
        args => { capture => ['--until-lsn', 'current', @{ $option->{capture} // [] }] });
    my $run = sub { $pipeline->start; return $pipeline->wait_all };
    is_deeply($run->(), $all_0, "$name: the slot is made");
    $pg->do(map {s/%s/$table/gr} @{ $option->{rows} // [q{insert into %s values (1, 'a1', 'b1'), (2, 'a2', 'b2')}] });
    is_deeply($run->(), $all_0, "$name: a first run");
    for my $step (@sql) {
        ref $step ? $step->($pipeline, $table, $run) : $pg->do($step);
    }
    my $status = $run->();
    if ($expected eq 'equal') {
        is_deeply($status, $all_0, "$name: followed");
        same_content($pg, $target, [$table, @{ $option->{tables} // [] }], "$name: equal");
    } else {
        is($status->{apply}, 100, "$name: stops");
        my ($error) = reverse grep {/level=error/} split /\n/, $pipeline->log_text('apply');
        like($error, $expected, "$name: says why");
        like($error, qr/start again/, "$name: and what to do");
    }
    $pg->drop_slot($table);
    $pg->do("drop publication $table");
    return;
}

my $changed_hands = qr/may be another one than before/;
my @hands = ('alter table %s drop b', 'alter table %s add b text');

# ---- a name that changes hands ----

case('a column dropped and made again', $changed_hands, {}, q{insert into %s values (3, 'a3', 'old')}, @hands,
    q{insert into %s values (4, 'a4', 'new')});
case('the same in the row\'s transaction', $changed_hands, {},
    "begin; insert into %s values (3, 'a3', 'old'); $hands[0]; $hands[1]; insert into %s values (4, 'a4', 'new'); commit");
case('the xid of the change is lower than the row\'s', $changed_hands, {}, sub {
    my (undef, $table) = @_;
    my $other = $pg->connect(AutoCommit => 0);
    $other->do('insert into aside values (1)');
    $pg->do("insert into $table values (3, 'a3', 'old')");
    $other->do(s/%s/$table/r) for @hands;
    $other->commit;
    $other->disconnect;
    $pg->do("insert into $table values (4, 'a4', 'new')");
});
case('a streamed transaction', $changed_hands, {},
    q{begin; insert into pad values (1, repeat('p', 200000)); insert into %s values (3, 'a3', 'old'); commit},
    @hands, q{insert into %s values (4, 'a4', 'new')});
SKIP: {
    skip 'prepared transactions are as old as PostgreSQL 15', 5 if $pg->major < 15;
    case('a prepared transaction', $changed_hands, { capture => ['--two-phase'] },
        q{begin; insert into %s values (3, 'a3', 'old'); prepare transaction 'hands'},
        q{commit prepared 'hands'}, @hands, q{insert into %s values (4, 'a4', 'new')});
}
case('a column renamed and another with its name', 'equal', {},
    q{insert into %s values (3, 'a3', 'b3')}, 'alter table %s rename a to z', 'alter table %s add a text',
    q{insert into %s values (4, 'z4', 'b4', 'a4')});
case('columns that swap their names', qr/renamed to \S+, and the target has both/, {},
    q{insert into %s values (3, 'a3', 'b3')},
    'alter table %s rename a to z; alter table %s rename b to a; alter table %s rename z to b',
    q{insert into %s values (4, 'b4', 'a4')});
case('an old and a new column, told by the position of the old ones', 'equal', {},
    q{insert into %s values (3, 'a3', 'b3')}, 'alter table %s drop a', q{alter table %s add a text default 'x'},
    q{insert into %s (id, b) values (4, 'b4')});

# Once the server was seen without a transaction from before the change, later rows are known to be later.
case('a column made again, and a row long after', 'equal', {}, 'alter table %s drop b', 'alter table %s add b text',
    sub {
        my ($pipeline, $table, $run) = @_;
        # The slot's catalog_xmin goes beyond the change.
        my $xid = $pg->value("select max(xmin::text::bigint) from pg_attribute where attrelid = '$table'::regclass");
        wait_for(sub {
            $pg->do('checkpoint');
            $run->();
            return $pg->slot($table)->{catalog_xmin} > $xid;
        }, 120, 'the slot to need no old rows of the catalog');
        $pg->do("insert into $table values (3, 'a3', 'new')");
    });

# ---- new in the stream, but not in the table ----

my $not_said = qr/is new in the stream, which does not say what it holds/;
SKIP: {
    skip 'column lists are as old as PostgreSQL 15', 20 if $pg->major < 15;
    my %list = (publication => 'create publication %s for table %s (id, a)');
    case('a column joins the column list', $not_said, {%list}, 'alter publication %s set table %s (id, a, b)',
        q{insert into %s values (3, 'a3', 'b3')});
    case('the column list is taken away', $not_said, {%list}, 'alter publication %s set table %s',
        q{insert into %s values (3, 'a3', 'b3')});
    case('a column with a value for older rows joins the list', $not_said,
        { %list, create => ['create table %s (id int primary key, a text)', 'alter table %s add b int default 5'],
            rows => [q{insert into %s values (1, 'a1', 77)}] },
        'alter publication %s set table %s', q{insert into %s values (3, 'a3', 88)});
    case('a column leaves the column list', 'equal', { publication => 'create publication %s for table %s' },
        'alter publication %s set table %s (id, a)', q{insert into %s values (3, 'a3', 'b3')}, sub { $_[2]->() },
        'alter table %s drop b', q{insert into %s values (4, 'a4')});
    case('another row filter', qr/its place in the publication changed/,
        { publication => 'create publication %s for table %s where (id < 10)' },
        'alter publication %s set table %s where (id < 20)', q{insert into %s values (3, 'a3', 'b3')});
}
case('out of the publication and back', qr/its place in the publication changed/, {},
    'alter publication %s drop table %s', q{insert into %s values (3, 'missing', 'b3')},
    'alter publication %s add table %s', q{insert into %s values (4, 'a4', 'b4')});
case('a publication that is made again', qr/its place in the publication changed/,
    { publication => 'create publication %s for all tables' },
    'drop publication %s', 'create publication %s for all tables', q{insert into %s values (4, 'a4', 'b4')});
case('a publication that leaves changes out for a while', qr/its place in the publication changed/, {},
    q{alter publication %s set (publish = 'insert')}, 'delete from %s where id = 1',
    q{alter publication %s set (publish = 'insert, update, delete, truncate')}, q{insert into %s values (4, 'a4', 'b4')});
SKIP: {
    skip 'from PostgreSQL 18 on generated columns may be published', 2 if $pg->major >= 18;
    case('DROP EXPRESSION', $not_said,
        { create => ['create table %s (id int primary key, a text, g text generated always as (a || id) stored)'],
            rows => [q{insert into %s values (1, 'a1')}] },
        'alter table %s alter g drop expression', q{insert into %s values (3, 'a3', 'g3')});
}
case('a default that is gone again', $not_said, {}, 'alter table %s add c float8 default random()',
    'alter table %s alter c drop default', 'insert into %s (id, c) values (3, 1)');
case('a constant default that is gone again', 'equal', {}, 'alter table %s add c int default 5',
    'alter table %s alter c drop default', 'insert into %s (id, c) values (3, 1)');
case('a constant default before the table was written anew', $not_said, {}, 'alter table %s add c int default 5',
    'alter table %s alter c drop default', 'vacuum full %s', 'insert into %s (id, c) values (3, 1)');
case('a column without a default, and VACUUM FULL before', 'equal', {}, 'vacuum full %s',
    'insert into %s values (3)', sub { $_[2]->() }, 'alter table %s add c int', 'insert into %s (id, c) values (4, 1)');
case('a default of a type with another delimiter', 'equal', {}, q{alter table %s add c box default '(1,1),(0,0)'},
    'insert into %s (id) values (3)');

# ---- partitions ----

my %parts = (create => ['create table %s (id int primary key, a text) partition by hash (id)',
    'create table %s_0 partition of %s for values with (modulus 2, remainder 0)',
    'create table %s_1 (a text, id int not null)',
    'alter table %s attach partition %s_1 for values with (modulus 2, remainder 1)'],
    publication => 'create publication %s for table %s with (publish_via_partition_root = true)',
    rows => [q{insert into %s select g, 'a' || g from generate_series(1, 8) g}]);
case('a constant default of a partitioned table', 'equal', {%parts}, 'alter table %s add c int default 5',
    'insert into %s (id) values (9)');
case('one that is gone again', 'equal', {%parts}, 'alter table %s add c int default 5',
    'alter table %s alter c drop default', 'insert into %s values (9)');
case('a volatile one that is gone again', $not_said, {%parts}, 'alter table %s add c float8 default random()',
    'alter table %s alter c drop default', 'insert into %s values (9)');
case('a column without a default, and a new partition', 'equal', { %parts,
    create => ['create table %s (id int primary key, a text) partition by range (id)',
        'create table %s_0 partition of %s for values from (0) to (100)'] },
    'alter table %s add c int', 'create table %s_1 partition of %s for values from (100) to (200)',
    'insert into %s values (9, null, 1), (109, null, 2)');

# ---- rows written anew, and other text for the same value ----

my $anew = qr/ALTER TABLE rewrote its rows/;
case('SET UNLOGGED and back', $anew, { publication => 'create publication %s for all tables' }, 'alter table %s set unlogged', q{insert into %s values (3, 'missing')},
    'alter table %s set logged', 'checkpoint', sub { $_[2]->() }, 'checkpoint', sub { $_[2]->() },
    sub {
        my (undef, $table, $run) = @_;
        my $xid = $pg->value("select xmin::text::bigint from pg_class where oid = '$table'::regclass");
        wait_for(sub {
            $pg->do('checkpoint');
            $run->();
            return $pg->slot($table)->{catalog_xmin} > $xid;
        }, 120, 'the slot to need no old rows of the catalog');
    }, q{insert into %s values (4, 'a4', 'b4')});
case('TRUNCATE, CLUSTER and VACUUM FULL', 'equal', {}, 'truncate %s', q{insert into %s values (3, 'a3', 'b3')},
    'vacuum full %s', q{insert into %s values (4, 'a4', 'b4')}, 'cluster %s using %s_pkey',
    q{insert into %s values (5, 'a5', 'b5')});
my %enum = (create => [q{create type mood_%s as enum ('new', 'done')}, 'create table %s (id int primary key, m mood_%s[])'],
    rows => [q{insert into %s values (1, '{new}'), (2, '{done}')}]);
case('a label of an enum is renamed', qr/a label of an enum type renamed/, {%enum},
    q{alter type mood_%s rename value 'done' to 'finished'}, q{insert into %s values (3, '{finished}')});
case('a label of an enum is added', 'equal', {%enum}, q{alter type mood_%s add value 'gone' before 'done'},
    q{insert into %s values (3, '{gone}')});
my %composite = (create => ['create type pair_%s as (x int, y text)', 'create domain dom_%s as pair_%s',
    'create table %s (id int primary key, p dom_%s)'], rows => [q{insert into %s values (1, '(1,a)')}]);
case('an attribute of a composite type is added', qr/attribute of a composite type added/, {%composite},
    'alter type pair_%s add attribute z int', q{insert into %s values (2, '(1,a,2)')});

# The server says nothing of it: the capture looks, now and then, before a row of the table.
{
    $pg->do(q{create type live_mood as enum ('new', 'done')}, 'create table live (id int primary key, m live_mood)',
        'create publication live for table live');
    my $target = new_target(origin => 'live');
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => 'live', publication => 'live');
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into live values (1, 'new'), (2, 'done')});
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['live'], 'before a label is renamed while rows flow');
    $pg->do(q{alter type live_mood rename value 'done' to 'finished'});
    my $id = 2;
    wait_for(sub {
        return 1 if !$pipeline->running || defined $pipeline->status('apply');
        $pg->do('insert into live values (' . ++$id . q{, 'finished')});
        return 0;
    }, 60, 'the applier to stop');
    is($pipeline->wait_exit('apply'), 100, 'a label that is renamed while rows flow: stops');
    like($pipeline->log_text('apply'), qr/a label of an enum type renamed/, 'and says why');
    $pipeline->wait_all;
    my (undef, undef, $report) = run_tool('pg-capture',
        args => ['--check', '--source', $pg->uri, '--slot', 'live', '--publication', 'live']);
    like($report, qr/^note  table public\.live has columns of type public\.live_mood: /m, 'check names such tables');
}

# ---- a commit that is not visible yet ----

# A synchronous standby is waited for: the transaction is in the WAL, but nobody sees it.
{
    my ($target, $pipeline) = (new_target(origin => 'late'));
    $pg->do('create table late (id int primary key, a text)', 'create publication late for table late');
    $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => 'late', publication => 'late');
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into late values (1, 'a')});
    $pipeline->wait_caught_up;
    $pg->do(q{alter system set synchronous_standby_names = 'nobody'}, 'select pg_reload_conf()');
    wait_for(sub { $pg->connect->selectrow_array('show synchronous_standby_names') eq 'nobody' }, 60, 'the setting');
    my $waiting = $pg->connect(pg_server_prepare => 0);
    $waiting->do(q{insert into late values (2, 'b')}, { pg_async => 1 + 0 });
    wait_for(sub { ($target->value('select count(*) from late') // 0) == 2 }, 60, 'a row that changes nothing of the table');
    pass('a transaction that is not visible yet, but has not changed the table, is not waited for');
    $waiting->pg_cancel;
    my $other = $pg->connect(pg_server_prepare => 0);
    $other->do(q{begin; alter table late add b int default 5; insert into late values (3, 'c', 6); commit},
        { pg_async => 1 + 0 });
    wait_for(sub { $pipeline->log_text('capture') =~ /does not show it yet: waiting/ }, 30, 'the capture to say that it waits');
    is($target->value('select count(*) from late'), 2, 'one that has is, and it says so');
    $pg->connect->do($_) for 'alter system reset synchronous_standby_names', 'select pg_reload_conf()';
    $other->pg_result;
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['late'], 'and then all is the same');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

done_testing;

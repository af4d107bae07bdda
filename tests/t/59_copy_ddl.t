# A table changes while it is copied: before the copy, in front of it, between two of its chunks. It is equal in the end,
# by a copy again where its rows cannot be known, or the pipeline has stopped and says why. A lock on one table keeps
# nothing else from being copied and followed.
#
# PG2ANY_SEED: chooses when each change is made. PG2ANY_MOMENTS: 'before held between after', each change at all of these.
# needs: postgres, time

use Pg2any::Test;

my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
my @moments = split / /, $ENV{PG2ANY_MOMENTS} // '';
diag("PG2ANY_SEED=$seed");
srand $seed;

# name => [statements, in one transaction; tables that are compared, besides k; statements behind it; how else]
my @changes = (
    ['a column' => ['alter table t add column c int', q{insert into t values (100001, 1, 'n', 5)}]],
    ['a column with a default' => ['alter table t add column c int default 5', q{insert into t values (100001, 1, 'n')}]],
    ['a column with a volatile default' => ['alter table t add column c float8 default random()', q{insert into t values (100001, 1, 'n')}]],
    ['a column less' => ['alter table t drop column n', q{insert into t values (100001, 'n')}]],
    ['another column of the name' => ['alter table t drop column n', 'alter table t add column n int default 3', q{insert into t values (100001, 'n')}]],
    ['a column renamed' => ['alter table t rename column n to m', q{insert into t values (100001, 1, 'n')}]],
    ['columns that change names' => ['alter table t add column m int', 'alter table t rename column n to x', 'alter table t rename column m to n',
        'alter table t rename column x to m', q{insert into t values (100001, 1, 'n', 4)}]],
    ['a wider type' => ['alter table t alter n type int8', q{insert into t values (100001, 5000000000, 'n')}]],
    ['text' => [q{alter table t alter n type text using 'x' || n}, q{insert into t values (100001, 'k', 'n')}]],
    ['text no more' => ['alter table t alter s type int using substr(s, 2)::int', 'insert into t values (100001, 1, 5)']],
    ['renamed' => ['alter table t rename to t2', q{insert into t2 values (100001, 1, 'n')}], ['t2']],
    ['tables that change names' => ['create table o (id int primary key, n int, s text)', q{insert into o select g, 9, 'o' from generate_series(1, 100) g},
        'alter table t rename to x', 'alter table o rename to t', 'alter table x rename to o', q{insert into t values (100001, 1, 'n')},
        q{insert into o values (100001, 1, 'n')}], ['t', 'o']],
    ['another schema' => ['create schema other', 'alter table t set schema other', q{insert into other.t values (100001, 1, 'n')}], ['other.t']],
    ['dropped' => ['drop table t'], []],
    ['made again' => ['drop table t', 'create table t (k text primary key, v int)', q{insert into t values ('a', 1), ('b', 2)}], ['t'],
        [q{insert into t values ('c', 3)}]],
    ['made again as it was' => ['drop table t', 'create table t (id int primary key, n int, s text)', q{insert into t values (1, 1, 'a')}], ['t'],
        ['insert into t values (3, 3, null)']],
    ['truncated' => ['truncate t', q{insert into t values (1, 1, 'a')}], ['t'], ['insert into t values (3, 3, null)']],
    ['replica identity full' => ['alter table t replica identity full', 'update t set n = n + 1']],
    ['no replica identity' => ['alter table t replica identity nothing', q{insert into t values (100001, 1, 'n')}]],
    ['another replica identity' => ['create unique index t_s on t (s)', 'alter table t alter s set not null', 'alter table t replica identity using index t_s',
        q{update t set s = s || 'x' where id < 10}], ['t'], ['delete from t where id = 1']],
    ['no primary key' => ['alter table t drop constraint t_pkey', q{insert into t values (1, 1, 'n')}]],
    ['another primary key' => ['alter table t drop constraint t_pkey', 'alter table t add primary key (s)', q{update t set s = s || 'x' where id < 5}]],
    ['unlogged' => ['alter table t set unlogged', q{insert into t values (100001, 1, 'n')}], []],
    # Where the transaction has other changes of it this is noticed when the table is described next.
    ['unlogged and back' => ['alter table t set unlogged', q{insert into t values (100001, 1, 'n')}, 'alter table t set logged', q{insert into t values (100002, 1, 'n')}],
        ['t'], ['alter table t set (fillfactor = 90)', q{insert into t values (100003, 1, 'n')}]],
    ['not published' => ['alter publication cdc_pub drop table t', 'update t set n = n + 1'], [], [], { listed => 1 }],
    ['out of the publication and back' => ['alter publication cdc_pub drop table t', 'update t set n = n + 1', 'alter publication cdc_pub add table t',
        q{insert into t values (100001, 1, 'n')}], ['t'], [], { listed => 1 }],
    ['written anew' => ['vacuum full t'], ['t'], [], { alone => 1 }],
    ['an enum' => [q{create type e as enum ('a', 'b')}, q{alter table t add column e e default 'a'}, q{insert into t values (100001, 1, 'n', 'b')}], ['t'],
        [q{alter type e rename value 'a' to 'z'}, q{insert into t values (100002, 1, 'n', 'z')}]],
    ['a child' => ['create table c () inherits (t)', q{insert into c values (200001, 1, 'c')}, q{insert into t values (100001, 1, 'n')}], ['c']],
    ['attached' => ['create table p (id int primary key, n int, s text) partition by range (id)',
        'alter table p attach partition t for values from (0) to (500000)', q{insert into p values (100001, 1, 'n')}]],
    ['detached' => ['alter table p detach partition t', q{insert into t values (100001, 1, 'n')}], ['t'], [],
        { before => ['create table p (id int primary key, n int, s text) partition by range (id)', 'alter table p attach partition t for values from (0) to (500000)'] }],
);

my $pg = Pg2any::Postgres->new;

sub stop_reason {
    my ($pipeline) = @_;
    return if !grep { ($_ // '') eq '100' } values %{ $pipeline->statuses };
    my ($reason) = map { $pipeline->log_text($_) =~ /level=error msg="(.*?[^\\])"/ } qw(capture apply);
    return $reason;
}

sub change_at {
    my ($moment, $name, $sql, $tables, $then, $how) = @_;
    $tables //= ['t'];
    $pg->do('drop schema if exists public, other cascade', 'create schema public', 'drop publication if exists cdc_pub',
        'create table t (id int primary key, n int, s text)', 'create table k (id int primary key)', 'insert into k values (1)',
        q{insert into t select g, g % 7, 'r' || g from generate_series(1, 2000) g}, @{ $how->{before} // [] },
        'create publication cdc_pub for ' . ($how->{listed} ? 'table t, k' : 'all tables'),
        q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')}, 'update t set n = n + 1 where id % 3 = 0');
    my $target = new_target();
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--copy-chunk', '4kB'] });
    my $other = $pg->connect;
    my $done = eval {
        $other->do($_) for $moment eq 'held' ? ('begin', 'lock table t in access exclusive mode') : ();
        $pipeline->start if $moment ne 'before';
        if ($moment eq 'held') {
            $pipeline->wait_copied(['k']);
        } elsif ($moment eq 'between') {
            $pipeline->wait_while_running(sub { $target->has_table('t') && $target->rows('select id from t limit 100') == 100 }, 30, 'the first rows');
        } elsif ($moment eq 'after') {
            $pipeline->wait_copied(['t', 'k']);
        }
        $other->do($_) for $how->{alone} ? ($moment eq 'held' ? 'commit' : ()) : $moment eq 'held' ? () : 'begin';
        $other->do($_) for 'update t set n = n + 1 where id % 5 = 0', @$sql;
        $other->do('commit') if !$how->{alone};
        $pg->do($_) for @{ $then // [] }, 'insert into k values (2)';
        $pipeline->start if $moment eq 'before';
        $pipeline->wait_copied([@$tables, 'k']);
        $pipeline->wait_caught_up;
        $pipeline->wait_copied([@$tables, 'k']); # again, where it is not known what the rows are
        $pipeline->wait_caught_up;
        1;
    };
    my $why = $@;
    my $reason = $done ? undef : stop_reason($pipeline);
    my @differences = $done ? compare_tables($pg->dbh, $target, [@$tables, 'k']) : ();
    $pipeline->stop;
    $other->disconnect;
    $pg->drop_slot('cdc_slot');
    ok($done ? !@differences : $reason, "$moment: $name") or diag(join "\n", $why, @differences);
    note("stopped: $reason") if defined $reason;
    return;
}

for my $change (@changes) {
    change_at($_, @$change) for @moments ? @moments : (qw(before held between after))[rand 4];
}

# From PostgreSQL 16 on the list of what is published waits for whoever holds a lock on any of it.
$pg->do('drop schema public cascade', 'create schema public', 'drop publication cdc_pub',
    (map { ("create table $_ (id int primary key)", "insert into $_ values (1)") } qw(locked free parted_1)),
    'create table parted (id int primary key) partition by range (id)', 'alter table parted attach partition parted_1 for values from (0) to (9)',
    'create publication cdc_pub for all tables', q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
my $holder = $pg->connect;
$holder->do($_) for 'begin', 'lock table locked in access exclusive mode';
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--connect-timeout', '5s'] });
$pipeline->start;
$pipeline->wait_copied(['free', 'parted_1']);
$pg->do('insert into free values (2)', 'insert into parted values (2)');
$pipeline->wait_caught_up;
same_content($pg, $target, ['free', 'parted_1'], 'beside a table that is locked');
$pipeline->wait_while_running(sub { $pipeline->log_text('capture') =~ /waits to be copied.* table=locked reason=/ }, 30, 'a word of what is waited for');
$holder->do('commit');
$pipeline->wait_copied(['locked']);
same_content($pg, $target, ['locked'], 'and that one when it is free');
unlike($pipeline->log_text('capture'), qr/connecting again|the server warns/, 'on one connection');
$pipeline->stop;

done_testing;

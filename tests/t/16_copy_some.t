# --copy only: a copy as of one moment, and the end. --copy-tables: which tables are copied; of the others the changes
# are followed, and that stays so whatever is restarted.
# needs: postgres

use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create schema far', 'create table item (id int primary key, v text)', 'create table far.away (id int primary key, v text)',
    'create table other (id int primary key, v text)', 'create table "odd.name" (id int primary key)',
    (map {"insert into $_ select g, 'old' from generate_series(1, 1000) g"} qw(item far.away other)),
    'insert into "odd.name" values (1)', 'create publication cdc_pub for all tables');

my $once = new_target(kind => 'sqlite');
my $front = Pg2any::Front->new(pg => $pg, targets => [$once], env => { CDC_COPY => 'only' });
my ($status, $out, $err) = $front->command(['run']);
is($status, 0, 'copy only: the end is 0') or diag($err);
same_content($pg, $once, ['item', 'far.away', 'other'], 'every table is there');
$pg->do('create table later (id int primary key)', 'insert into later values (1)', q{update item set v = 'new' where id = 1});
is(($front->command(['run']))[0], 0, 'once more');
same_content($pg, $once, ['item', 'far.away', 'other', 'later'], 'what was missing is copied, and the rest caught up');
unlike(($front->command(['run']))[2], qr/copying a table/, 'nothing is copied again');
$pg->drop_slot('cdc_slot');
$pg->do('drop table later');

# Some tables.
my $some = new_target(kind => 'sqlite');
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $some, args => {
    capture => ['--copy', 'initial', '--copy-tables', 'public.item,public.odd\.name', '--copy-tables', 'far.*'] });
# Nothing is copied yet when a change of another table comes, and all is killed.
my $locker = $pg->connect;
$pg->do(q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
$locker->do('begin');
$locker->do("lock table $_") for 'item', 'far.away', '"odd.name"';
$pipeline->start;
$pipeline->wait_streaming;
$pg->do(q{insert into other values (5001, 'new')});
$pipeline->wait_while_running(sub { $some->has_table('other') }, 30, 'the change');
$pipeline->wait_caught_up;
$pipeline->kill_all;
$locker->do('rollback');
$pipeline->start;
$pipeline->wait_while_running(sub { !grep { !$some->has_table($_) } 'item', 'far_away', 'odd.name' }, 60, 'the copies');
$pg->do(q{update item set v = 'followed' where id = 3}, 'insert into other values (5002, null)', 'create table far.new (id int primary key)',
    'insert into far.new values (1)');
$pipeline->wait_while_running(sub { $some->has_table('far_new') }, 60, 'a table that joins later');
$pipeline->wait_caught_up;
same_content($pg, $some, ['item', 'far.away', 'far.new'], 'the tables that are named, and a whole schema');
is_deeply([$some->rows('select id from other order by id')], [['5001'], ['5002']], 'of the others what changed');
like($pipeline->log_text('capture'), qr/copying a table/, 'copied they were');
$pipeline->stop;

# A name that nothing has.
my ($code, $said);
for my $tables ('public.items', 'far') {
    ($code, undef, $said) = Pg2any::Front->new(pg => $pg, targets => [new_target(kind => 'sqlite')],
        env => { CDC_COPY => undef, CDC_COPY_TABLES => $tables, CDC_REPLICATION_SLOT => 'none' })->command(['run']);
    is($code, 100, "CDC_COPY_TABLES=$tables: 100");
    like($said, qr/CDC_COPY_TABLES(?: names no table of the publications|: .*is not SCHEMA\.TABLE)/, 'and the reason');
}

done_testing;

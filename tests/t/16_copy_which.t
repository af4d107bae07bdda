# Which tables are copied. --copy only: a copy as of one moment, and the end. --copy-tables: of the others the changes are
# followed, and that stays so whatever is restarted. What the documentation has one do to get a table once more, or a
# target: a table that cannot be followed, one that was left out, a further target, a target that is built anew.
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
my $dir = fresh_name('services');
($status, undef, $err) = $front->command(['init', $dir]);
is($status, 100, 'it is no service');
like($err, qr/CDC_COPY=only ends.*pg2any run/, 'and told why');
ok(!-e $dir, 'nothing is set up');
$pg->drop_slot('cdc_slot');
$pg->do('drop table later');
(undef, undef, $err) = Pg2any::Front->new(pg => $pg, targets => [new_target(kind => 'sqlite')],
    env => { CDC_COPY => 'only', CDC_COPY_CHUNK => 100, CDC_LOG_LEVEL => 'debug', CDC_REPLICATION_SLOT => 'chunks' })->command(['run']);
is(scalar(() = $err =~ /"rows of a table are sent" schema=public table=item rows=100 /g), 10, 'chunks of so many rows');
$pg->drop_slot('chunks');

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

# Once more, by hand.
$pg->drop_slot($_) for grep { $pg->slot($_) } 'cdc_slot', 'none';
$pg = Pg2any::Postgres->new;
$pg->do('create table kept (id int primary key, v text)', 'create table turned (id int primary key, v text)',
    'create table left_out (id int primary key, v text)',
    (map {"insert into $_ select g, 'old' from generate_series(1, 1000) g"} qw(kept turned left_out)),
    'create publication cdc_pub for all tables');
my @tables = qw(kept turned left_out);
my ($target, $further) = map { new_target(kind => 'sqlite') } 1 .. 2;
# As with CDC_UNKNOWN=stop, which leaves it to people.
$front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => undef, CDC_UNKNOWN => 'stop' });

sub batch {
    my ($to, $what, %env) = @_;
    my ($status, undef, $err) = $to->command(['run', '--until-lsn', 'current'], env => \%env);
    is($status, 0, $what) or diag($err);
    return $err;
}

batch($front, 'the first start');
same_content($pg, $target, \@tables, 'all is copied');

# A table that cannot be followed.
$pg->do('alter table turned alter column v type bytea using v::bytea', q{insert into turned values (2000, '\x00')},
    q{insert into kept values (2000, 'new')});
($status, undef, $err) = $front->command(['run', '--until-lsn', 'current']);
is($status, 100, 'a change that cannot be followed stops');
my ($where) = $err =~ /origin = 'cdc_slot' AND relid = (\d+)/i;
$where //= $pg->value(q{select 'turned'::regclass::oid});
$target->dbh->do('drop table turned');
$target->dbh->do("delete from pg2any_relation where origin = 'cdc_slot' and relid = $where");
$err = batch($front, 'dropped and forgotten, it goes on');
like($err, qr/"copying a table" schema=public table=turned/, 'and is copied');
unlike($err, qr/"copying a table" schema=public table=kept/, 'it alone');
same_content($pg, $target, \@tables, 'equal');

# One that was left out.
$pg->do(q{update left_out set v = 'out' where id < 10});
batch($front, 'without a table', CDC_SKIP_TABLES => 'public.left_out');
$pg->do(q{delete from left_out where id > 500}, q{insert into left_out values (2001, 'out')});
($status) = $front->command(['run', '--until-lsn', 'current']);
is($status, 100, 'it does not come back by itself');
batch($front, 'caught up without it', CDC_SKIP_TABLES => 'public.left_out');
$target->dbh->do(q{delete from pg2any_relation where origin = 'cdc_slot' and relid = } . $pg->value(q{select 'left_out'::regclass::oid}));
batch($front, 'forgotten, it comes back');
same_content($pg, $target, \@tables, 'equal');

# A further target: what it does not have is copied, and the first passes over that.
my $two = Pg2any::Front->new(pg => $pg, targets => [$target, $further], env => { CDC_COPY => undef, CDC_UNKNOWN => 'stop' });
$pg->do(q{update kept set v = 'two' where id = 2});
$err = batch($two, 'a further target');
same_content($pg, $_, \@tables, 'equal') for $target, $further;
unlike($err, qr/stage=apply-1 \S+ msg="a table is copied"/, 'the first one has passed over it');

# A target that is built anew, over what is there.
is(($two->command(['drop', '--yes']))[0], 0, 'slot and checkpoints are dropped');
$pg->do('delete from kept where id % 2 = 0', q{update turned set v = '\x01'});
$target->dbh->do(q{update kept set v = 'wrong'});
batch($two, 'the next start');
same_content($pg, $_, \@tables, 'is equal, whatever was there') for $target, $further;

done_testing;

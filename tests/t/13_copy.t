# Rows that were there before the stream are copied: tables of each kind, exactly, whatever happens meanwhile.
# needs: postgres, any target

use Pg2any::Test;

my $initial = { capture => ['--copy', 'initial'] };

sub wait_tables {
    my ($pipeline, @tables) = @_;
    $pipeline->wait_copied(\@tables);
    $pipeline->wait_caught_up;
    return;
}

my $long = join ', ', map { "md5('$_')" } 1 .. 4;
my $pg = Pg2any::Postgres->new(settings => { max_prepared_transactions => 10, logical_decoding_work_mem => '64kB' });
my $lists = $pg->major >= 15;
$pg->do(
    'create table item (id int primary key, name text, raw bytea, at timestamptz)',
    q{insert into item select g, e'a\tb\\\\ \n' || g, '\x00ff', '2024-02-29 12:00+01' from generate_series(1, 3000) g},
    q{insert into item values (4000, null, null, null), (4001, '\N', '', 'epoch'), (4002, '', '\x5c', 'epoch')},
    'create table bag (n int, t text)', 'alter table bag replica identity full',
    q{insert into bag select g % 5, 'same' from generate_series(1, 500) g},
    'create table word (word varchar(100) primary key, n int)', q{insert into word select 'w' || g, g from generate_series(1, 500) g},
    'create table bare (id int primary key)',
    'create table doubled (id int primary key, twice int generated always as (id * 2) stored)',
    'insert into doubled select generate_series(1, 10)',
    'create table parent (id int primary key)', 'create table child (extra text, primary key (id)) inherits (parent)',
    'insert into parent values (1)', q{insert into child values (2, 'x')},
    'create table part (id int primary key, t text) partition by range (id)',
    'create table part_1 partition of part for values from (0) to (100)',
    'create table part_2 partition of part for values from (100) to (200)',
    q{insert into part select g, 'p' from generate_series(90, 110) g},
    "create table toasted (id int primary key, big text, n int)", 'alter table toasted alter big set storage external',
    "insert into toasted select g, repeat(concat($long), 40), 0 from generate_series(1, 30) g",
    'create publication cdc_pub for all tables');
my @tables = qw(item bag word bare doubled child part_1 part_2 toasted);
my $open = $pg->connect;
$open->do($_) for 'begin', 'insert into item values (5000, $$open$$)', 'update toasted set n = 1 where id = 1',
    q{insert into bag values (9, 'open')};
my $prepared = $pg->connect;
$prepared->do($_) for 'begin', 'insert into item values (5001, $$prepared$$)', 'delete from item where id = 7',
    'prepare transaction $$p$$';

my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => $initial);
# A slot is made when what runs has ended; it is there before, so that the copy meets both.
$open->do('commit');
$open->do($_) for 'begin', q{insert into item values (5002, 'open')}, q{insert into bag values (9, 'open')},
    'update toasted set n = 2 where id = 2', 'delete from word where n = 3';
$prepared->do('commit prepared $$p$$');
$prepared->do($_) for 'begin', q{update item set name = 'prepared' where id = 8}, q{delete from bag where n = 1};
$open->do('commit');
$prepared->do('rollback');
$pipeline->start;
$pipeline->wait_while_running(sub { Pg2any::Postgres::read_file($pipeline->stats_file('capture')) =~ /\A.*\bready$/m }, 30, 'the tables to be announced');
$open->do($_) for 'begin', q{insert into item values (5003, 'open')}, 'update toasted set n = 3 where id = 3', 'savepoint r',
    q{insert into bag select 8, 'streamed' from generate_series(1, 2000)}, 'savepoint s', 'delete from item', 'rollback to s';
$prepared->do($_) for 'begin', q{update item set name = 'prepared' where id = 9}, 'prepare transaction $$q$$';
$pg->do(q{update item set name = 'during' where id % 10 = 0}, 'delete from bag where n = 2', 'update item set id = id + 9000 where id < 5');
wait_tables($pipeline, @tables);
$pg->do('update toasted set n = n + 1 where id > 5', q{update word set word = word || '!' where n < 9}, 'insert into bare values (1)');
$open->do('commit');
$prepared->do('commit prepared $$q$$');
$pg->do(q{update child set extra = 'y'}, 'update part set id = id + 20 where id in (95, 96)', 'insert into doubled values (11)');
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'tables of each kind are copied, and followed from there');

$pg->do('create table later (id int primary key, t text)', q{insert into later values (1, 'a')},
    q{begin; insert into later values (2, 'b'); savepoint s; insert into later values (3, 'c'); rollback to s; commit},
    q{insert into later values (4, 'd')});
wait_tables($pipeline, 'later');
same_content($pg, $target, ['later'], 'a table that joins later');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

$pg->do('update item set name = name || $$ again$$', 'alter table later add column n int', 'insert into later values (5, $$e$$, 5)');
$pipeline->start;
$pipeline->wait_caught_up;
same_content($pg, $target, [@tables, 'later'], 'after a restart');
is_deeply([$target->rows('select * from parent')], [['1']], 'of a table with children its own rows');
unlike($pipeline->log_text('capture'), qr/copying a table.*copying a table schema=public table=item/s, 'nothing is copied again');
$pipeline->stop;
$pg->drop_slot('cdc_slot');

# A target that holds tables already is taken as it is.
my $old = new_target();
my $never = Pg2any::Pipeline->new(pg => $pg, target => $old, args => { capture => ['--copy', 'never'] });
$never->start;
$never->wait_streaming;
$pg->do('insert into bare values (2)');
$never->wait_caught_up;
$never->stop;
ok(!$old->has_table('item'), 'without copies a table is made by its first row');
my $later = Pg2any::Pipeline->new(pg => $pg, target => $old, args => $initial);
$later->start;
$later->wait_streaming;
$pg->do('insert into bare values (3)');
$later->wait_caught_up;
is_deeply([$old->rows('select id from bare order by id')], [['2'], ['3']], 'a target that was begun without copies goes on without');
like($later->log_text('apply'), qr/begun without copies/, 'and says so');
$later->stop;

done_testing;

# Tables of the source that run into MySQL's limits: rows that are too wide, columns that come when a
# row is full, defaults that no DEFAULT clause takes, numbers that clients would be shown rounded.
# needs: one postgres, mysql target

use Pg2any::Test;

my $many = sub { my ($n, $name, $type) = @_; return join ', ', map { "$name$_ $type" } 1 .. $n };
my ($pg, $target, $pipeline) = new_pair(sql => [
    'create table texts (id int primary key, ' . $many->(60, 'v', 'varchar(255)') . ', ' . $many->(380, 't', 'text') . ')',
    'create table numbers (id int primary key, ' . $many->(60, 'v', 'varchar(255)') . ', ' . $many->(200, 'n', 'numeric(20, 4)') . ')',
    'create table grows (id int primary key, ' . $many->(15, 'v', 'varchar(1000)') . ')',
    'create table filled (id int primary key)',
    'create table floats (id int primary key, r float4, d float8)',
    'create table by_float (r float4, n int)', 'alter table by_float replica identity full',
]);
my $equal = sub { my ($tables, $name) = @_; $pipeline->wait_caught_up; return same_content($pg, $target, $tables, $name) };

$pg->do(q{insert into texts (id, v1, v60, t380) values (1, 'a', repeat('é', 255), 'c')},
    q{insert into numbers (id, v1, v60, n200) values (1, 'a', repeat('é', 255), 1234567890123456.1234)});
$equal->(['texts', 'numbers'], 'a table that is wider than a row in VARCHARs');
is($target->value(q{select data_type from information_schema.columns where table_schema = database() and table_name = 'texts' and column_name = 'v1'}),
    'varchar', 'the first that fit are VARCHAR');

$pg->do(q{insert into grows values (1, 'a')});
for my $i (1 .. 4) {
    $pg->do("alter table grows add column w$i varchar(500) default 'w$i'", "insert into grows (id, v1) values (1 + $i, 'b')");
}
$equal->(['grows'], 'a column that comes when a row is full');
$pg->do('alter table grows alter column w1 type varchar(900)', q{insert into grows (id, w1) values (20, repeat('é', 900))});
$equal->(['grows'], 'a column that becomes too wide for the row');

$pg->do('insert into filled values (1)', q{alter table filled add column t text not null default repeat('secret ', 15000), add column b bytea default decode(repeat('00ff', 20000), 'hex')},
    'insert into filled values (2)');
$equal->(['filled'], 'a default that no DEFAULT clause takes');
unlike($pipeline->log_text('apply'), qr/secret/, '... and no log shows it');
ok(!$target->value(q{select count(*) from information_schema.columns where column_name like 'pg2any\_%' and table_schema = database() and table_name = 'filled'}),
    '... and nothing is left beside the columns');

$pg->do('insert into floats values (1, 16777216, 0.1), (2, 123456.7, 1e300), (3, 0.1, 0.30000000000000004), (4, 1e-40, -0.0), (5, 3.4028235e38, 1e-300)',
    'alter table floats add column f float4 default 0.1', 'insert into floats values (6, 1.1, 2.2, 3.3)');
$equal->(['floats'], 'floats');
my @wrong = grep { $_->[1] ne $_->[2] } map {
    my ($id, $r) = @$_;
    [$id, unpack('H*', pack 'f', $r), unpack('H*', pack 'f', $target->value("select concat(r) from floats where id = $id"))]
} $pg->rows('select id, r::text from floats');
is_deeply(\@wrong, [], 'a client of the text protocol is given the same numbers');
$pg->do('insert into by_float values (0.1, 1), (16777217, 2), (1e-40, 3), (3.4028235e38, 4)', 'update by_float set n = n + 10', 'delete from by_float where n = 11',
    'update by_float set r = r / 3 where n = 12');
$equal->(['by_float'], 'rows that are found by a float');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

# A crash before the value is in all rows leaves the column under another name.
$target->make->do('alter table filled add column pg2any_unfilled longtext');
$pg->do(q{alter table filled add column u text default repeat('u', 5000)}, 'insert into filled values (3)');
$pipeline->start;
$equal->(['filled'], 'a column that was left unfilled is made afresh');

# Rows that the transaction has written before would need the default.
$pg->do(q{begin; insert into filled values (4); alter table filled add column w text default repeat('w', 5000); insert into filled values (5); commit});
is($pipeline->wait_exit('apply', 60), 100, 'a long default behind rows of the same transaction: a stop');
like($pipeline->log_text('apply'), qr/changed rows of \S+ before this change/, '... that says why');

# Too many columns.
my $narrow = new_target(origin => 'narrow');
$pg->do('drop publication cdc_pub', 'create table thousand (' . $many->(1100, 'c', 'int') . ')', 'create publication cdc_pub for table thousand');
my $other = Pg2any::Pipeline->new(pg => $pg, target => $narrow, slot => 'narrow');
$other->start;
$other->wait_streaming;
$pg->do('insert into thousand (c1) values (1)');
is($other->wait_exit('apply', 60), 100, 'more columns than a table of InnoDB has: a stop');
like($other->log_text('apply'), qr/Too many columns/, '... that names the limit');

done_testing;

# The TDS peer that stands for SQL Server in these tests: what it stores, what it refuses with which
# number, how transactions and locks behave. Over the wire it is used by every other test here.
# needs: mssql target

use Pg2any::MSSQL;
use Pg2any::Test;

my $server = Pg2any::MSSQL->new(fast => 1, databases => ['d']);
my $session = $server->session('d');

# The numbers of the errors of a batch.
sub errors {
    my ($sql, $in) = @_;
    my $sink = Pg2any::MSSQL::Sink->new;
    ($in // $session)->run_batch($sql, $sink);
    return join ' ', map { /\A(\d+)/ } @{ $sink->{errors} };
}

sub answer {
    my ($sql, $in) = @_;
    my $sink = Pg2any::MSSQL::Sink->new;
    ($in // $session)->run_batch($sql, $sink);
    return join '; ', @{ $sink->{errors} }, map { join ',', map { $_ // 'NULL' } @$_ } @{ $sink->{rows} };
}

is(errors('set xact_abort, nocount on; set lock_timeout 300'), '', 'the session’s settings');
is(errors(q{create table t (id int not null primary key, v nvarchar(5), d decimal(5, 2), at datetime2(3), u uniqueidentifier,
    b varbinary(3), f real, n tinyint, x bit, k nvarchar(10) collate Latin1_General_100_BIN2, constraint u unique (k))}), '', 'a table');

for my $case (
    [q{insert into t (id, v) values (1, N'12345 ')}, '', 'blanks at the end do not count'],
    [q{insert into t (id, v) values (2, N'123456')}, 2628, 'text that is too long'],
    [q{insert into t (id, b) values (2, 0x01020304)}, 2628, 'bytes that are too long'],
    [q{insert into t (id) values (1)}, 2627, 'the primary key twice'],
    [q{insert into t (id) values (null)}, 515, 'NULL in the primary key'],
    [q{insert into t (id, k) values (2, N'a'); insert into t (id, k) values (3, N'a ')}, 2627, 'a unique key ignores blanks at the end'],
    [q{insert into t (id, k) values (3, N'A')}, '', 'and not the case, where it is binary'],
    [q{insert into t (id, k) values (4, null)}, 2627, 'NULLs are equal in it'],
    [q{insert into t (id, d) values (4, N'1000')}, 8115, 'a number beyond its precision'],
    [q{insert into t (id, d) values (4, N'x')}, 8114, 'text that is no number'],
    [q{insert into t (id, n) values (4, 256)}, 220, 'beyond tinyint'],
    [q{insert into t (id, n) values (4, N'256')}, 244, 'beyond tinyint, as text'],
    [q{insert into t (id) values (N'x')}, 245, 'text that is no integer'],
    [q{insert into t (id) values (N'3000000000')}, 248, 'text beyond int'],
    [q{insert into t (id, at) values (4, N'2024-02-30')}, 241, 'no date'],
    [q{insert into t (id, u) values (4, N'x')}, 8169, 'no uniqueidentifier'],
    [q{insert into t (id, f) values (4, N'NaN')}, 8114, 'NaN'],
    [q{insert into t (id, f) values (4, N'1e39')}, 232, 'beyond real'],
    [q{insert into t (id, at) values (4, 5)}, 206, 'an integer in a date'],
    [q{select convert(datetimeoffset, 5)}, 529, 'and explicitly'],
    [q{insert into t (id, b) values (4, N'x')}, 257, 'text in bytes without CONVERT'],
    [q{insert into nowhere values (1)}, 208, 'no such table'],
    [q{insert into t (nothing) values (1)}, 207, 'no such column'],
    [q{select a.id from t as b}, 4104, 'no such alias'],
    [q{insert into t (id, id) values (1, 2)}, 264, 'a column twice'],
    [q{insert into t (id) values (1, 2)}, 110, 'more values than columns'],
    [q{insert into t (id) values } . join(',', map { "($_)" } 1 .. 1001), 10_738, 'more than a thousand rows'],
    [q{create table t (id int)}, 2714, 'a table twice'],
    [q{create table w (a int, A int)}, 2705, 'a column twice, but for case'],
    [q{create table nowhere.w (a int)}, 2760, 'no such schema'],
    [q{select 1; create schema s}, 111, 'CREATE SCHEMA not first'],
    [q{select select}, 156, 'a reserved word'],
    [q{merge into t using t as s on 1 = 1 when matched then delete;}, 156, 'MERGE'],
    [q{select * from t where id}, 102, 'a scalar as a condition'],
    [q{select * from openjson(N'[1') with (a int '$')}, 13_609, 'bad JSON'],
    [q{alter table t drop column k}, '5074 4922', 'a column with a constraint'],
    [q{alter table t alter column id bigint not null}, '5074 4922', 'the type of a key'],
    [q{commit}, 3902, 'COMMIT without BEGIN'],
    [q{rollback}, 3903, 'ROLLBACK without BEGIN'],
    [q{select * from t as a inner join t as b on a.v = b.k}, 468, 'two collations'],
    [q{exec nothing}, 2812, 'no such procedure'],
    ) {
    my ($sql, $number, $name) = @$case;
    is(errors($sql), $number, $name);
}

# ---- IDENTITY, computed columns, foreign keys ----

is(errors('create table i (id int identity(5, 2) primary key, v int, c as (v)); create table j (id int identity primary key)'), '', 'IDENTITY');
is(errors('insert into i (id, v) values (1, 1)'), 544, 'an explicit value');
is(answer('insert into i (v) values (1), (2); select id, v from i order by id'), '5,1; 7,2', 'its own values');
is(errors('set identity_insert i on; insert into i (v) values (3)'), 545, 'none where there must be one');
is(errors('set identity_insert j on'), 8107, 'for a second table');
is(errors('insert into i (id, v) values (1, 1); set identity_insert i off'), '', 'an explicit value with IDENTITY_INSERT');
is(errors('update i set id = 9'), 8102, 'an UPDATE');
is(errors('insert into i (v, c) values (1, 1)'), 271, 'a computed column');
is(errors('create table p (id int primary key); create table c (id int references p (id)); insert into p values (1); insert into c values (1)'), '', 'a foreign key');
is(errors('insert into c values (2)'), 547, 'which is broken by a row');
is(errors('delete from p'), 547, 'or by the lack of one');
is(errors('truncate table p'), 4712, 'TRUNCATE of a table that is referred to');

is(errors('create table uq (id int primary key, v int, w int); create unique index u_v on uq (v); create unique index u_w on uq (w) where w is not null'), '', 'unique indexes');
is(errors('insert into uq values (1, null, null); insert into uq values (2, 2, null)'), '', 'one NULL, and NULLs outside of a filter');
is(errors('insert into uq values (3, null, 3)'), 2601, 'a second NULL');
is(errors('insert into uq values (4, 4, 1); insert into uq values (5, 5, 1)'), 2601, 'a value that is there, of those in the filter');
is(errors('create table ig (id int); create unique index ig_u on ig (id) with (ignore_dup_key = on)'), '', 'an index that ignores');
is(answer('insert into ig values (1), (2); insert into ig values (2), (3); select count(*) from ig'), '3', 'leaves rows out');
is(errors('create table kc (id int constraint kc_p references p (id) on delete cascade on update cascade)'), '', 'a foreign key with actions');
my $keys = q{select name, is_disabled, delete_referential_action, update_referential_action from sys.foreign_keys where name = N'kc_p'};
is(answer($keys), 'kc_p,0,1,1', 'is in the catalog');
is(errors('alter table kc nocheck constraint kc_p; insert into kc values (77)'), '', 'and can be turned off');
is(answer($keys), 'kc_p,1,1,1', 'which the catalog says');
is(errors('create trigger tr on uq after insert, update as select 1'), '', 'a trigger');
my $triggers = q{select name, is_disabled from sys.triggers where parent_id = object_id(N'uq')};
is(answer($triggers), 'tr,0', 'is in the catalog');
is(errors('disable trigger tr on uq'), '', 'and can be turned off');
is(answer($triggers), 'tr,1', 'which the catalog says');
is(errors('drop trigger tr'), '', 'and dropped');
is(answer($triggers), '', 'from the catalog, too');
is(errors('create view vv as select 1 as one'), '', 'a view');
is(answer(q{select 1 where object_id(N'vv') is not null and object_id(N'vv', N'U') is null}), '1', 'is an object, and no table');
is(errors('create table vv (id int)'), 2714, 'whose name is taken');
is(errors('drop table kc'), '', 'away with it');

# ---- transactions and locks ----

is(answer('begin tran; insert into p values (10); save tran s; insert into p values (11); rollback tran s; commit; select id from p order by id'), '1; 10', 'a savepoint');
is(answer('begin tran; insert into p values (12); insert into p values (12)') =~ /\A2627/, 1, 'XACT_ABORT: an error');
is(answer('select @@trancount, xact_state(); select id from p order by id'), '0,0; 1; 10', 'ends the transaction');
is(answer('set xact_abort off; begin tran; insert into p values (12); insert into p values (12); insert into p values (13); commit; set xact_abort on; select count(*) from p') =~ /; 4\z/, 1, 'without it, the statement');
is(answer(q{select cast(id as nvarchar(9)) + N'!' from p where id in (select id from c)}), '1!', 'expressions');
my $other = $server->session('d');
is(errors('set lock_timeout 200; set xact_abort on', $other), '', 'another session');
errors('begin tran; update p set id = id + 100 where id = 13');
is(errors('update p set id = 0 where id = 1', $other), 1222, 'waits for a lock, as long as it wants to');
is(answer('select count(*) from p where id = 113', $other), '0', 'and does not see what is not committed');
errors('commit');
is(answer('select count(*) from p where id = 113', $other), '1', 'but what is');

# ---- rows ----

is(errors(q{create table r (id int not null primary key, v nvarchar(max), b varbinary(max), d datetimeoffset(6), x decimal(38, 10))}), '', 'another table');
is(errors(q{insert into r select j.a, j.b, convert(varbinary(max), j.c, 2), j.d, j.e from openjson(N'[[1,"\u00e9\"\\\\",null,null,null],[2,"","00FF","2024-01-01 00:00:00.5 +00:00","-0.0000000001"],[3]]')
    with (a int '$[0]', b nvarchar(max) '$[1]', c varchar(max) '$[2]', d datetimeoffset(6) '$[3]', e decimal(38, 10) '$[4]') as j}), '', 'rows from JSON');
my $target = new_target(kind => 'mssql', server => $server, database => 'd');
is_deeply([$target->rows('select * from r order by id')], [[1, 'é"\\', undef, undef, undef], [2, '', "\0\xff", '2024-01-01 00:00:00.500000 +00:00', '-0.0000000001'], [3, undef, undef, undef, undef]],
    'are in the file as they should be');
is(errors('update t set id = j.a from r as t inner join (values (1, 2), (2, 3), (3, 1)) as j (b, a) on t.id = j.b'), '', 'keys in a ring');
is(answer('select id, v from r where id < 3 order by id'), '1,NULL; 2,é"\\', 'end as if at once');
is(answer(q{select name, max_length, precision, scale, collation_name from sys.columns where object_id = object_id(N'r') order by column_id}),
    'id,4,0,0,NULL; v,-1,0,0,SQL_Latin1_General_CP1_CI_AS; b,-1,0,0,NULL; d,10,0,6,NULL; x,17,38,10,NULL', 'the catalog');

# ---- kill -9 ----

my $before = $server->pid;
$server->kill9;
$server->start;
isnt($server->pid, $before, 'started again after kill -9');
is(answer('select count(*) from r', $server->session('d')), '3', 'with what was committed');

done_testing;

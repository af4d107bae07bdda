# Tables that are made, and tables made by hand: schemas and databases, types that do not fit, keys,
# IDENTITY, foreign keys, TRUNCATE, columns and tables that come, go and change. What the target would
# change stops the applier; nothing of its transaction stays. The server is the TDS peer.
# needs: one postgres, mssql target, time

use Pg2any::MSSQL;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $server = Pg2any::MSSQL->new(fast => 1);
my $all_0 = { capture => 0, assemble => 0, apply => 0 };
my $count = 0;

# A pipeline of its own; `target` is run in its database before it starts.
sub scenario {
    my (%arg) = @_;
    my $origin = 'tables_' . ++$count;
    $pg->do(@{ $arg{source} }, "create publication $origin for all tables");
    my $target = new_target(kind => 'mssql', server => $arg{server} // $server, origin => $origin, uri => [parameters => { encrypt => 'no', %{ $arg{parameters} // {} } }],
        schema_map => $arg{schema_map} // { public => 'dbo' });
    $target->dbh->do($_) for @{ $arg{target} // [] };
    my $self = bless { origin => $origin, target => $target, pipeline => Pg2any::Pipeline->new(pg => $pg, target => $target,
        slot => $origin, publication => $origin, args => { apply => $arg{args} // [] }) }, 'Scenario';
    $self->{pipeline}->start;
    $self->{pipeline}->wait_streaming;
    return $self;
}

sub Scenario::run { my ($self, @sql) = @_; $pg->do(@sql); return $self }

# One after the other: the catalog tells of the last of several changes only.
sub Scenario::steps {
    my ($self, @sql) = @_;
    for my $sql (@sql) {
        $pg->do($sql);
        $self->{pipeline}->wait_caught_up;
    }
    return $self;
}

sub Scenario::same {
    my ($self, $tables, $name, %option) = @_;
    $self->{pipeline}->wait_caught_up;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    same_content($pg, $self->{target}, $tables, $name, %option);
    return $self;
}

sub Scenario::stops {
    my ($self, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($self->{pipeline}->wait_exit('apply'), 100, "$name: exit 100");
    my ($error) = reverse grep { /level=error/ } split /\n/, $self->{pipeline}->log_text('apply');
    like($error // '', $like, "$name: and it says so");
    unlike($self->{pipeline}->log_text('apply'), qr/s3cret/, "$name: without the row's values");
    $self->{pipeline}->wait_all;
    return $self;
}
sub Scenario::mend { my ($self, @sql) = @_; $self->{target}->dbh->do($_) for @sql; return $self }
sub Scenario::again { my ($self) = @_; $self->{pipeline}->start; $self->{pipeline}->wait_streaming; return $self }

sub Scenario::leave {
    my ($self, @drop) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply($self->{pipeline}->stop, $all_0, "$self->{origin}: all leave with 0") if $self->{pipeline}->running;
    $pg->drop_slot($self->{origin});
    $pg->do("drop publication $self->{origin}", @drop);
    return;
}

# ---- schemas and databases, names ----

{
    $server->do('create database [other.db]');
    my $s = scenario(
        schema_map => {},
        args => ['--schema-map', 'sales:verkauf,far:[other.db].[dbo],odd]one:o]]p'],
        source => ['create schema sales', 'create schema far', 'create schema "odd]one"', 'create table t (id int primary key, v text)',
            'create table sales.t (id int primary key, v text)', 'create table far.t (id int primary key, v text)',
            q{create table "odd]one"."select" (id int primary key, "order" text, "a]b''c""d" text, "über" int)}],
    );
    $s->{target}{schema_map} = { sales => 'verkauf', 'odd]one' => 'o]]p' };
    $s->run(map { "insert into $_ values (1, '$_')" } qw(t sales.t far.t));
    $s->run(q{insert into "odd]one"."select" values (1, 'x', 'y', 2)}, q{update "odd]one"."select" set "order" = ''']; drop table t --', "über" = 3},
        'begin; update t set v = v || 2; update sales.t set v = v || 3; update far.t set v = v || 4; commit');
    $s->same(['t', 'sales.t', 'odd]one.select'], 'schemas that are mapped, and one that keeps its name; names that need their brackets');
    is_deeply([$server->rows('select v from dbo.t', db => 'other.db')], [['far.t4']], 'a schema that is mapped to another database');
    $s->steps('alter table far.t add column more int default 5', 'alter table far.t rename column v to w', q{insert into far.t values (2, 'b', 6)});
    $s->{pipeline}->wait_caught_up;
    is_deeply([$server->rows('select id, w, more from dbo.t order by id', db => 'other.db')], [[1, 'far.t4', 5], [2, 'b', 6]],
        'its table follows the source');
    $s->leave('drop schema sales, far, "odd]one" cascade', 'drop table t');
}
{
    my $s = scenario(source => ['create table pg2any_checkpoint (id int primary key)']);
    $s->run('insert into pg2any_checkpoint values (1)')->stops(qr/pg2any uses itself/, 'a table with the name of our own');
    $s->leave('drop table pg2any_checkpoint');
}
{
    my $s = scenario(source => ['create table "T" (id int primary key)', 'create table t (id int primary key)']);
    $s->run('insert into t values (1)', 'insert into "T" values (2)')->stops(qr/another relation/, 'two names that differ in case');
    $s->leave('drop table "T", t');
}

{
    my $s = scenario(source => ['create table "#t" (id int primary key)']);
    $s->run('insert into "#t" values (1)')->stops(qr/the name #t, and the target keeps names that begin with # for itself/,
        'a name of temporary tables');
    $s->leave('drop table "#t"');
}

# ---- columns made by hand that would change a value ----

# [source type, target type, value that fits, value that does not]; undef: refused at once, by its name.
for my $case (
    ['text', 'nvarchar(10)', q{'fits'}, q{'does not fit: s3cret'}],
    ['bytea', 'varbinary(4)', q{'\x01'}, q{'\x0102030405'}],
    ['int', 'int not null', '1', 'null'],
    ['int', 'smallint', undef, '1'],
    ['numeric(12, 4)', 'decimal(12, 2)', undef, '1.234'],
    ['numeric', 'decimal(10, 2)', undef, '1.005'],
    ['float8', 'real', undef, '0.1'],
    ['timestamp', 'datetime2(3)', undef, q{'2024-01-01 00:00:01.0001'}],
    ['timestamp', 'datetime', undef, q{'2024-01-01'}],
    ['timestamptz', 'datetime2(6)', undef, q{'2024-01-01'}],
    ['text', 'varchar(100)', undef, q{'😀 s3cret'}],
    ['text', 'int', undef, q{'007'}],
    ['text', 'text', undef, q{'s3cret'}],
    ['char(5)', 'nchar(5)', undef, q{'ab'}],
    ['jsonb', 'xml', undef, q{'1'}],
    ['int', 'rowversion', undef, '1'],
    ) {
    my ($type, $here, $fits, $not) = @$case;
    my $name = "$type in $here";
    my $s = scenario(source => ["create table narrow (id int primary key, v $type)"], target => ["create table narrow (id int not null primary key, v $here)"]);
    if (defined $fits) {
        $s->run("insert into narrow select g, $fits from generate_series(1, 20) g")->same(['narrow'], "$name: values that fit arrive");
    }
    $s->run("begin; insert into narrow select g, $not from generate_series(100, 150) g; commit")
        ->stops(qr/public\.narrow|column v/, "$name: a value that does not fit");
    is($s->{target}->value('select count(*) from narrow where id >= 100'), 0, "$name: and nothing of its transaction stays");
    $s->leave('drop table narrow');
}

# ---- what a table made by hand may have ----

{
    my $s = scenario(
        source => ['create table made (id int primary key, name text, price numeric(10, 2), flag bool, at timestamptz)'],
        target => [q{create table made (price decimal(20, 4), [ID] bigint not null primary key, extra nvarchar(10) default N'x',
            name nvarchar(100) collate Latin1_General_100_CI_AI, flag tinyint, at datetimeoffset(7), stamp rowversion)}]
    );
    $s->run(q{insert into made select g, 'n' || g, g / 100.0, g % 2 = 0, '2024-01-01 12:00+02' from generate_series(1, 1000) g},
        'update made set price = price + 1 where id % 3 = 0', 'delete from made where id % 7 = 0', 'update made set id = id + 10000 where id < 10');
    $s->{pipeline}->wait_caught_up;
    is_deeply([$s->{target}->rows('select count(*), sum(id), sum(cast(price as real)), min(price), min(extra), max(at) from made')],
        [[$pg->rows(q{select count(*), sum(id), sum(price)::float8, min(price)::numeric(20, 4)::text, 'x', '2024-01-01 10:00:00.0000000 +00:00' from made})]->[0] // []],
        'wider types, other columns, another order');
    $s->leave('drop table made');
}
{
    my $s = scenario(source => ['create table k (k text primary key, v int)'], target => ['create table k (k nvarchar(100) not null primary key, v int)']);
    $s->run(q{insert into k values ('a', 1)})->stops(qr/identifies rows.*Latin1_General_100_BIN2/, 'a key in a collation that ignores case');
    $s->leave('drop table k');
}
{
    my $s = scenario(source => ['create table c (id int primary key, v int)'], target => ['create table c (id int not null primary key, v as (id))']);
    $s->run('insert into c values (1, 1)')->stops(qr/column v is computed/, 'a computed column');
    $s->leave('drop table c');
}
{
    # Keys that SQL Server takes for equal.
    my $s = scenario(source => ['create table blank (k text primary key, v int)', 'create table zero (k bytea primary key, v int)']);
    $s->run(q{insert into blank values ('a', 1), ('b ', 2)}, q{insert into zero values ('\x01', 1), ('\x0200', 2)},
        q{update blank set v = 3 where k = 'b '}, q{delete from blank where k = 'a'}, q{update zero set v = 3 where k = '\x0200'})
        ->same(['blank', 'zero'], 'keys that end in blanks or zeros');
    $s->run(q{insert into blank values ('b', 4)})->stops(qr/insert_exists/, 'a key that differs from another by a blank at its end');
    $s->leave('drop table blank, zero');
}

# ---- IDENTITY ----

{
    my $s = scenario(
        source => [map { "create table $_ (id int primary key, v text, w text)" } qw(one two)],
        target => [map { "create table $_ (id int identity(1, 1) primary key, v nvarchar(max), w nvarchar(max))" } qw(one two)]
    );
    $pg->do(map { "alter table $_ alter w set storage external" } qw(one two));
    $s->run(map { my $r = $_; map { "insert into $_ select g * 2 + $r * 1000, 'x', null from generate_series(1, 50) g" } qw(one two) } 1 .. 3);
    $s->run('begin; insert into one values (9001, 1), (9002, 2); insert into two values (9003, 3); insert into one values (9004, 4); commit',
        'update one set v = v || id', 'update one set id = id + 100000 where id < 1020', 'delete from two where id % 3 = 0')
        ->same(['one', 'two'], 'IDENTITY columns get the source’s values, and new ones');
    # An error while IDENTITY_INSERT is ON leaves nothing behind that another table would trip over.
    $server->fault(match => 'IDENTITY_INSERT \[dbo\]\.\[one\] ON', action => 'error_after', number => 1205, severity => 13);
    $s->run('insert into one values (9101, null)', 'insert into two values (9102, null)')->same(['one', 'two'], 'an error beside IDENTITY_INSERT');
    $s->run("insert into one values (9200, 'a', repeat('x', 10000))", 'update one set id = 9201 where id = 9200')
        ->stops(qr/IDENTITY.*column w was not sent/, 'a key that changes while a value was not sent');
    $s->leave('drop table one, two');
}

# ---- foreign keys and TRUNCATE ----

{
    my $s = scenario(
        source => ['create table parent (id int primary key, v int)', 'create table child (id int primary key, parent int references parent)',
            'create table alone (id int primary key)'],
        target => ['create table parent (id int not null primary key, v int)',
            'create table child (id int not null primary key, parent int references parent (id))', 'create table alone (id int not null primary key)']
    );
    $s->run('insert into parent select g, g from generate_series(1, 100) g', 'insert into child select g, g from generate_series(1, 100) g',
        'insert into alone select generate_series(1, 100)', 'truncate alone')->same(['parent', 'child', 'alone'], 'TRUNCATE of a table by itself');
    $s->run('truncate parent, child', 'insert into parent values (1, 1)', 'insert into child values (1, 1)')
        ->same(['parent', 'child'], 'TRUNCATE of tables that refer to each other');
    $s->run('begin; insert into alone values (5); truncate parent cascade; insert into parent values (7, 7); commit')
        ->same(['parent', 'child', 'alone'], 'TRUNCATE … CASCADE in the middle of a transaction');
    my @truncates = map { $_->{text} =~ /(TRUNCATE TABLE|DELETE FROM) \[dbo\]\.\[(\w+)\]/ ? "$1 $2" : () } $server->statements;
    is_deeply([@truncates], ['TRUNCATE TABLE alone', 'TRUNCATE TABLE child', 'DELETE FROM parent', 'TRUNCATE TABLE child', 'DELETE FROM parent'],
        'as TRUNCATE TABLE where no foreign key refers to the table, after those that refer to it');
    $s->{pipeline}->stop;
    $s->mend('delete from child', 'delete from parent')->again;
    $s->run('insert into child values (2, 7)')->stops(qr/insert into public\.child.*547.*NOCHECK/, 'a foreign key of the target');
    $s->leave('drop table parent, child, alone');
}
{
    # Rows of two tables, and of one that refers to itself.
    my $s = scenario(
        source => ['create table parent (id int primary key, up int references parent)', 'create table child (id int primary key, parent int references parent)'],
        target => ['create table parent (id int not null primary key, up int references parent (id))', 'create table child (id int not null primary key, parent int references parent (id))']
    );
    $s->run('insert into parent select g, nullif(g - 1, 0) from generate_series(1, 50) g', 'insert into child select g, g from generate_series(1, 50) g',
        'begin; insert into parent values (100, 1); insert into child values (100, 100), (101, 1); update child set parent = 100 where id < 10; delete from child where id between 10 and 20; update parent set up = 100 where id = 21; delete from parent where id between 10 and 20; commit',
        (map { "begin; insert into parent values (200 + $_, 1); insert into child values (200 + $_, 200 + $_); commit" } 1 .. 20),
        'begin; delete from child where parent > 200; delete from parent where id > 200; insert into parent values (300, 1); insert into child values (300, 300); commit')
        ->same(['parent', 'child'], 'foreign keys hold: rows come in the order of the source');
    $s->leave('drop table child, parent');
}
{
    my $no_alter = Pg2any::MSSQL->new(fast => 1, name => 'plain-user', alter => 0);
    my $s = scenario(server => $no_alter, source => ['create table t (id int primary key)']);
    $s->run('insert into t values (1)', 'truncate t', 'insert into t values (2)')
        ->same(['t'], 'TRUNCATE without the permission for TRUNCATE TABLE, and without one to see what depends on the table');
    $s->leave('drop table t');
}

# ---- what the target would do of its own ----

my @family = ('create table parent (id int primary key, v int)', 'create table child (id int primary key, parent int, v int)');
sub family_there {
    my ($action) = @_;
    return ('create table parent (id int not null primary key, v int)',
        "create table child (id int not null primary key, parent int constraint child_parent references parent (id) $action, v int)");
}
my @families = ('insert into parent values (1, 0), (2, 0)', 'insert into child values (1, 1, 0), (2, 1, 0), (3, 2, 0)');
for my $action ('on delete cascade', 'on update set null', 'on delete cascade on update cascade') {
    my $s = scenario(source => \@family, target => [family_there($action)]);
    $s->run($families[0])->stops(qr/table \[dbo\]\.\[parent\] has the foreign key child_parent refer to it.*NOCHECK CONSTRAINT.*foreign_keys=on/, $action);
    $s->mend('alter table child nocheck constraint child_parent')->again;
    $s->run($families[1], 'begin; delete from parent where id = 1; insert into parent values (1, 5); commit', 'update parent set id = 3 where id = 2')
        ->same(['parent', 'child'], "$action, turned off");
    $s->leave('drop table parent, child');
}
{
    my $s = scenario(source => ['create table parent (id int primary key, v int)', 'create table child (id int primary key, parent int references parent on delete cascade, v int)'],
        target => [family_there('on delete cascade')], parameters => { foreign_keys => 'on' });
    $s->run(@families)->same(['parent', 'child'], 'foreign_keys=on');
    $s->run('delete from parent where id = 1')->stops(qr/delete from public\.child.*delete_missing/, 'the target has deleted the children itself');
    $s->leave('drop table child, parent');
}
{
    my $s = scenario(source => ['create table t (id int primary key)'],
        target => ['create table t (id int not null primary key)', 'create trigger [t]]r] on t instead of insert as select 1']);
    $s->run('insert into t values (1)')->stops(qr/table \[dbo\]\.\[t\] has the trigger t\]r.*DISABLE TRIGGER; or triggers=on/, 'a trigger');
    $s->mend('disable trigger [t]]r] on t')->again->same(['t'], 'turned off');
    $s->leave('drop table t');
}
{
    my $s = scenario(source => ['create table t (id int primary key)'], parameters => { triggers => 'on' },
        target => ['create table t (id int not null primary key)', 'create trigger tr on t after insert as select 1']);
    $s->run('insert into t values (1)')->same(['t'], 'triggers=on');
    $s->leave('drop table t');
}
{
    my $s = scenario(source => ['create table t (id int primary key)'], target => ['create view t as select 1 as id']);
    $s->run('insert into t values (1)')->stops(qr/\[dbo\]\.\[t\] in the target is a view or something else/, 'a view in the place of a table');
    $s->mend('drop view t')->again->same(['t'], 'without it the table is made');
    $s->leave('drop table t');
}
{
    my $s = scenario(source => ['create table t (id int primary key)'],
        target => ['create table t (id int not null primary key, more int not null, d int not null default 3, c as (7), stamp rowversion)']);
    $s->run('insert into t values (1)')->stops(qr/column more of the target table \[dbo\]\.\[t\] is NOT NULL without a default/, 'a column without a value');
    $s->mend('alter table t drop column more')->again->same(['t'], 'without it, it goes on', extra_columns => 1);
    $s->leave('drop table t');
}
for my $rows ('(1, 1)', '(1, 1), (2, 5)') {
    # An index that leaves rows out without an error.
    my $s = scenario(source => ['create table t (id int primary key, v int)'],
        target => ['create table t (id int not null primary key, v int)', 'create unique index u on t (v) with (ignore_dup_key = on)', 'insert into t values (9, 1)']);
    $s->run("insert into t values $rows")->stops(qr/insert into public\.t.*insert_exists/, "IGNORE_DUP_KEY, $rows");
    is($s->{target}->value('select count(*) from t'), 1, 'and nothing of its transaction stays');
    $s->mend('delete from t where id = 9')->again->same(['t'], 'without the row that is in the way');
    $s->leave('drop table t');
}

# ---- unique indexes beside the key ----

my @unique = ('create table u (id int primary key, v int, w int)', 'create unique index u_v on u (v)');
for my $case (
    ['insert into u values (1, null, 1), (2, null, 2)'],
    ['insert into u values (1, null, 1), (2, 2, 2)', 'update u set v = null where id = 2'],
    ['insert into u values (1, null, 1), (2, 2, 2), (3, 3, 3)', 'update u set v = null where id > 1'],
    ) {
    my $s = scenario(source => \@unique, target => ['create table u (id int not null primary key, v int, w int)', 'create unique index u_v on u (v)']);
    $s->run(@$case)->stops(qr/public\.u.*the unique index u_v of the target takes one NULL only in column v: make it one WHERE v IS NOT NULL/, "a second NULL: $case->[-1]");
    $s->mend('drop index u_v on u', 'create unique index u_v on u (v) where v is not null')->again->same(['u'], 'with a filter it goes on');
    $s->leave('drop table u');
}
{
    # The server looks at the index after the statement.
    my $s = scenario(source => ['create table u (id int primary key, v int unique deferrable initially deferred, w int)'],
        target => ['create table u (id int not null primary key, v int, w int)', 'create unique index u_v on u (v)']);
    $s->run('insert into u select g, g, g from generate_series(1, 20) g', 'update u set v = 21 - v', 'begin; update u set v = 100 where id = 1; update u set v = 20 where id = 2; update u set v = 19 where id = 1; commit')
        ->same(['u'], 'values that change places at once');
    $s->run('begin; update u set v = 18 where id = 1; delete from u where id = 20; update u set v = 19 where id = 3; commit')
        ->stops(qr/update of public\.u.*2601.*another row has the same value there\. Is the source/, 'and one after the other');
    $s->mend('drop index u_v on u')->again->same(['u'], 'without the index it goes on');
    $s->leave('drop table u');
}

# ---- a target that follows ----

{
    my $s = scenario(source => ['create table f (id int primary key, a int, b text)', 'create table g (a int not null, b text not null, v text)',
        'create unique index g_u on g (b, a)', 'alter table g replica identity using index g_u', 'create table none ()', 'create table wide (id smallint primary key, v varchar(3))']);
    $s->steps(q{insert into f select g, g, 'b' from generate_series(1, 100) g}, 'alter table f add column c int default 7',
        q{insert into f values (101, 1, 'x', 2)}, 'alter table f drop column a', q{update f set c = 1 where id = 5},
        'alter table f rename column b to bb', q{update f set bb = 'y' where id = 6}, q{alter table f add column d bytea default '\x00ff'},
        q{insert into f values (102, 'x', 3, '\x01')}, q{alter table f add column e timestamptz default '2024-01-01Z'}, q{insert into f (id) values (103)})
        ->same(['f'], 'columns added with what the rows before hold, dropped, renamed');
    $s->steps('create schema moved', 'alter table f rename to ff', q{insert into ff (id) values (104)}, 'alter table ff set schema moved', q{insert into moved.ff (id) values (105)});
    $s->{target}{schema_map}{moved} = 'moved';
    $s->same(['moved.ff'], 'a table renamed, and moved to another schema');
    $s->run('begin; insert into moved.ff (id) values (106); alter table moved.ff add column late int default 3; insert into moved.ff (id, late) values (107, 4); alter table moved.ff drop column bb; insert into moved.ff (id) values (108); commit')
        ->same(['moved.ff'], 'columns that come and go between rows of one transaction');
    $s->run(q{insert into g select x, 'b' || x, 'v' from generate_series(1, 50) x}, q{update g set v = 'w' where a = 3}, q{update g set a = -a where a > 40}, 'delete from g where a = 9')
        ->same(['g'], 'replica identity by an index');
    $s->run(('insert into none default values') x 3)->{pipeline}->wait_caught_up;
    is($s->{target}->value('select count(*) from none'), 3, 'a table without columns');
    $s->steps(q{insert into wide values (1, 'abc')}, 'alter table wide alter id type int', q{insert into wide values (70000, 'abc')},
        'alter table wide alter v type varchar(2500)', q{insert into wide values (2, repeat('x', 2500))}, 'alter table wide alter id type bigint', q{insert into wide values (5000000000, '')})
        ->same(['wide'], 'types that become wider, in the primary key too');
    is_deeply([$s->{target}->primary_key('wide')], ['id'], 'which is there again');
    $s->leave('drop schema moved cascade', 'drop table g, none, wide');
}
{
    my $s = scenario(source => ['create table filled (id int primary key)', 'create table pair (a smallint, b smallint, v int, primary key (a, b))'],
        target => ['create table pair (a smallint not null, b smallint not null, v int, constraint [the ke]]y] primary key (a, b))']);
    my @fills = (bool => 'true', int8 => -5_000_000_000, 'numeric(10, 2)' => -1.5, numeric => '1.50', real => 0.1, float8 => '1e-300', money => 12.5, date => q{'2024-02-29'},
        time => q{'12:00:00.5'}, timestamp => q{'2024-02-29 12:00:00.000001'}, timestamptz => q{'2024-02-29 12:00:00+02'}, uuid => q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'},
        bytea => q{'\x270a00'}, text => q{'it''s é😀'}, 'varchar(5)' => q{' x '}, interval => q{'1 day'}, jsonb => q{'{"a": 1}'});
    my @add = map { "add column c$_ $fills[2 * $_] default $fills[2 * $_ + 1]" } 0 .. $#fills / 2;
    $s->steps('insert into filled select generate_series(1, 10)', 'alter table filled ' . join(', ', @add), 'insert into filled values (11)')
        ->same(['filled'], 'what the rows before hold, of every type');
    $s->steps('insert into pair values (1, 2, 3)', 'alter table pair alter a type int, alter b type bigint', 'insert into pair values (70000, 5000000000, 4)')
        ->same(['pair'], 'two columns of a primary key become wider at once');
    is_deeply([$s->{target}->primary_key('pair')], ['a', 'b'], 'which is there again');
    $s->leave('drop table filled, pair');
}

# ---- conflicts in a transaction that is too large to be held ----

{
    my $s = scenario(source => ['create table big (id int primary key, v text)'], args => ['--group-bytes', '100kB', '--conflict', 'apply']);
    $s->run(q{insert into big select g, 'old' from generate_series(1, 10) g})->{pipeline}->wait_caught_up;
    $s->mend(q{insert into big values (5005, N'theirs')}, 'delete from big where id = 7');
    $s->run(q{begin; insert into big select g, repeat('x', 100) from generate_series(5000, 9000) g; update big set v = 'new' where id < 100; commit})
        ->same(['big'], 'a row that exists, and one that is missing, in a large transaction');
    $s->leave('drop table big');
}

done_testing;

# Tables that are made, and tables made by hand: schemas that go to databases, types that do not fit,
# keys, foreign keys, TRUNCATE, columns that come. A value that the target would change stops the
# applier; nothing of its transaction stays.
# needs: one postgres, mysql target

use Pg2any::Front;
use Pg2any::Test;

my $pg    = Pg2any::Postgres->new;
my $all_0 = {capture => 0, assemble => 0, apply => 0};
my $count = 0;

# A pipeline of its own over the tables of one schema or more, made by `source`; `target` is run in its
# database before it starts.
sub scenario {
    my (%arg) = @_;
    my $origin = 'tables_' . ++$count;
    $pg->do(@{$arg{source}});
    $pg->do("create publication $origin for " . ($arg{publication} // 'all tables'));
    my $target = new_target(
        kind       => 'mysql',
        origin     => $origin,
        schema_map => $arg{schema_map} // {},
        uri        => [parameters => $arg{parameters} // {}]
    );
    my $dbh = $target->make;
    $dbh->do($_) for @{$arg{target} // []};
    my @map = map {('--schema-map', $_)} join ',',
        map {"$_:$arg{schema_map}{$_}"} sort keys %{$arg{schema_map} // {}};
    my $self = bless {
        origin   => $origin,
        target   => $target,
        pipeline => Pg2any::Pipeline->new(
            pg          => $pg,
            target      => $target,
            slot        => $origin,
            publication => $origin,
            args        => {apply => [$arg{schema_map} ? @map : (), @{$arg{args} // []}]}
        )
        },
        'Scenario';
    $self->{pipeline}->start;
    $self->{pipeline}->wait_streaming;
    return $self;
}

sub Scenario::run {my ($self, @sql) = @_; $pg->do(@sql); return $self}

sub Scenario::same {
    my ($self, $tables, $name, %option) = @_;
    $self->{pipeline}->wait_caught_up;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return same_content($pg, $self->{target}, $tables, $name, %option);
}

sub Scenario::stops {
    my ($self, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($self->{pipeline}->wait_exit('apply'), 100, "$name: exit 100");
    my ($error) = reverse grep {/level=error/} split /\n/, $self->{pipeline}->log_text('apply');
    like($error   // '', $like, "$name: and it says so");
    unlike($error // '', qr/s3cret/, "$name: without the row's values");
    $self->{pipeline}->wait_all;
    return $self;
}
sub Scenario::mend {my ($self, @sql) = @_; $self->{target}->dbh->do($_) for @sql; return $self}

sub Scenario::again {
    my ($self) = @_;
    $self->{pipeline}->start;
    $self->{pipeline}->wait_streaming;
    return $self;
}

# What a check says of the target, the pipeline stopped.
sub Scenario::check_says {
    my ($self, $like, $name, %uri) = @_;
    my $front = Pg2any::Front->new(
        pg      => $pg,
        targets => [$self->{target}],
        env     => {CDC_REPLICATION_SLOT => $self->{origin}, CDC_PUBLICATION => $self->{origin}}
    );
    $front->{env}{CDC_DEST_URI} = $self->{target}->server->uri(db => $self->{target}->database, %uri)
        if %uri;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    like(($front->command(['check']))[1], $like, $name);
    return $self;
}

sub Scenario::leave {
    my ($self, @drop) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply($self->{pipeline}->stop, $all_0, "$self->{origin}: all leave with 0")
        if $self->{pipeline}->running;
    $pg->drop_slot($self->{origin});
    $pg->do("drop publication $self->{origin}", @drop);
    return;
}

# ---- a table that shares locks with another ----

{
    my $s = scenario(source => ['create table parent (id int primary key, a int, gone int)', 'create table child (id int primary key, pid int)']);
    $s->run('insert into parent values (1, 1, 1)', 'insert into child values (1, 1)')->same(['parent', 'child'], 'a parent and a child');
    $s->mend('alter table child add foreign key (pid) references parent (id)');
    $s->{pipeline}->stop;
    # Both transactions are in one group: the first one's rows hold what the change of the table needs.
    $s->run('alter table parent add column x int default 7', 'insert into child values (2, 1)', 'update parent set a = 9 where id = 1');
    $s->again->same(['parent', 'child'], 'a new column of a table that a foreign key of a changed one refers to');
    $s->{pipeline}->stop;
    $s->run('alter table parent drop column gone', 'insert into child values (3, 1)', 'update parent set a = 10 where id = 1');
    $s->again->same(['parent', 'child'], 'and a column dropped');
    $s->leave('drop table parent, child');
}

# ---- schemas ----

{
    my $s = scenario(
        schema_map => {sales => 'sales_db', 'odd "one' => 'odd`db'},
        source     => [
            'create schema sales',
            'create schema other',
            'create schema "odd ""one"',
            'create table t (id int primary key, v text)',
            'create table sales.t (id int primary key, v text)',
            'create table other.u (id int primary key, v text)',
            'create table "odd ""one".t (id int primary key)'
        ]
    );
    $s->run(
        q{insert into t values (1, 'public')},
        q{insert into sales.t values (1, 'sales')},
        q{insert into other.u values (1, 'other')},
        q{insert into "odd ""one".t values (1)},
        q{update sales.t set v = 'changed'}
    )->same(['t', 'sales.t', 'other.u', 'odd "one.t'],
        'a mapped schema is a database, made when it is missing; others are in the URI’s');
    is($s->{target}->server->value(q{select v from sales_db.t}), 'changed', 'there it is');
    $s->run(
        q{begin; insert into t values (2, 'a'); insert into sales.t values (2, 'b'); update t set v = 'c'; delete from sales.t where id = 1; commit}
    )->same(['t', 'sales.t'], 'a transaction over two databases');
    $s->run('create table other.t (id int primary key)', 'insert into other.t values (1)')
        ->stops(qr/another relation/, 'two tables that would be one at the target');
    $s->leave('drop schema sales, other, "odd ""one" cascade', 'drop table t');
}
{
    my $s = scenario(
        args       => ['--schema-map', 'sales:sales_new'],
        parameters => {create_database => 'off'},
        source     => ['create schema sales', 'create table sales.t (id int primary key)']
    );
    $s->run('insert into sales.t values (1)')
        ->stops(qr/sales_new/, 'create_database=off: a mapped schema’s database is missing');
    $s->mend('create database sales_new')->again;
    $s->{pipeline}->wait_caught_up;
    is($s->{target}->server->value('select count(*) from sales_new.t'),
        1, 'create_database=off: made by hand, it goes on');
    $s->leave('drop schema sales cascade');
}

# ---- names that MySQL does not have ----

for my $case (
    ['"😀"',    'id', qr/table \S+ has a character beyond U\+FFFF.*rename it at the source/],
    ['emoji',   '"😀"', qr/column \S+ has a character beyond U\+FFFF/],
    ['"blank "', 'id', qr/table blank  ends with a blank/],
    ['blank',   '"b "', qr/column b  ends with a blank/],
    )
{
    my ($table, $column, $like) = @$case;
    my $s = scenario(source => ["create table $table ($column int primary key)"]);
    $s->run("insert into $table values (1)")->stops($like, "$table ($column)");
    $s->leave("drop table $table");
}

# ---- columns made by hand that would change a value ----

# [source type, target type, value that fits, value that does not]. The one that does not fit comes by an
# insert, by an update, and among many rows.
my @narrow = (
    ['text',         'varchar(10) character set utf8mb4', q{'fits'},    q{'does not fit: s3cret'}],
    ['varchar(300)', 'tinytext character set utf8mb4',    q{'fits'},    q{repeat('s3cret', 50)}],
    ['bytea',        'varbinary(4)',                      q{'\x01'},    q{'\x0102030405'}],
    ['int',          'smallint',                          '32767',      '32768'],
    ['int',          'tinyint',                           '-128',       '-129'],
    ['bigint',       'int',                               '2147483647', '2147483648'],
    ['int',          'int unsigned',                      '5',          '-1'],
    ['bigint',       'bigint unsigned',                   '5',          '-5'],
    ['numeric(12, 4)', 'decimal(12, 2)', '1.5',                      '1.234'],
    ['numeric(12, 2)', 'decimal(6, 2)',  '1234.56',                  '12345.67'],
    ['numeric',        'decimal(10, 2)', '1.50',                     '1.005'],
    ['numeric',        'int',            '7',                        '7.5'],
    ['float8',         'float',          '0.5',                      '0.1'],
    ['float8',         'decimal(10, 2)', '0.5',                      '0.001'],
    ['timestamp',      'datetime',       q{'2024-01-01 00:00:01'},   q{'2024-01-01 00:00:01.5'}],
    ['timestamp',      'datetime(3)',    q{'2024-01-01 00:00:01.5'}, q{'2024-01-01 00:00:01.0001'}],
    ['timestamptz',    'timestamp(6) null', q{'2024-01-01Z'},        q{'2050-01-01Z'}],
    ['timestamptz',    'timestamp(6) null', q{'1970-01-02Z'},        q{'1960-01-01Z'}],
    ['timestamp',      'date',              q{'2024-01-01'},         q{'2024-01-01 00:00:01'}],
    ['date',           'year',              undef,                   q{'2024-01-01'}],
    ['time',           'time',              q{'12:00'},              q{'12:00:00.5'}],
    ['text',    'varchar(100) character set latin1',     q{'caf' || chr(233)}, q{'😀 s3cret'}],
    ['text',    'varchar(100) character set utf8mb3',    q{'é'},               q{'😀 s3cret'}],
    ['text',    'varchar(100) character set ascii',      q{'a'},               q{'é s3cret'}],
    ['text',    'int',                                   undef,                q{'007'}],
    ['text',    'date',                                  undef,                q{'2024-02-30'}],
    ['text',    'datetime(6)',                           undef,                q{'s3cret'}],
    ['text',    q{enum('a', 'b') character set utf8mb4}, q{'a'},               q{'s3cret'}],
    ['text',    q{set('a', 'b') character set utf8mb4},  q{'a'},               q{'a,c'}],
    ['bool',    'bit(1)',                                'true',               undef],
    ['int',     'bool',                                  '1',                  '1000'],
    ['bit(5)',  'bit(3)',                                undef,                q{B'11111'}],
    ['uuid',    'char(32) character set ascii', undef, q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'}],
    ['int',     'varchar(2)',                   '12',  '123'],
    ['int',     'int not null',                 '1',   'null'],
    ['text',    'text character set utf8mb4 not null', q{''},     'null'],
    ['char(5)', 'char(5) character set utf8mb4',       undef,     q{'ab'}],
    ['text',    'char(20) character set utf8mb4',      q{'a'},    q{'a  '}],
    ['jsonb',   'json',                                q{'null'}, undef],
);
for my $case (@narrow) {
    my ($type, $here, $fits, $not) = @$case;
    my $name = "$type in $here";
    my $s    = scenario(
        source => ["create table narrow (id int primary key, v $type)"],
        target => ["create table narrow (id int primary key, v $here)"]
    );
    # Refused at once, by its name, or when a value does not fit; but never changed.
    my $refused = 0;
    if (defined $fits) {
        $s->run("insert into narrow values (1, $fits)",
            'insert into narrow values (2, null)' x ($here !~ /not null/));
        if (!eval {$s->{pipeline}->wait_caught_up; 1}) {
            $refused = 1;
        } else {
            same_content($pg, $s->{target}, ['narrow'], "$name: a value that fits arrives");
        }
    }
    if (!defined $not && !$refused) {
        $s->leave('drop table narrow');
        next;
    }
    if (!$refused) {
        my $kind = (qw(insert update many))[$count % 3];
        if ($kind eq 'update' && defined $fits) {
            $s->run(
                "begin; insert into narrow values (10, $fits); update narrow set v = $not where id = 1; commit"
            );
        } elsif ($kind eq 'many' && defined $fits) {
            $s->run(
                "insert into narrow select g, case when g = 77 then ($not)::$type else ($fits)::$type end from generate_series(10, 100) g"
            );
        } else {
            $s->run("begin; insert into narrow values (10, $not); commit");
        }
        if (eval {$s->{pipeline}->wait_caught_up; 1}) {
            same_content($pg, $s->{target}, ['narrow'], "$name: it was held after all ($kind)");
            $s->leave('drop table narrow');
            next;
        }
    }
    $s->stops(qr/public\.narrow|narrow.*column|column v/, "$name: a value that does not fit");
    is($s->{target}->value('select count(*) from narrow where id >= 10'),
        0, "$name: and nothing of its transaction stays");
    $s->mend('drop table narrow')->again->{pipeline}->wait_caught_up if !defined $fits;
    $s->leave('drop table narrow');
}

# ---- what a table made by hand may have ----

{
    my $s = scenario(
        source => [
            'create table made (id int primary key, name text, price numeric(10, 2), flag bool, at timestamptz)'
        ],
        target => [
            'create table made (price decimal(20, 4), `ID` bigint not null primary key, extra varchar(10) default \'x\', `name` varchar(100) character set utf8mb4 collate utf8mb4_general_ci, flag int, at datetime(6), stamp timestamp not null default current_timestamp)'
        ]
    );
    $s->run(
        q{insert into made select g, 'n' || g, g / 100.0, g % 2 = 0, '2024-01-01 12:00+02' from generate_series(1, 1000) g},
        'update made set price = price + 1 where id % 3 = 0',
        'delete from made where id % 7 = 0',
        'update made set id = id + 10000 where id < 10'
    );
    $s->{pipeline}->wait_caught_up;
    is_deeply(
        [
            map {0 + $_} @{
                $s->{target}->dbh->selectrow_arrayref(
                    'select count(*), sum(`ID`), sum(price), sum(flag) from made')
            }
        ],
        [
            map {0 + $_} $pg->dbh->selectrow_array(
                'select count(*), sum(id), sum(price), sum(flag::int) from made')
        ],
        'other types that hold the values, another order, columns of its own, another case of a name'
    );
    is(
        $s->{target}
            ->value(q{select count(*) from made where extra = 'x' and at = '2024-01-01 10:00:00'}),
        $pg->value('select count(*) from made'), 'its own columns get their defaults'
    );
    $s->leave('drop table made');
}
{
    my $s = scenario(
        source => ['create table lacking (id int primary key, v text)'],
        target => ['create table lacking (id int primary key)'],
        args   => ['--ddl', 'create']
    );
    $s->run('insert into lacking values (1)')
        ->stops(qr/lacking.*column v/, 'a table that lacks a column');
    $s->mend('alter table lacking add v longtext character set utf8mb4')
        ->again->same(['lacking'], 'with the column it goes on');
    $s->leave('drop table lacking');
}
{
    # Two rows of the source that a case-insensitive key takes for one.
    my $s = scenario(
        source => ['create table folded (k varchar(20) primary key, v int)'],
        target => [
            'create table folded (k varchar(20) character set utf8mb4 collate utf8mb4_general_ci primary key, v int)'
        ]
    );
    $s->run(
        q{insert into folded values ('a', 1), ('A', 2)},
        q{update folded set v = 3 where k = 'a'}
    );
    $s->stops(qr/folded/, 'a key in a collation without case takes two rows for one');
    $s->leave('drop table folded');
}
{
    # CHAR gives a value back without its trailing blanks, and finds it no more by what the source sends.
    my $nopad = ($ENV{PG2ANY_MYSQL_FLAVOUR} // 'mariadb') eq 'mariadb' ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';
    my $s = scenario(
        source => ['create table padded (k char(4) primary key, v int)'],
        target => ["create table padded (k char(4) character set utf8mb4 collate $nopad primary key, v int)"]
    );
    $s->run(q{insert into padded values ('a', 1)});
    $s->stops(qr/column k identifies rows.*trailing blanks.*varchar/, 'a key in a column of CHAR');
    $s->mend("alter table padded modify k varchar(4) character set utf8mb4 collate $nopad")
        ->again->same(['padded'], 'as VARCHAR it goes on');
    $s->run(q{update padded set v = 2 where k = 'a'})->same(['padded'], 'and its rows are found');
    $s->leave('drop table padded');
}
{
    # MySQL makes a number of NULL; 0 it keeps.
    my $s = scenario(
        source => ['create table counted (n int, v int)', 'alter table counted replica identity full'],
        target => ['create table counted (n int auto_increment, v int, key (n)) engine = InnoDB']
    );
    $s->run('insert into counted values (0, 1), (7, 2)')->same(['counted'], 'numbers go into a column that counts');
    $s->run('insert into counted values (null, 3)');
    $s->stops(qr/column n: the value is NULL, for which the target makes a number/, 'NULL does not');
    $s->mend('alter table counted modify n int')->again->same(['counted'], 'into an ordinary column it does');
    $s->leave('drop table counted');
}

# ---- TRUNCATE and columns, with rows around them in the same transaction ----

{
    my $s = scenario(
        source => [
            'create table t (id int primary key, v text)',
            'create table u (id int primary key, t int references t)'
        ]
    );
    $s->run(
        q{insert into t select g, 'x' from generate_series(1, 100) g},
        'insert into u select g, g from generate_series(1, 50) g'
    )->same(['t', 'u'], 'before');
    $s->run(
        q{begin; insert into t values (101, 'gone'); truncate t, u; insert into t values (1, 'new'); update t set v = v || '!'; commit}
    )->same(['t', 'u'], 'TRUNCATE of two tables between rows of a transaction');
    $s->run(q{begin; truncate t cascade; insert into t values (2, 'x'); rollback},
        q{insert into u values (1, 1)})->same(['t', 'u'], 'a TRUNCATE that is rolled back');
    $s->run('truncate t cascade')->same(['t', 'u'], 'TRUNCATE … CASCADE');
    $s->run(
        'begin; insert into t select g from generate_series(1, 10) g; alter table t add c int default 7, add d text default \'it\'\'s\'; insert into t values (20, \'y\', 1); truncate u; update t set c = c + 1; commit',
        'insert into t values (30)'
    )->same(['t', 'u'], 'columns that come and a TRUNCATE, in one transaction after rows');
    my $defaults = q{select count(*) from information_schema.columns where table_schema = database() and table_name = 't' and column_default <> 'NULL'};
    ok(wait_for(sub { $s->{target}->value($defaults) == 0 }, 60, 'the defaults to go'),
        'the defaults, by which the rows that were there got their values, go after the commit');
    $s->run(
        'begin; alter table t drop d; insert into t values (40, \'y\', 1); alter table t add e int; update t set e = 1; commit'
    )->same(['t', 'u'],
        'a column that goes before the rows of its transaction, and one that comes after them');
    $s->run(
        (
            map {(
                "alter table t add c$_ int default $_",
                "insert into t (id) values (100 + $_)",
                "begin; insert into t (id) values (200 + $_); truncate u; insert into u values ($_, 100 + $_); commit"
            )} 1 .. 10
        )
    )->same(['t', 'u'], 'one after the other');
    $s->run(
        'begin; insert into t (id) values (1000); alter table t drop v; insert into t (id) values (1001); commit'
    )->stops(qr/column v.*same source transaction/,
        'a column that goes after rows of its transaction, which MySQL cannot do in one');
    is($s->{target}->value('select count(*) from t where id >= 1000'), 0, 'nothing of it is there');
    $s->{pipeline}{args}{apply} = ['--ddl', 'create'];
    $s->again->same(
        ['t', 'u'],
        'started once with --ddl create, as the error says, it goes on',
        extra_columns => 1
    );
    is_deeply($s->{pipeline}->stop, $all_0, 'all leave with 0');
    $s->mend('alter table t drop v');
    $s->{pipeline}{args}{apply} = [];
    $s->again->run('update t set c = c + 1')
        ->same(['t', 'u'], 'and with the column dropped by hand as before');
    $s->leave('drop table u, t');
}

{
    my $s = scenario(source => ['create table anew (id int primary key, d text)']);
    $s->run(q{insert into anew values (1, 'x')})->same(['anew'], 'before a column is made anew');
    $s->run(
        'begin; alter table anew drop d; insert into anew values (2); alter table anew add d int; update anew set d = id; commit'
    );
    $s->stops(qr/column d/, 'a column that is made anew between rows of one transaction');
    $s->leave('drop table anew');
}

# ---- foreign keys at the target ----

my @family = (
    'create table parent (id int primary key, v int)',
    'create table child (id int primary key, parent int references parent %s, v int)'
);

sub family {
    my ($option) = @_;
    return map {s/%s/$option/r} @family;
}
# MySQL forgets a foreign key that is written with its column.
sub family_there {
    my ($option) = @_;
    return (
        'create table parent (id int primary key, v int)',
        "create table child (id int primary key, parent int, v int, foreign key (parent) references parent (id) $option)"
    );
}
my @checked = (parameters => {foreign_keys => 'on'});
{
    my $s = scenario(source => [family('')], target => [family_there('')], @checked);
    $s->run(
        'insert into parent select g, 0 from generate_series(1, 50) g',
        'insert into child select g, g, 0 from generate_series(1, 50) g',
        'begin; insert into parent values (100, 1); insert into child values (100, 100, 1), (101, 1, 1); update child set parent = 100 where id < 10; delete from child where id between 10 and 20; delete from parent where id between 10 and 20; commit',
        (
            map {
                "begin; insert into parent values (200 + $_, 1); insert into child values (200 + $_, 200 + $_, 1); commit"
            } 1 .. 20
        ),
        'begin; delete from child where parent > 200; delete from parent where id > 200; insert into parent values (300, 1); insert into child values (300, 300, 1); commit'
    )->same(
        ['parent', 'child'],
        'foreign_keys=on: they hold, because rows come in the order of the source'
    );
    $s->leave('drop table child, parent');
}
{
    my $s = scenario(
        source => [family('deferrable initially deferred')],
        target => [family_there('')],
        @checked
    );
    $s->run('begin; insert into child values (1, 1, 0); insert into parent values (1, 0); commit');
    $s->stops(
        qr/insert into public\.child.*foreign key.*foreign_keys=off/i,
        'a foreign key that the source checks at the commit'
    );
    is(
        $s->{target}->value('select count(*) from child') +
            $s->{target}->value('select count(*) from parent'),
        0,
        'nothing of it is there'
    );
    $s->leave('drop table child, parent');
}
{
    my $s =
        scenario(source => [family('deferrable initially deferred')], target => [family_there('')]);
    $s->run('begin; insert into child values (1, 1, 0); insert into parent values (1, 0); commit')
        ->same(['parent', 'child'], 'by default the target leaves it to the source');
    $s->leave('drop table child, parent');
}
{
    # PostgreSQL sends the delete of the parent and then those of the children.
    my $s = scenario(
        source => [family('on delete cascade')],
        target => [family_there('on delete cascade')],
        @checked
    );
    $s->run('insert into parent values (1, 0), (2, 0)',
        'insert into child values (1, 1, 0), (2, 1, 0), (3, 2, 0)')
        ->same(['parent', 'child'], 'ON DELETE CASCADE on both sides: before');
    $s->check_says(qr/^note  target: foreign keys act .*\(foreign_keys=on\)/m, 'a check says so');
    $s->run('delete from parent where id = 1')->stops(qr/delete from public\.child.*delete_missing/,
        'ON DELETE CASCADE on both sides: the target has deleted the children itself');
    is($s->{target}->value('select count(*) from parent'),
        2, 'ON DELETE CASCADE: nothing of the transaction stays');
    $s->leave('drop table child, parent');
}
for my $way (
    ['--conflict skip', args => ['--conflict', 'skip'], @checked],
    ['by default']
    )
{
    my ($name, @how) = @$way;
    my $s = scenario(source => [family('on delete cascade on update cascade')],
        target => [family_there('on delete cascade on update cascade')], @how);
    $s->run(
        'insert into parent values (1, 0), (2, 0)',
        'insert into child values (1, 1, 0), (2, 1, 0), (3, 2, 0)',
        'delete from parent where id = 1'
    )->same(['parent', 'child'],
        "ON DELETE CASCADE on both sides: $name goes on, with the same content");
    $s->run('update parent set id = 7 where id = 2')
        ->same(['parent', 'child'], "ON UPDATE CASCADE on both sides: $name");
    $s->leave('drop table child, parent');
}
for my $action ('on delete cascade', 'on delete set null', 'on delete cascade on update set null') {
    # What no row of the source would ever mend: it has the children still.
    my $s = scenario(
        source => [
            'create table parent (id int primary key, v int)',
            'create table child (id int primary key, parent int, v int)'
        ],
        target => [family_there($action)]
    );
    $s->run(
        'insert into parent values (1, 0), (2, 0)',
        'insert into child values (1, 1, 0), (2, 1, 0), (3, 2, 0)',
        'begin; delete from parent where id = 1; insert into parent values (1, 5); commit',
        'update parent set id = 3 where id = 2',
        'delete from parent where id = 1'
    )->same(['parent', 'child'], "$action at the target only does nothing of its own");
    $s->leave('drop table child, parent');
}
{
    # Without an action at the target the parent cannot go before its children.
    my $s = scenario(source => [family('on delete cascade')], target => [family_there('')], @checked);
    $s->run(
        'insert into parent values (1, 0)',
        'insert into child values (1, 1, 0)',
        'delete from parent where id = 1'
    )->stops(qr/delete from public\.parent.*foreign_keys=off/i,
        'ON DELETE CASCADE at the source only');
    $s->leave('drop table child, parent');
}

# ---- what else a table may have ----

my $mariadb = ($ENV{PG2ANY_MYSQL_FLAVOUR} // 'mariadb') eq 'mariadb';
{
    my $versions = $mariadb ? ' with system versioning' : '';
    my $hidden = $mariadb ? 'hidden int not null default 3 invisible,' : '';
    my $s = scenario(
        source => ['create table t (id int primary key, v int)'],
        target => [
            "create table t (id int primary key, v int check (v < 100), $hidden g int as (id + 1) stored, n enum('a', 'b') not null, d int not null default 7, stamp timestamp not null default current_timestamp on update current_timestamp)$versions"
        ]
    );
    $s->run(
        'insert into t select g, g from generate_series(1, 10) g',
        'update t set v = v + 1 where id < 5',
        'update t set id = 100 where id = 1',
        'delete from t where id = 2'
    )->same(['t'], 'columns that find their values themselves, old versions of rows', extra_columns => 1);
    is($s->{target}->value('select count(*) from t where g = id + 1 and d = 7 and n = \'a\''),
        9, 'as they are declared');
    $s->run('update t set v = 100 where id = 3')->stops(qr/update of public\.t.*t.*(?:4025|3819)/, 'a CHECK constraint');
    $s->leave('drop table t');
}
{
    my $s = scenario(
        source => ['create table t (id int primary key)', 'create table w (id int primary key)', 'create table p (id int primary key)'],
        target => [
            'create table t (id int primary key, more int not null)',
            'create view w as select id from t',
            'create table p (id int primary key) partition by range (id) (partition p1 values less than (10))'
        ]
    );
    my $more = qr/column more of the target table `\w+`\.`t` is NOT NULL without a default/;
    $s->run('insert into t values (1)')->stops($more, 'a column without a value');
    $s->check_says(qr/^FAIL  table public\.t: $more/m, 'which a check says, too');
    $s->mend('alter table t alter more set default 1')->again->same(['t'], 'with a default it goes on', extra_columns => 1);
    $s->run('insert into p values (9)')->same(['p'], 'a table with partitions');
    $s->run('insert into p values (10)')->stops(qr/insert into public\.p.*no partition for value \S+ \(1526/, 'a row for which there is no partition');
    $s->mend('alter table p add partition (partition p2 values less than (20))')->again->same(['p'], 'with one it goes on');
    $s->run('insert into w values (1)')->stops(qr/`w` in the target is a view/, 'a view in the place of a table');
    $s->check_says(qr/^FAIL  table public\.w: .*`w` in the target is a view/m, 'which a check says, too');
    $s->leave('drop table t, w, p');
}
for my $engine ('MyISAM', 'MEMORY', $mariadb ? 'Aria' : ()) {
    my $s = scenario(source => ['create table t (id int primary key)'], target => ["create table t (id int primary key) engine=$engine"]);
    $s->run('insert into t values (1)')->stops(qr/table `\w+`\.`t` is \Q$engine\E, which has no transactions.*ENGINE=InnoDB/i, "$engine");
    $s->leave('drop table t');
}

# ---- unique indexes beside the key ----

{
    my $s = scenario(
        source => ['create table u (id int primary key, v int unique deferrable initially deferred)'],
        target => ['create table u (id int primary key, v int, unique key u_v (v))']
    );
    $s->run(
        'insert into u select g, g from generate_series(1, 10) g',
        'insert into u values (11, null), (12, null)',
        'begin; update u set v = 100 where id = 1; update u set v = 1 where id = 2; update u set v = 2 where id = 1; commit',
        'begin; delete from u where id = 3; insert into u values (20, 3); commit'
    )->same(['u'], 'a unique index that holds at each row');
    $s->run('update u set v = 3 - v where id < 3')
        ->stops(qr/update of public\.u.*1062.*another row has the same value there\. Is the source.s unique index DEFERRABLE/,
            'values that change places');
    $s->mend('alter table u drop key u_v, add key u_v (v)')->again->same(['u'], 'without it, it goes on');
    $s->leave('drop table u');
}

{
    # Two values that the source tells apart, under an index that does not.
    my $s = scenario(
        source => ['create table u (id int primary key, v text unique)'],
        target => [
            'create table u (id int primary key, v varchar(50) character set utf8mb4 collate utf8mb4_general_ci not null, unique key u_v (v))'
        ]
    );
    $s->run(q{insert into u values (1, 'a')}, q{insert into u values (2, 'A')})
        ->stops(qr/insert into public\.u.*insert_exists: a row with this key, or this value in a unique index/,
            'a unique index that folds case');
    $s->mend('alter table u drop key u_v')->again->same(['u'], 'without it, it goes on');
    $s->leave('drop table u');
}

# ---- triggers at the target ----

my @audited = (
    'create table t (id int primary key, v int)',
    'create table audit (id int, what text)',
    q{create function audit() returns trigger language plpgsql as $$begin insert into audit values (new.id, 'new'); return new; end$$},
    'create trigger tr after insert on t for each row execute function audit()'
);
my $text = 'longtext character set utf8mb4';
my @audited_there = (
    'create table t (id int primary key, v int)',
    "create table audit (id int, what $text)"
);
my @not_audited = ('drop table t, audit', 'drop function audit');
{
    my $s = scenario(
        source => \@audited,
        target => [
            @audited_there,
            q{create trigger `tr'2` after insert on t for each row insert into audit values (new.id, 'new')}
        ]
    );
    $s->run('insert into t values (1, 1)')
        ->stops(qr/table `\w+`\.`t` has the trigger tr'2, .*drop it; or triggers=on in --dest/,
            'a trigger that would do again what the source’s did');
    is($s->{target}->value('select count(*) from t'), 0, 'nothing of it is there');
    $s->check_says(qr/^FAIL  table public\.t: the target table \S+ has the trigger tr'2/m,
        'a check says it, too');
    $s->mend(q{create user blind identified by 's3cret'},
        'grant select, insert, update, delete, create, alter, drop, index on '
            . Pg2any::Target::MySQL::quoted($s->{target}->database) . '.* to blind');
    $s->check_says(
        $mariadb
        ? qr/^FAIL  table public\.t: the target table \S+ has the trigger tr'2/m
        : qr/^note  this user does not see whether tables of database \w+ have triggers\n      mend: GRANT TRIGGER ON/m,
        'a user without the privilege TRIGGER', user => 'blind', password => 's3cret'
    );
    $s->mend(q{drop trigger `tr'2`})->again->same(['t', 'audit'], 'without it, it goes on');
    $s->leave(@not_audited);
}
{
    my $s = scenario(
        source     => \@audited,
        parameters => {triggers => 'on'},
        target     => [
            @audited_there,
            'create table own (id int)',
            q{create trigger tr after insert on t for each row if @pg2any is null then insert into audit values (new.id, 'new'); end if},
            'create trigger tr2 before delete on t for each row insert into own values (old.id)'
        ]
    );
    $s->run('insert into t values (1, 1), (2, 2)', 'delete from t where id = 1')
        ->same(['t', 'audit'], 'triggers=on: one that asks for @pg2any leaves it to the source');
    $s->check_says(qr/^note  target: triggers act on what the applier writes \(triggers=on\)/m, 'a check says so');
    is($s->{target}->value('select group_concat(id) from own'), 1, 'and one of the target’s own fires');
    $s->mend('insert into t values (3, 3)');
    is($s->{target}->value('select group_concat(id) from audit where id > 2'), 3, 'for others @pg2any is NULL');
    $s->leave(@not_audited);
}

done_testing;

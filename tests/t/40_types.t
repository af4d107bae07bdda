# Every type and many odd values arrive as docs/TYPES.md says. Two independent expectations: here,
# value by value with the storage class; and the comparison of contents, for a table that has a
# column of every type there is. The source's role has output settings that would change every text.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings =>
        { datestyle => 'German, DMY', timezone => 'Asia/Kolkata', extra_float_digits => -10 });
my $major = $pg->major;
$pg->do(
    'create role odd login superuser replication',
    map {"alter role odd set $_"} q{datestyle = 'SQL, MDY'},
    q{timezone = 'America/St_Johns'},
    'intervalstyle = iso_8601',
    'bytea_output = escape',
    'extra_float_digits = -15',
    q{client_encoding = 'LATIN1'},
    'standard_conforming_strings = off',
    'quote_all_identifiers = on',
    q{search_path = ''},
    'array_nulls = off',
    'xmlbinary = hex',
    'default_transaction_read_only = on');
# Only the servers of distributions have these.
my %extension = map {
    $_ => scalar eval { $pg->do("create extension $_"); 1 }
} qw(hstore citext ltree cube isn);
my $has_xml = eval { $pg->do(q{select '<a/>'::xml}); 1 };

$pg->do(
    q{create type mood as enum ('sad', 'it''s "ok"', '😀')},
    'create type pair as (a int, b text)',
    'create domain d_bool as bool',
    'create domain d_bool2 as d_bool',
    'create domain d_int as int check (value > 0)',
    'create domain d_text as text',
    'create domain d_bytes as bytea',
    'create domain d_price as numeric(10, 2)',
    'create domain d_price2 as d_price',
    'create domain d_when as timestamptz',
    'create domain d_ints as int[]',
    'create domain d_pair as pair',
    'create type span as range (subtype = float8)',
    'create type inner_pair as (p pair, m mood[])');

$pg->do('create table mine ()');

my $zeros = '0' x 1000;
my $digits = '1234567890' x 100;
my $all_bytes = join '', map {chr} 0 .. 255;
my $controls = join '', map {chr} 1 .. 31, 127;
my $megabytes = 'z' . "é😀\r\n\\'\"" x 500_000;
my $inf = 9**9**9;

# [type, [SQL literal, storage class, value at the target], …]. A value alone is text that arrives
# as it is written.
my @cases = (
    ['bool', ['true', 'integer', 1], ['false', 'integer', 0]],
    ['int2', ['-32768', 'integer', -32768], ['32767', 'integer', 32767]],
    ['int4', ['-2147483648', 'integer', -2147483648], ['2147483647', 'integer', 2147483647]],
    [   'int8',
        ['-9223372036854775808', 'integer', -9223372036854775808],
        ['9223372036854775807', 'integer', 9223372036854775807],
        ['9007199254740993', 'integer', 9007199254740993]
    ],
    ['oid', ['4294967295', 'integer', 4294967295], ['0', 'integer', 0]],
    [   'float8',
        ['0.1', 'real', 0.1],
        ['0.30000000000000004', 'real', 0.30000000000000004],
        ['1.7976931348623157e308', 'real', 1.7976931348623157e308],
        ['5e-324', 'real', 5e-324],
        ['2.2250738585072009e-308', 'real', 2.2250738585072009e-308],
        [q{'infinity'}, 'real', $inf],
        [q{'-infinity'}, 'real', -$inf],
        [q{'-0'}, 'real', 0],
        ['9007199254740993', 'real', 9007199254740992],
        ['1e15', 'real', 1e15],
        ['123456', 'real', 123456]
    ],
    [   'float4',
        ['0.1', 'real', 0.1],
        [q{'3.4028235e38'}, 'real', 3.4028235e38],
        [q{'1e-45'}, 'real', 1e-45],
        [q{'-infinity'}, 'real', -$inf],
        ['16777217', 'real', 1.6777216e7]
    ],
    [   'numeric(10, 2)',
        ['12345678.90', 'real', 12345678.9],
        ['100', 'integer', 100],
        ['0.1', 'real', 0.1],
        ['-0.01', 'real', -0.01],
        [q{'NaN'}, 'text', 'NaN']
    ],
    [   'numeric(15, 0)',
        ['999999999999999', 'integer', 999999999999999],
        ['-999999999999999', 'integer', -999999999999999]
    ],
    [   'numeric(15, 15)',
        ['0.123456789012345', 'real', 0.123456789012345],
        ['0.999999999999999', 'real', 0.999999999999999],
        ['0.000000000000001', 'real', 1e-15]
    ],
    ['numeric(16, 2)', map { [$_, 'text', $_] } '12345678901234.50', '0.10', '-99999999999999.99'],
    [   'numeric',
        ['1.50', 'text', '1.50'],
        ['12345678901234567890.10', 'text', '12345678901234567890.10'],
        [q{'NaN'}, 'text', 'NaN'],
        [q{'infinity'}, 'text', 'Infinity'],
        [q{'-infinity'}, 'text', '-Infinity'],
        ["1$zeros", 'text', "1$zeros"],
        ["$digits.$digits", 'text', "$digits.$digits"],
        ["0.${zeros}1", 'text', "0.${zeros}1"],
        ['-0.0', 'text', '0.0'],
        ['007', 'text', '7']
    ],
    $major >= 15
    ? ( ['numeric(5, -2)', ['12345', 'text', '12300'], ['9999900', 'text', '9999900']],
        ['numeric(3, 5)', ['0.00123', 'text', '0.00123']]
        )
    : (),
    [   'text', '', 't', 'f',
        'true', 'false', 'null', 'NULL',
        '\N', '\\', '007', '1e5',
        '1.0', '12345678901234567890', 'NaN', 'Infinity',
        '0x10', ' blank ', "\r\n", "\n",
        "a\tb", $controls, q{'"`}, 'é',
        "e\x{301}", '😀', "\x{10ffff}", "\x{feff}bom",
        "\x{200b}", '{}', '\x00', '2024-01-01',
        $megabytes
    ],
    ['varchar(5)', '', 'abcde', 'ab', '  ', '😀😀😀😀😀'],
    [   'char(5)',
        [q{'ab'}, 'text', 'ab   '],
        [q{''}, 'text', '     '],
        [q{'é'}, 'text', 'é    '],
        [q{'abcde'}, 'text', 'abcde']
    ],
    ['"char"', 'a', '', "\\"],
    ['name', 'abc', 'x' x 63],
    [   'bytea',
        [q{''}, 'blob', ''],
        [q{'\x00'}, 'blob', "\0"],
        [q{'\x' || } . "'" . unpack('H*', $all_bytes) . "'", 'blob', $all_bytes],
        [q{'\x5c783030'}, 'blob', '\x00'],
        [q{'\x0d0a0d'}, 'blob', "\r\n\r"]
    ],
    [   'date', '2024-02-29', 'infinity', '-infinity',
        '0044-03-15 BC', '5874897-12-31', '4714-11-24 BC', '0001-01-01'
    ],
    ['time', '24:00:00', '00:00:00', '00:00:00.000001', '23:59:59.999999', '12:00:00.5'],
    ['timetz', '24:00:00+00', '12:00:00+15:59:59', '00:00:00.1-15:59'],
    [   'timestamp',
        '2024-02-29 12:00:00',
        '294276-12-31 23:59:59.999999',
        '4714-11-24 00:00:00 BC',
        'infinity',
        '-infinity',
        '0001-01-01 00:00:00.000001'
    ],
    [   'timestamptz',
        [q{'2026-11-22 12:20:30.5+02'}, 'text', '2026-11-22 10:20:30.5+00:00'],
        [q{'294276-12-31 23:59:59.999999+00'}, 'text', '294276-12-31 23:59:59.999999+00:00'],
        [q{'0044-03-15 12:00:00+00 BC'}, 'text', '0044-03-15 12:00:00+00:00 BC'],
        [q{'4714-11-24 00:00:00+00 BC'}, 'text', '4714-11-24 00:00:00+00:00 BC'],
        'infinity',
        '-infinity',
        [q{'2024-03-31 01:30:00 Europe/Berlin'}, 'text', '2024-03-31 00:30:00+00:00']
    ],
    [   'interval', '00:00:00',
        '1 year 2 mons -3 days +04:05:06.789',
        '-178000000 years',
        '1 day', '24:00:00', '-00:00:00.000001', '1 mon -1 days'
    ],
    [   'uuid',
        [q{'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'}, 'text', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
        '00000000-0000-0000-0000-000000000000'
    ],
    ['json', qq{{"b" : 1,\n "a":[1 , 2.00],  "b": null}}, 'null', '"t"', '[]'],
    [   'jsonb',
        [q|'{"b":1,"aa":2.00,"b":[true , null]}'|, 'text', '{"b": [true, null], "aa": 2.00}'],
        'null', '"\\u0001"', '123456789012345678901234567890'
    ],
    ['jsonpath', '$."a"[*]?(@ > 1)'],
    ['bit(5)', '10101', '00000'],
    ['varbit(70)', '', '0', '1' x 70],
    ['money', '$0.00', '-$1,234.56', '$92,233,720,368,547,758.07'],
    ['inet', '10.0.0.1', '10.0.0.1/8', '::1', '2001:db8::/32', '::ffff:1.2.3.4'],
    ['cidr', '10.0.0.0/8', '::/0'],
    ['macaddr', '08:00:2b:01:02:03'],
    ['macaddr8', '08:00:2b:01:02:03:04:05'],
    ['point', '(1,-2.5)', '(0,Infinity)', '(NaN,0.1)'],
    ['line', '{1,-1,0}'],
    ['lseg', '[(0,0),(1,1)]'],
    ['box', '(1,1),(0,0)'],
    ['path', '((0,0),(1,1))', '[(0,0),(1,1)]'],
    ['polygon', '((0,0),(1,1),(1,0))'],
    ['circle', '<(0,0),1.5>'],
    ['tsvector', q{'a':1A,3 'it''s' 'x y':2}],
    ['tsquery', q{'a' & !'b' <-> 'c':*A}],
    ['pg_lsn', '16/B374D848', '0/0', 'FFFFFFFF/FFFFFFFF'],
    ['xid', '4294967295'],
    ['xid8', '18446744073709551615'],
    ['tid', '(4294967295,65535)'],
    ['pg_snapshot', '10:20:10,14'],
    ['regclass', 'pg_class', 'public.mine'],
    ['regtype', 'integer'],
    ['int2vector', '1 2 3'],
    ['int4range', '[1,5)', 'empty', '(,)', '[1,)'],
    ['numrange', '(1.50,2.0]'],
    ['daterange', '[2024-01-01,infinity)'],
    ['tstzrange', '["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")'],
    ['int8multirange', '{}', '{[1,3),[5,7)}'],
    ['span', '[0.1,0.30000000000000004)'],
    ['int[]', '{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={1,2}'],
    ['text[]', '{"","NULL",NULL,"a b","c\\"d","e\\\\f","{g}","h,i"}', "{\"\r\n\",😀}"],
    ['bool[]', '{t,f,NULL}'],
    ['bytea[]', '{"\\\\x00ff","\\\\x"}'],
    ['float8[]', '{NaN,Infinity,0.1,-0,5e-324}'],
    ['timestamptz[]', '{"2024-01-01 00:00:00.5+00",infinity}'],
    ['numeric(5,1)[]', '{1.0,-2.5}'],
    ['interval[]', '{"1 year 2 mons -3 days +04:05:06"}'],
    ['mood', 'sad', q{it's "ok"}, '😀'],
    ['mood[]', '{sad,"it\'s \\"ok\\""}'],
    ['pair', '(1,"a b")', '(,)', '(2,"")', '(3,"x""y\\\\z")'],
    ['pair[]', '{"(1,a)","(,\\"b c\\")"}'],
    ['inner_pair', '("(1,x)","{sad,😀}")'],
    ['d_bool2', ['true', 'integer', 1], ['false', 'integer', 0]],
    ['d_int', ['5', 'integer', 5]],
    ['d_text', '', '007'],
    ['d_bytes', [q{'\x00ff'}, 'blob', "\0\xff"]],
    ['d_price2', ['1.50', 'real', 1.5], ['2', 'integer', 2]],
    ['d_when', [q{'2024-01-01 00:00+00'}, 'text', '2024-01-01 00:00:00+00:00']],
    ['d_ints', '{1,2}'],
    ['d_pair', '(1,x)'],
    $has_xml ? ['xml', '<a b="c">&amp;<!-- x --></a>', 'text only'] : (),
    $extension{hstore} ? ['hstore', '"a"=>"1", "b"=>NULL, "c d"=>"\\"x\\""'] : (),
    $extension{citext} ? ['citext', 'MiXed', '', 't'] : (),
    $extension{ltree} ? ['ltree', 'Top.Science'] : (),
    $extension{cube} ? ['cube', '(1, 2),(3, 4)'] : (),
    $extension{isn} ? ['isbn', '0-393-04002-X'] : (),);

my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(
    pg => $pg,
    target => $target,
    pg_uri => [user => 'odd'],
    publication => 'types');
$pg->do('create publication types for all tables');
$pipeline->start;
$pipeline->wait_streaming;

my @tables;
for my $i (0 .. $#cases) {
    my ($type, @values) = @{ $cases[$i] };
    my $table = sprintf 'case_%02d', $i;
    $pg->do("create table $table (id int primary key, v $type)");
    my $n = 0;
    for my $value (@values) {
        my $literal = ref $value ? $value->[0] : $pg->dbh->quote($value);
        $literal = "($literal)::$type" if ref $value && $literal =~ /\|\|/;
        $pg->do("insert into $table values (@{[++$n]}, $literal)");
    }
    $pg->do("insert into $table values (0, null)");
    push @tables, $table;
}
$pipeline->wait_caught_up;

for my $i (0 .. $#cases) {
    my ($type, @values) = @{ $cases[$i] };
    my @rows = $target->rows("select typeof(v), v from $tables[$i] order by id");
    my $wrong = "@{ $rows[0] // ['nothing'] }[0]" eq 'null' ? 0 : 1;
    diag("$type: NULL is not there") if $wrong;
    for my $n (1 .. @values) {
        my $value = $values[$n - 1];
        my ($storage, $want) = ref $value ? @$value[1, 2] : ('text', $value);
        my ($class, $got) = @{ $rows[$n] // [] };
        next
            if defined $class
            && $class eq $storage
            && ($storage =~ /integer|real/ ? $got == $want : $got eq $want);
        $wrong++;
        diag(
            "$type, value $n: is ",
            $class // 'absent',
            ' ', substr($got // 'NULL', 0, 100),
            ', must be ', $storage, ' ', substr $want, 0, 100);
    }
    ok(!$wrong && @rows == @values + 1,
        "$type: @{[scalar @values]} values and NULL arrive as documented");
}
# The comparison's session would print a name in `public` without its schema.
same_content(
    $pg, $target,
    [map { $cases[$_][0] eq 'regclass' ? () : $tables[$_] } 0 .. $#cases],
    'the comparison of contents says so too');
my ($with_zone) = grep { $cases[$_][0] eq 'timestamptz' } 0 .. $#cases;
is( $target->value("select datetime(v) from $tables[$with_zone] where id = 1"),
    '2026-11-22 10:20:30',
    'SQLite reads timestamps with time zone');

# ---- a table with every type of the catalog ----

my %example = (
    bool => ['t', 'f'],
    int2 => [1, -32768],
    int4 => [2, 2147483647],
    int8 => [3, -9223372036854775808],
    oid => [4, 4294967295],
    float4 => ['0.1', '-infinity'],
    float8 => ['1e300', 'infinity'],
    numeric => ['1.50', 'NaN'],
    text => ['', "a\r\n'"],
    varchar => ['x', ' '],
    bpchar => ['a ', 'b'],
    char => ['c', ''],
    name => ['n', 'm'],
    bytea => ['\x00ff', ''],
    date => ['2024-02-29', '0044-03-15 BC'],
    time => ['24:00', '01:02:03.000004'],
    timetz => ['12:00+05:30', '24:00-15:59'],
    timestamp => ['2024-02-29 1:2:3.4', 'infinity'],
    timestamptz => ['2024-02-29 1:2:3.4+05:30', '-infinity'],
    interval => ['1 y 2 mons 3 d 4:5:6.7', '-1 day'],
    uuid => [('0' x 32), ('f' x 32)],
    json => ['{"a" : 1}', 'null'],
    jsonb => ['{"a" : 1}', '[]'],
    jsonpath => ['$.a', 'strict $[*]'],
    bit => ['1', '0'],
    varbit => ['', '101'],
    money => ['1.5', '-1234567.89'],
    inet => ['10.1.2.3/8', '::1'],
    cidr => ['10/8', '::/0'],
    macaddr => ['08002b010203', 'ffffffffffff'],
    macaddr8 => ['08002b0102030405', '0' x 16],
    point => ['1,2', '-0.1,0'],
    line => ['{1,2,3}', '{0,1,0}'],
    lseg => ['0,0,1,1', '1,1,0,0'],
    box => ['0,0,1,1', '1,1,0,0'],
    path => ['[0,0,1,1]', '(0,0,1,1)'],
    polygon => ['0,0,1,1', '0,0,1,1,2,0'],
    circle => ['0,0,1', '1,1,0.5'],
    tsvector => ['a:1 b', ''],
    tsquery => ['a & b', '!c'],
    pg_lsn => ['0/1', 'F/F'],
    xid => [3, 4294967295],
    xid8 => [3, '18446744073709551615'],
    cid => [0, 5],
    tid => ['(0,1)', '(1,2)'],
    txid_snapshot => ['1:1:', '1:5:2,3'],
    pg_snapshot => ['1:1:', '1:5:2,3'],
    regproc => ['now', '-'],
    regprocedure => ['now()', '-'],
    regoper => ['||/', '0'],
    regoperator => ['+(int4,int4)', '0'],
    regclass => ['pg_class', '-'],
    regtype => ['int4', 'text[]'],
    regrole => ['postgres', '-'],
    regnamespace => ['public', '-'],
    regconfig => ['simple', '-'],
    regdictionary => ['simple', '-'],
    regcollation => ['"C"', '-'],
    regdatabase => ['postgres', '-'],
    int2vector => ['1 2', ''],
    oidvector => ['1 2', ''],
    refcursor => ['c', ''],
    aclitem => ['postgres=r/postgres', '=a/postgres'],
    xml => ['<a/>', 'b'],
    gtsvector => [],
    oid8 => [5, '18446744073709551615'],
    int4range => ['[1,2]', 'empty'],
    int8range => ['(,5]', 'empty'],
    numrange => ['[1.50,)', 'empty'],
    daterange => ['[2024-01-01,2024-01-31]', 'empty'],
    tsrange => ['[2024-01-01,]', 'empty'],
    tstzrange => ['[2024-01-01+02,2024-02-01]', 'empty'],);
$example{s/range/multirange/r} = ["{$example{$_}[0]}", '{}'] for grep {/range\z/} keys %example;
delete $example{xml} if !$has_xml;

my @types = $pg->rows(<<'SQL');
select t.typname, format_type(t.oid, null), coalesce(e.typname, '')
from pg_type t left join pg_type e on e.oid = t.typelem and t.typcategory = 'A' and t.typarray = 0
where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'm')
    and coalesce(e.typtype, 'b') in ('b', 'r', 'm')
order by t.oid
SQL
my (@columns, @rows, @without);
for my $type (@types) {
    my ($name, $sql_type, $element) = @$type;
    push @columns, qq{"$name" pg_catalog."$name"};
    my @values = map { sprintf '%s::pg_catalog."%s"', $pg->dbh->quote($_), $element || $name }
        @{ $example{ $element || $name } // [] };
    push @without, $name if !@values;
    if ($element && @values) {
        @values =
            ("array[$values[0], null, $values[1]]", "array[[$values[0]], [$values[1]]]", qq{'{}'});
    }
    push @{ $rows[$_] }, $values[$_] // 'null' for 0 .. 2;
}
$pg->do('create table every_type (id int primary key, ' . join(', ', @columns) . ')',
    'alter table every_type replica identity full');
$pg->do(map {"insert into every_type values ($_, @{[join ', ', @{ $rows[$_] }]})"} 0 .. 2);
$pg->do(
    'insert into every_type (id) values (3)',
    'update every_type set id = 10 where id = 0',
    'delete from every_type where id = 1',
    'update every_type set int4 = int4 + 1');
# Without a key rows are found by all their values.
$pg->do(
    'create table every_type_found (n int, like every_type)',
    'alter table every_type_found alter id drop not null, replica identity full',
    'insert into every_type_found select 1, * from every_type',
    'update every_type_found set n = id',
    'delete from every_type_found where id in (2, 3)');
note("without a value: @without");
cmp_ok(scalar @types, '>', 150, 'a table with ' . @types . ' types');
$pipeline->wait_caught_up;
same_content(
    $pg, $target,
    [qw(every_type every_type_found)],
    'every type of the catalog, and arrays, ranges and multiranges of them');

# ---- large values ----

$pg->do(
    'create table large (id int primary key, b bytea, t text)',
    'alter table large alter b set storage external, alter t set storage external',
    q{insert into large select 1, decode(repeat(string_agg(lpad(to_hex(g), 2, '0'), ''),
        65536 * 4), 'hex'), null from generate_series(0, 255) g},
    q{insert into large values (2, null, repeat(E'é\r\n', 8 * 1024 * 1024))});
$pipeline->wait_caught_up;
is( $target->value('select length(b) from large where id = 1'),
    64 * 1024 * 1024,
    '64 MB of bytea arrive');
same_content($pg, $target, ['large'], '64 MB of bytea and 32 MB of text, byte by byte');
$pg->do('update large set id = id + 10');
$pipeline->wait_caught_up;
same_content($pg, $target, ['large'], 'and stay when they are not sent');

is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

# ---- NaN in a float column ----

$pg->do(
    'drop publication types',
    map({"create table nan_$_ (id int primary key, f $_)"} qw(float4 float8)),
    'create table nan_row (f float8, v text)',
    'alter table nan_row replica identity full',
    'create publication nan for table nan_float4, nan_float8, nan_row');
my @pair = map {
    my $origin = "nan_$_";
    my $one = Pg2any::Pipeline->new(
        pg => $pg,
        target => new_target(origin => $origin),
        slot => $origin,
        publication => 'nan',
        args => { apply => $_ eq 'null' ? ['--nan', 'null'] : [] });
    $one->start;
    $one->wait_streaming;
    $one;
} qw(stop null);
$pg->do(
    'insert into nan_float8 values (1, 0.5)',
    q{insert into nan_float8 values (2, 'NaN')},
    q{insert into nan_float4 values (1, 'NaN')},
    q{insert into nan_row values ('NaN', 'a'), ('NaN', 'b'), (1, 'c')},
    q{update nan_row set v = 'x' where v = 'a'},
    q{delete from nan_row where v = 'b'});
is($pair[0]->wait_exit('apply'), 100, 'NaN stops the applier');
like(
    $pair[0]->log_text('apply'),
    qr{into public\.nan_float8 \(key id\), transaction \d+ committed at \S+ column f: .*--nan null},
    'NaN: the error names table, transaction, LSN, column and the way out');
$pair[0]->wait_all;
is_deeply(
    [$pair[0]{target}->rows('select id, f from nan_float8')],
    [[1, 0.5]],
    'NaN: what came before it is applied');
$pair[1]->wait_caught_up;
is_deeply(
    [$pair[1]{target}->rows('select id, f from nan_float8 order by id')],
    [[1, 0.5], [2, undef]],
    '--nan null: NULL');
is_deeply(
    [$pair[1]{target}->rows('select f, v from nan_row order by v')],
    [[1, 'c'], [undef, 'x']],
    '--nan null: rows with NaN are found again');
is_deeply(
    $pair[1]->stop,
    { capture => 0, assemble => 0, apply => 0 },
    '--nan null: all leave with 0');

# quote_all_identifiers puts every value of regclass and its like into quotes, unless capture's session
# has a setting of its own.
{
    $pg->do(
        'create role quoting login superuser',
        'alter role quoting set quote_all_identifiers = on',
        'create table named (id int primary key, c regclass)',
        'create publication named for table named');
    my $one = Pg2any::Pipeline->new(
        pg => $pg,
        pg_uri => [user => 'quoting'],
        target => new_target(origin => 'named'),
        slot => 'named',
        publication => 'named');
    $one->start;
    $one->wait_streaming;
    $pg->do(q{insert into named values (1, 'pg_class')});
    $one->wait_caught_up;
    is($one->{target}->value('select c from named'),
        'pg_class', 'quote_all_identifiers does not change values');
    is_deeply(
        $one->stop,
        { capture => 0, assemble => 0, apply => 0 },
        'quote_all_identifiers: all leave with 0');
}

# ---- databases in other encodings ----

for my $encoding (qw(LATIN1 SQL_ASCII)) {
    my $db = lc $encoding;
    $pg->do(
        "create database $db encoding '$encoding' lc_collate 'C' lc_ctype 'C' template template0");
    my $dbh = $pg->connect(db => $db, pg_enable_utf8 => 0);
    $dbh->do(q{set client_encoding = 'UTF8'}) if $encoding eq 'LATIN1';
    $dbh->do($_)
        for 'create table t (id int primary key, v text)',
        'create publication cdc_pub for all tables';
    my $there = new_target(origin => "slot_$db");
    my $one = Pg2any::Pipeline->new(
        pg => $pg,
        pg_uri => [db => $db, user => 'odd'],
        target => $there,
        slot => "slot_$db");
    $one->start;
    $one->wait_streaming;
    $dbh->do('insert into t values (1, ?)', undef, "\xc3\xa9");
    $one->wait_caught_up;
    is($there->value('select hex(v) from t'),
        'C3A9', "a database in $encoding: text arrives in UTF-8");
    if ($encoding eq 'LATIN1') {
        is_deeply(
            $one->stop,
            { capture => 0, assemble => 0, apply => 0 },
            "$encoding: all leave with 0");
    } else {
        $dbh->do(q{insert into t values (2, convert_from('\xe9', 'SQL_ASCII'))});
        is($one->wait_exit('capture'), 100, 'SQL_ASCII: text that is not UTF-8 stops the capture');
        like(
            $one->log_text('capture'),
            qr/level=error.*invalid byte sequence/,
            'SQL_ASCII: and it says so');
        $one->wait_all;
    }
    $dbh->disconnect;
}

done_testing;

# Every type and many odd values arrive at MariaDB and MySQL as docs/TYPES.md says: here with the type
# of the column and value by value, and once more by the comparison of contents. What MySQL has no
# value for stops the applier, or becomes what the user chose.
# needs: one postgres, mysql target

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(
    settings => {datestyle => 'German, DMY', timezone => 'Asia/Kolkata', extra_float_digits => -10}
);
my $major = $pg->major;
$pg->do(
    'create role odd login superuser replication',
    map {"alter role odd set $_"} q{datestyle = 'SQL, MDY'},
    q{timezone = 'America/St_Johns'},
    'intervalstyle = iso_8601',
    'bytea_output = escape',
    'extra_float_digits = -15',
    q{client_encoding = 'LATIN1'},
    q{search_path = ''}
);
$pg->do(
    q{create type mood as enum ('sad', 'it''s "ok"', '😀')},
    'create type pair as (a int, b text)',
    'create domain d_bool as bool',
    'create domain d_int as int check (value > 0)',
    'create domain d_text as text',
    'create domain d_bytes as bytea',
    'create domain d_price as numeric(10, 2)',
    'create domain d_when as timestamptz',
    'create domain d_ints as int[]'
);

my $zeros     = '0' x 1000;
my $digits    = '1234567890' x 100;
my $all_bytes = join '', map {chr} 0 .. 255;
my $controls  = join '', map {chr} 1 .. 31, 127;
my $megabytes = 'z' . "é😀\r\n\\'\"" x 300_000;
my $text      = qr/\Alongtext utf8mb4_.*bin\z/;
sub varchar {my ($n) = @_; return qr/\Avarchar\($n\) utf8mb4_.*bin\z/}

# [type, the column's type, [SQL literal, value at the target], …]. A value alone is text that arrives as it
# is written. Integers are looked at without their display width, which is not of the type.
my @cases = (
    ['bool', qr/\Atinyint\z/,  ['true',        1],           ['false',      0]],
    ['int2', qr/\Asmallint\z/, ['-32768',      -32768],      ['32767',      32767]],
    ['int4', qr/\Aint\z/,      ['-2147483648', -2147483648], ['2147483647', 2147483647]],
    [
        'int8',                                qr/\Abigint\z/,
        map {[$_, $_]} '-9223372036854775808', '9223372036854775807',
        '9007199254740993'
    ],
    ['oid', qr/\Aint unsigned\z/, ['4294967295', 4294967295], ['0', 0]],
    [
        'float8',                 qr/\Adouble\z/,
        map {[$_, $_]} '0.1',     '0.30000000000000004',
        '1.7976931348623157e308', '-1.7976931348623157e308',
        '5e-324',                 '2.2250738585072014e-308',
        '9007199254740993',       '1e15',
        '123456',                 '0'
    ],
    [
        'float4', qr/\Adouble\z/, map {[$_, $_]} '0.1',
        '3.4028235e38', '-3.4028235e38', '1.1754944e-38', '16777216', '123456.7', '0.3', '1e-20'
    ],
    [
        'numeric(10, 2)',
        qr/\Adecimal\(10,2\)\z/, map {[$_, $_]} '12345678.90',
        '100.00', '0.10', '-0.01', '0.00', '-99999999.99'
    ],
    [
        'numeric(65, 30)',
        qr/\Adecimal\(65,30\)\z/,
        map {[$_, $_]} '9' x 35 . '.' . '9' x 30,
        '-0.' . '0' x 29 . '1',
        '0.' . '0' x 30
    ],
    ['numeric(65, 0)',  qr/\Adecimal\(65,0\)\z/, map {[$_, $_]} '9' x 65, '-' . '9' x 65],
    ['numeric(66, 30)', $text, '9' x 36 . '.' . '9' x 30],
    ['numeric(50, 31)', $text, '1.' . '0' x 30 . '1'],
    [
        'numeric',                              $text,
        '1.50',                                 '12345678901234567890.10',
        'NaN',                                  ["1$zeros", "1$zeros"],
        ["$digits.$digits", "$digits.$digits"], ["0.${zeros}1", "0.${zeros}1"],
        ['-0.0', '0.0'],                        ['007', '7']
    ],
    $major >= 15
    ? (
        ['numeric(5, -2)', qr/\Adecimal\(7,0\)\z/, ['12345',   '12300'], ['9999900', '9999900']],
        ['numeric(3, 5)',  qr/\Adecimal\(5,5\)\z/, ['0.00123', '0.00123']]
        )
    : (),
    [
        'money',
        qr/\Adecimal\(19,2\)\z/,
        [q{'$0.00'},                       '0.00'],
        [q{'-$1,234.56'},                  '-1234.56'],
        [q{'$92,233,720,368,547,758.07'},  '92233720368547758.07'],
        [q{'-$92,233,720,368,547,758.08'}, '-92233720368547758.08']
    ],
    [
        'text',     $text,  '',         't',          'f',          'true',
        'null',     'NULL', '\N',       '\\',         '\\\\',       '007',
        '1e5',      '1.0',  'NaN',      '0x10',       ' blank ',    'trailing  ',
        "\r\n",     "\n",   "a\tb",     $controls,    q{'"`},       q{\\'},
        '%_',       'é',    "e\x{301}", '😀',          "\x{10ffff}", "\x{feff}bom",
        "\x{200b}", '{}',   '\x00',     '2024-01-01', '0000-00-00', '?',
        $megabytes
    ],
    ['varchar(5)',     varchar(5),     '', 'abcde', 'ab', '  ', '😀😀😀😀😀'],
    ['varchar(15000)', varchar(15000), 'x' x 15000, '😀' x 15000],
    ['varchar(16384)', $text,          '😀' x 16384],
    [
        'char(5)',
        varchar(5),
        [q{'ab'},    'ab   '],
        [q{''},      '     '],
        [q{'é'},     'é    '],
        [q{'abcde'}, 'abcde']
    ],
    ['"char"', varchar(4),  'a',   '', '\\', ['(-128)::"char"', '\\200']],
    ['name',   varchar(64), 'abc', 'x' x 63],
    [
        'bytea',
        qr/\Alongblob\z/,
        [q{''},                                    ''],
        [q{'\x00'},                                "\0"],
        [q{'\x} . unpack('H*', $all_bytes) . q{'}, $all_bytes],
        [q{'\x5c783030'},                          '\x00'],
        [q{'\x0d0a0d1a27225c00'},                  "\r\n\r\x1a'\"\\\0"],
        [q{'\xf09f9880ff'},                        "\xf0\x9f\x98\x80\xff"]
    ],
    ['date', qr/\Adate\z/, '2024-02-29', '1000-01-01', '9999-12-31', '1582-10-10'],
    [
        'time',
        qr/\Atime\(6\)\z/,
        [q{'24:00:00'},        '24:00:00.000000'],
        [q{'00:00'},           '00:00:00.000000'],
        [q{'00:00:00.000001'}, '00:00:00.000001'],
        [q{'23:59:59.999999'}, '23:59:59.999999'],
        [q{'12:00:00.5'},      '12:00:00.500000']
    ],
    ['timetz', qr/\Avarchar\(\d+\)/, '24:00:00+00', '12:00:00+15:59:59', '00:00:00.1-15:59'],
    [
        'timestamp',
        qr/\Adatetime\(6\)\z/,
        [q{'2024-02-29 12:00:00'},        '2024-02-29 12:00:00.000000'],
        [q{'1000-01-01 00:00:00.000001'}, '1000-01-01 00:00:00.000001'],
        [q{'9999-12-31 23:59:59.999999'}, '9999-12-31 23:59:59.999999'],
        [q{'2040-03-31 02:30:00'},        '2040-03-31 02:30:00.000000'],
        [q{'1969-12-31 23:59:59.5'},      '1969-12-31 23:59:59.500000']
    ],
    [
        'timestamptz',
        qr/\Adatetime\(6\)\z/,
        [q{'2026-11-22 12:20:30.5+02'},          '2026-11-22 10:20:30.500000'],
        [q{'9999-12-31 23:59:59.999999+00'},     '9999-12-31 23:59:59.999999'],
        [q{'2024-03-31 01:30:00 Europe/Berlin'}, '2024-03-31 00:30:00.000000'],
        [q{'1000-01-01 00:00:00+00'},            '1000-01-01 00:00:00.000000']
    ],
    [
        'timestamp(0)', qr/\Adatetime(?:\(6\))?\z/,
        [q{'2024-02-29 12:00:00.6'}, '2024-02-29 12:00:01.000000']
    ],
    [
        'interval',         qr/\Avarchar\(\d+\)/,
        '00:00:00',         '1 year 2 mons -3 days +04:05:06.789',
        '-178000000 years', '-00:00:00.000001',
        '1 mon -1 days'
    ],
    [
        'uuid',
        qr/\Achar\(36\) ascii_bin\z/,
        [q{'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'}, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
        '00000000-0000-0000-0000-000000000000'
    ],
    [
        'json',
        qr/\Alongtext utf8mb4_.*bin\z/,
        qq{{"b" : 1,\n "a":[1 , 2.00],  "b": null}},
        'null', '"t"', '[]', '"\\u00e9\\\\"'
    ],
    [
        'jsonb',
        qr/\Alongtext utf8mb4_.*bin\z/,
        [q|'{"b":1,"aa":2.00,"b":[true , null]}'|, '{"b": [true, null], "aa": 2.00}'],
        'null', '"\\u0001"', '123456789012345678901234567890'
    ],
    ['bit(5)',     qr/\Abit\(5\)\z/,  '10101',  '00000',  '11111',        '00001'],
    ['bit(64)',    qr/\Abit\(64\)\z/, '1' x 64, '0' x 64, '1' . '0' x 63, '0' x 63 . '1'],
    ['bit(65)',    varchar(65),       '1' x 65, '0' x 65],
    ['varbit(70)', varchar(70),       '',       '0', '1' x 70],
    ['varbit',     $text,             '',       '0', '01' x 100],
    [
        'inet',     qr/\Avarchar\(\d+\)/,
        '10.0.0.1', '10.0.0.1/8',
        '::1',      '2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/127'
    ],
    ['cidr',           qr/\Avarchar\(\d+\)/,       '10.0.0.0/8', '::/0'],
    ['macaddr',        qr/\Avarchar\(\d+\)/,       '08:00:2b:01:02:03'],
    ['macaddr8',       qr/\Avarchar\(\d+\)/,       '08:00:2b:01:02:03:04:05'],
    ['point',          $text,                      '(1,-2.5)', '(0,Infinity)'],
    ['polygon',        $text,                      '((0,0),(1,1),(1,0))'],
    ['tsvector',       $text,                      q{'a':1A,3 'it''s' 'x y':2}],
    ['pg_lsn',         qr/\Avarchar\(\d+\)/,       '16/B374D848'],
    ['xid',            qr/\A(?:varchar|longtext)/, '4294967295'],
    ['xid8',           qr/\A(?:varchar|longtext)/, '18446744073709551615'],
    ['int4range',      $text,                      '[1,5)', 'empty'],
    ['tstzrange',      $text, '["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")'],
    ['int8multirange', $text, '{}', '{[1,3),[5,7)}'],
    ['int[]',          $text, '{}', '{1,NULL,3}', '[0:1]={1,2}'],
    ['text[]',         $text, '{"","NULL",NULL,"a b","c\\"d","e\\\\f","{g}"}', "{\"\r\n\",😀}"],
    ['bytea[]',        $text, '{"\\\\x00ff","\\\\x"}'],
    ['float8[]',       $text, '{NaN,Infinity,0.1,-0,5e-324}'],
    ['mood',           $text, 'sad', q{it's "ok"}, '😀'],
    ['mood[]',         $text, '{sad,"it\'s \\"ok\\""}'],
    ['pair',           $text, '(1,"a b")', '(,)', '(3,"x""y\\\\z")'],
    ['d_bool',         qr/\Atinyint\z/,         ['true', 1], ['false', 0]],
    ['d_int',          qr/\Aint\z/,             ['5',    5]],
    ['d_text',         $text,                   '', '007'],
    ['d_bytes',        qr/\Alongblob\z/,        [q{'\x00ff'}, "\0\xff"]],
    ['d_price',        qr/\Adecimal\(10,2\)\z/, ['1.50',      '1.50'], ['2', '2.00']],
    ['d_when', qr/\Adatetime\(6\)\z/, [q{'2024-01-01 00:00+00'}, '2024-01-01 00:00:00.000000']],
    ['d_ints', $text,                 '{1,2}'],
);

my $target   = new_target(kind => 'mysql');
my $pipeline = Pg2any::Pipeline->new(
    pg          => $pg,
    target      => $target,
    pg_uri      => [user => 'odd'],
    publication => 'types'
);
$pg->do('create publication types for all tables');
$pipeline->start;
$pipeline->wait_streaming;

my @tables;
for my $i (0 .. $#cases) {
    my ($type, undef, @values) = @{$cases[$i]};
    my $table = sprintf 'case_%02d', $i;
    $pg->do("create table $table (id int primary key, v $type)");
    my $n = 0;
    $pg->do(
        map {
            sprintf "insert into $table values (%d, %s)", ++$n,
                ref $_
                ? $_->[0]
                : $pg->dbh->quote($_)
        } @values
    );
    $pg->do("insert into $table values (0, null)");
    push @tables, $table;
}
$pipeline->wait_caught_up;

for my $i (0 .. $#cases) {
    my ($type, $column, @values) = @{$cases[$i]};
    my $rows = $target->ordered_rows($tables[$i], ['id', 'v'], ['id']);
    my @got;
    while (my $row = $rows->()) {$got[$row->[0]] = $row->[1]}
    my $declared =
        ($target->column_type($tables[$i], 'v') // 'nothing') =~ s/\A(\w*int)\(\d+\)/$1/r;
    like($declared, $column, "$type: the column's type");
    my $wrong = defined $got[0] ? 1 : 0;
    diag("$type: NULL is not there") if $wrong;

    for my $n (1 .. @values) {
        my $value = $values[$n - 1];
        my $want  = ref $value ? $value->[1] : $value;
        my $got   = $got[$n];
        next if defined $got && ($type =~ /\Afloat\d\z/ ? $got == $want : $got eq $want);
        $wrong++;
        diag(
            "$type, value $n: is ",
            substr($got // 'NULL', 0, 100),
            ', must be ', substr $want, 0, 100
        );
    }
    ok(!$wrong && @got == @values + 1,
        "$type: @{[scalar @values]} values and NULL arrive as documented");
}
same_content($pg, $target, \@tables, 'the comparison of contents says so too');

# ---- the same types as keys ----

my %key = (
    'text'           => qr/\Avarchar\(\d+\) utf8mb4_\w*bin\z/,
    'varchar(20)'    => varchar(20),
    'char(5)'        => varchar(5),
    'bytea'          => qr/\Avarbinary\(\d+\)\z/,
    'uuid'           => qr/\Achar\(36\) ascii_bin\z/,
    'numeric'        => qr/\Avarchar/,
    'numeric(15, 2)' => qr/\Adecimal\(15,2\)\z/,
    'timestamptz'    => qr/\Adatetime\(6\)\z/,
    'float8'         => qr/\Adouble\z/,
    'int[]'          => qr/\Avarchar/
);
my %key_values = (
    'text' => [
        q{'a'}, q{'A'}, q{'a '}, q{' a'}, q{'á'}, q{''}, q{' '}, q{'ß'}, q{'ss'}, q{'😀'}, q{'ｱ'},
        q{'ア'}, q{repeat('x', 700)}
    ],
    'varchar(20)' => [q{'a'}, q{'A'}, q{'a '}, q{''}, q{' '}],
    'char(5)'     => [q{'a'}, q{'A'}, q{''},   q{' a'}],
    'bytea'       =>
        [q{''}, q{'\x00'}, q{'\x0000'}, q{'\x20'}, q{'\x2020'}, q{'\x61'}, q{'\x41'}, q{'\xff'}],
    'uuid' =>
        [q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'}, q{'00000000-0000-0000-0000-000000000000'}],
    'numeric'        => ['1.0', '1.5',   '12345678901234567890.10', q{'NaN'}],
    'numeric(15, 2)' => ['1',   '-0.01', '9999999999999.99'],
    'timestamptz'    => [q{'2024-01-01 00:00:00.000001Z'}, q{'2024-01-01Z'}],
    'float8'         => ['0.1',   '1e300', '5e-324', '0.30000000000000004'],
    'int[]'          => [q{'{}'}, q{'{1,NULL}'}]
);
my @keyed;
for my $type (sort keys %key) {
    my $table = 'key_' . $type =~ s/\W+/_/gr;
    $pg->do(
        "create table $table (k $type primary key, n int)",
        map({"insert into $table values ($_, 0)"} @{$key_values{$type}}),
        map({"update $table set n = n + 1 where k = $_"} @{$key_values{$type}}[0, 1]),
        "delete from $table where k = $key_values{$type}[1]"
    );
    push @keyed, $table;
}
$pipeline->wait_caught_up;
for my $type (sort keys %key) {
    my $table = 'key_' . $type =~ s/\W+/_/gr;
    like($target->column_type($table, 'k'), $key{$type}, "$type as a key: the column's type");
    same_content($pg, $target, [$table], "$type as a key: each value is a row of its own");
}
unlike($target->column_type('key_text', 'k'),
    qr/utf8mb4_bin/, 'text as a key: in a collation in which trailing blanks count');
$pg->do(
    'create table key_pair (a text, b varchar(100), c bytea, d int, primary key (d, c, b, a))',
    q{insert into key_pair values ('a', 'b', 'c', 1), ('A', 'b', 'c', 1), ('a', 'b ', 'c', 1)},
    q{update key_pair set d = 2 where a = 'A'}
);
$pipeline->wait_caught_up;
same_content($pg, $target, ['key_pair'], 'a key of four columns, three of them of variable length');

# ---- wide rows ----

$pg->do(
    'create table wide (id int primary key, ' . join(', ', map {"v$_ varchar(1000)"} 1 .. 40) . ')',
    'insert into wide values (1' . q{, repeat('😀', 1000)} x 40 . ')',
    'update wide set v40 = null'
);
$pg->do(
    'create table many (c0 int primary key, ' . join(', ', map {"c$_ text"} 1 .. 300) . ')',
    'insert into many values (1' . q{, repeat('x', 100)} x 300 . ')',
    'update many set c300 = 3, c1 = null'
);
$pipeline->wait_caught_up;
same_content(
    $pg, $target,
    ['wide', 'many'],
    'rows wider than a row of MySQL may be in VARCHARs, and of hundreds of texts'
);

# ---- large values ----

$pg->do(
    'create table large (id int primary key, b bytea, t text)',
    'alter table large alter b set storage external, alter t set storage external',
    q{insert into large select 1, decode(repeat(string_agg(lpad(to_hex(g), 2, '0'), ''), 32768), 'hex'), null from generate_series(0, 255) g},
    q{insert into large values (2, null, repeat(E'é\r\n', 1024 * 1024))}
);
$pipeline->wait_caught_up;
is(
    $target->value('select length(b) from large where id = 1'),
    8 * 1024 * 1024,
    '8 MB of bytea arrive'
);
same_content($pg, $target, ['large'], '8 MB of bytea and 4 MB of text, byte by byte');
$pg->do('update large set id = id + 10');
$pipeline->wait_caught_up;
same_content($pg, $target, ['large'], 'and stay when they are not sent');
is_deeply($pipeline->stop, {capture => 0, assemble => 0, apply => 0}, 'all leave with 0');

# ---- what MySQL has no value for ----

my @beyond = (
    # type, literal, option, and what --… null and --… extreme make of it
    ['float8', q{'NaN'}, 'nan'], ['float4', q{'NaN'}, 'nan'], ['numeric(10, 2)', q{'NaN'}, 'nan'],
    ['float8',      q{'infinity'},                     'infinity',   '1.7976931348623157e308'],
    ['float8',      q{'-infinity'},                    'infinity',   '-1.7976931348623157e308'],
    ['float4',      q{'infinity'},                     'infinity',   '1.7976931348623157e308'],
    ['date',        q{'infinity'},                     'infinity',   '9999-12-31'],
    ['date',        q{'-infinity'},                    'infinity',   '1000-01-01'],
    ['timestamp',   q{'infinity'},                     'infinity',   '9999-12-31 23:59:59.999999'],
    ['timestamptz', q{'-infinity'},                    'infinity',   '1000-01-01 00:00:00.000000'],
    ['date',        q{'10000-01-01'},                  'date-range', '9999-12-31'],
    ['date',        q{'0044-03-15 BC'},                'date-range', '1000-01-01'],
    ['date',        q{'0999-12-31'},                   'date-range', '1000-01-01'],
    ['timestamp',   q{'294276-12-31 23:59:59.999999'}, 'date-range', '9999-12-31 23:59:59.999999'],
    ['timestamptz', q{'4714-11-24 00:00:00+00 BC'},    'date-range', '1000-01-01 00:00:00.000000'],
    ['timestamptz', q{'10000-01-01 00:30+01'},         'date-range', undef],
);
$pg->do('drop publication types', 'create publication beyond for all tables');
for my $i (0 .. $#beyond) {
    my ($type, undef, $option) = @{$beyond[$i]};
    $pg->do("create table beyond_$i (id int primary key, v $type)");
}

sub beyond_pipeline {
    my ($origin, @args) = @_;
    my $one = Pg2any::Pipeline->new(
        pg          => $pg,
        target      => new_target(kind => 'mysql', origin => $origin),
        slot        => $origin,
        publication => 'beyond',
        args        => {apply => [@args]}
    );
    $one->start;
    $one->wait_streaming;
    return $one;
}
my $null = beyond_pipeline('null', '--nan', 'null', '--infinity', 'null', '--date-range', 'null');
my $extreme =
    beyond_pipeline('extreme', '--nan', 'null', '--infinity', 'extreme', '--date-range', 'extreme');
for my $i (0 .. $#beyond) {
    my ($type, $literal, $option) = @{$beyond[$i]};
    # The last of them is within the range after all, in UTC.
    my $within = $literal =~ /00:30\+01/;
    $pg->do("insert into beyond_$i values (1, $literal)");
    next if $within;
    my $slot = "stop_$i";
    my $stop = Pg2any::Pipeline->new(
        pg          => $pg,
        target      => new_target(kind => 'mysql', origin => $slot),
        slot        => $slot,
        publication => 'beyond'
    );
    $stop->start;
    $stop->wait_streaming;
    $pg->do("update beyond_$i set v = $literal");
    is($stop->wait_exit('apply'), 100, "$literal in $type stops the applier");
    like(
        $stop->log_text('apply'),
        qr{level=error msg="update of public\.beyond_$i \(key id\), transaction \d+ committed at [0-9A-F]+/[0-9A-F]+: column v: the value is [^"]*--$option null},
        "$literal in $type: the error names table, transaction, LSN, column and the way out"
    );
    $stop->wait_all;
    $pg->drop_slot($slot);
}
for my $case ([$null, 'null'], [$extreme, 'extreme']) {
    my ($one, $policy) = @$case;
    $one->wait_caught_up;
    for my $i (0 .. $#beyond) {
        my ($type, $literal, $option, $want) = @{$beyond[$i]};
        my ($within) = $literal =~ /00:30\+01/ ? '9999-12-31 23:30:00.000000' : undef;
        my $rows     = $one->{target}->ordered_rows("beyond_$i", ['v'], ['id']);
        my $got      = ($rows->() // ['no row'])->[0];
        1 while $rows->();
        is(
            $got,
            $within // (
                       $policy eq 'null'
                    || $option eq 'nan' ? undef : $type =~ /float/ ? $want + 0 : $want
            ),
            "$literal in $type: --$option $policy"
        ) if !($type =~ /float/ && defined $want && $policy eq 'extreme');
        cmp_ok($got, '==', $want, "$literal in $type: --$option $policy")
            if $type =~ /float/ && defined $want && $policy eq 'extreme';
    }
    is_deeply($one->stop, {capture => 0, assemble => 0, apply => 0}, "$policy: all leave with 0");
}

done_testing;

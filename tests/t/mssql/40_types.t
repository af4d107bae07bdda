# Every type and many odd values arrive at SQL Server as docs/MSSQL.md says: here with the type of the
# column and value by value, and once more by the comparison of contents; as JSON and as literals, in
# text and in binary mode. What SQL Server has no value for stops the applier, or becomes what the user
# chose. The server is the TDS peer.
# needs: one postgres, mssql target, time

use Pg2any::MSSQL;
use Pg2any::Test;
use Pg2any::Values qw(single);

my $pg = Pg2any::Postgres->new(settings => { datestyle => 'German, DMY', timezone => 'Asia/Kolkata', extra_float_digits => -10 });
$pg->do(
    q{create type mood as enum ('sad', 'it''s "ok"', '😀')}, 'create type pair as (a int, b text)',
    'create domain d_bool as bool', 'create domain d_price as numeric(10, 2)', 'create domain d_when as timestamptz',
);
my $zeros = '0' x 1000;
my $all_bytes = join '', map { chr } 0 .. 255;
my $controls = join '', map { chr } 1 .. 31, 127;
my $megabytes = 'z' . "é😀\r\n\\'\"" x 100_000;
my $max = 'nvarchar(max) Latin1_General_100_BIN2';
sub nvarchar { my ($n) = @_; return "nvarchar($n) Latin1_General_100_BIN2" }

# [type, the column's type, [SQL literal, value at the target], …]. A value alone is text that arrives as it
# is written.
my @cases = (
    ['bool', 'bit', ['true', 1], ['false', 0]],
    ['d_bool', 'bit', ['true', 1]],
    ['int2', 'smallint', ['-32768', -32768], ['32767', 32767]],
    ['int4', 'int', ['-2147483648', -2147483648], ['2147483647', 2147483647]],
    ['int8', 'bigint', map { [$_, $_] } '-9223372036854775808', '9223372036854775807', '9007199254740993'],
    ['oid', 'bigint', ['4294967295', 4294967295], ['0', 0]],
    ['float8', 'float', map { [$_, $_] } '0.1', '0.30000000000000004', '1.7976931348623157e308',
        '-1.7976931348623157e308', '5e-324', '2.2250738585072014e-308', '9007199254740992', '1e15', '123456', '0'],
    ['float4', 'real', map { [$_, single($_)] } '0.1', '3.4028235e38', '-3.4028235e38', '1.1754944e-38', '16777217', '0.3', '1e-20'],
    ['numeric(10, 2)', 'decimal(10,2)', '12345678.90', '100.00', '0.10', '-0.01', '0.00', '-99999999.99'],
    ['numeric(38, 10)', 'decimal(38,10)', '9' x 28 . '.' . '9' x 10, '-0.0000000001'],
    ['numeric(38, 38)', 'decimal(38,38)', '0.' . '9' x 38, '-0.' . '0' x 37 . '1'],
    ['numeric(38, 0)', 'decimal(38,0)', '9' x 38, '-' . '9' x 38],
    ['numeric(39, 0)', $max, '9' x 39],
    ['d_price', 'decimal(10,2)', '12.30'],
    ['numeric', $max, '1.50', '12345678901234567890.10', 'NaN', "1$zeros", "0.${zeros}1", ['-0.0', '0.0'], ['007', '7']],
    $pg->major >= 15 ? (['numeric(5, -2)', 'decimal(7,0)', ['12345', '12300']], ['numeric(3, 5)', 'decimal(5,5)', '0.00123']) : (),
    ['money', 'decimal(19,2)', [q{'$0.00'}, '0.00'], [q{'-$1,234.56'}, '-1234.56'], [q{'$92,233,720,368,547,758.07'}, '92233720368547758.07']],
    ['text', $max, '', 't', 'f', 'true', 'null', 'NULL', '\N', '\\', '\\\\', "a\\\nb\\\r\nc\\\rd\\\\\n", '007', '00', '1e5', '1.0', 'NaN', '0x10',
        ' blank ', 'trailing  ', "\r\n", "\n", "a\tb", $controls, q{'"`}, q{\\'}, '%_', '[x]', 'é', "e\x{301}", '😀', "\x{10ffff}",
        "\x{ffff}", "\x{feff}bom", "\x{200b}", '{}', '[[1]]', '\u0041', '2024-01-01', '?', 'x' x 4001, '😀' x 2001, $megabytes],
    ['varchar(5)', nvarchar(10), '', 'abcde', '  ', '😀😀😀😀😀'],
    ['varchar(2000)', nvarchar(4000), '😀' x 2000],
    ['varchar(2001)', $max, '😀' x 2001],
    ['char(5)', nvarchar(10), [q{'ab'}, 'ab   '], [q{''}, '     '], [q{'😀'}, '😀    '], [q{'abcde'}, 'abcde']],
    ['"char"', nvarchar(4), 'a', '', ['(-128)::"char"', '\\200']],
    ['name', nvarchar(128), 'abc', 'x' x 63],
    ['bytea', 'varbinary(max)', [q{''}, ''], [q{'\x00'}, "\0"], [q{'\x} . unpack('H*', $all_bytes) . q{'}, $all_bytes],
        [q{'\x0d0a0d1a27225c00'}, "\r\n\r\x1a'\"\\\0"], [q{'\x3030'}, '00']],
    ['date', 'date', '2024-02-29', '0001-01-01', '9999-12-31', '1582-10-10'],
    ['time', 'time(6)', [q{'00:00'}, '00:00:00.000000'], [q{'23:59:59.999999'}, '23:59:59.999999'], [q{'12:00:00.5'}, '12:00:00.500000']],
    ['timetz', nvarchar(32), '24:00:00+00', '12:00:00+15:59:59'],
    ['timestamp', 'datetime2(6)', [q{'2024-02-29 12:00:00'}, '2024-02-29 12:00:00.000000'], [q{'0001-01-01 00:00:00.000001'}, '0001-01-01 00:00:00.000001'],
        [q{'9999-12-31 23:59:59.999999'}, '9999-12-31 23:59:59.999999']],
    ['timestamptz', 'datetimeoffset(6)', [q{'2026-11-22 12:20:30.5+02'}, '2026-11-22 10:20:30.500000 +00:00'],
        [q{'9999-12-31 23:59:59.999999+00'}, '9999-12-31 23:59:59.999999 +00:00'], [q{'0001-01-01 00:00:00+00'}, '0001-01-01 00:00:00.000000 +00:00']],
    ['d_when', 'datetimeoffset(6)', [q{'2024-03-31 01:30:00 Europe/Berlin'}, '2024-03-31 00:30:00.000000 +00:00']],
    ['interval', nvarchar(100), '00:00:00', '1 year 2 mons -3 days +04:05:06.789', '-178000000 years'],
    ['uuid', 'uniqueidentifier', [q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'}, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']],
    ['json', $max, qq{{"b" : 1,\n "a":[1 , 2.00],  "b": null}}, 'null', '"t"', '[]'],
    ['jsonb', $max, [q|'{"b":1,"aa":2.00,"b":[true , null]}'|, '{"b": [true, null], "aa": 2.00}'], '"\\u0001"'],
    ['bit(5)', nvarchar(5), '10101', '00000'],
    ['varbit(70)', nvarchar(70), '', '1' x 70],
    ['inet', nvarchar(43), '10.0.0.1', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/127'],
    ['macaddr', nvarchar(24), '08:00:2b:01:02:03'],
    ['pg_lsn', nvarchar(24), 'FFFFFFFF/FFFFFFFF'],
    ['mood', $max, 'sad', q{it's "ok"}, '😀'],
    ['pair', $max, '(1,)', '(,"a b")'],
    ['int[]', $max, '{}', '{1,NULL,3}', '{{1},{2}}'],
    ['text[]', $max, '{"a b","",NULL,"NULL","\"\\\\"}'],
    ['int4range', $max, 'empty', '[1,5)'],
    ['point', $max, '(1,-2.5)'],
    ['tsvector', $max, q{'a':1 'b':2}],
);

sub quoted { my ($text) = @_; return q{'} . $text =~ s/'/''/gr . q{'} }

my $n = 0;
my (%table, @tables);
for my $case (@cases) {
    my ($type, $there, @values) = @$case;
    my $table = 'types_' . ++$n;
    push @tables, $table;
    $table{$table} = $case;
    $pg->do("create table $table (id int primary key, v $type)");
}
$pg->do('create publication cdc_pub for all tables');

sub run_all {
    my ($name, $server, @capture) = @_;
    my $target = new_target(kind => 'mssql', server => $server, origin => $name);
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $name, args => { capture => \@capture });
    $pg->do("truncate $_") for @tables;
    $pipeline->start;
    $pipeline->wait_streaming;
    for my $table (@tables) {
        my ($type, undef, @values) = @{ $table{$table} };
        my $i = 0;
        $pg->do(join ';', 'begin', "insert into $table values (0, null)",
            (map { my $sql = ref $_ ? $_->[0] : quoted($_); "insert into $table values (" . ++$i . ", $sql)" } @values), 'commit');
    }
    $pipeline->wait_caught_up;
    for my $table (@tables) {
        my ($type, $there, @values) = @{ $table{$table} };
        is($target->column_type($table, 'v'), $there, "$name: $type is $there");
        my @got = map { $_->[0] } $target->rows("select v from $table order by id");
        my @want = (undef, map { ref $_ ? $_->[1] : $_ } @values);
        is(scalar @got, scalar @want, "$name: $type: all the rows");
        my @wrong = grep {
            my ($x, $y) = ($got[$_], $want[$_]);
            defined $x != defined $y || defined $x && !($type =~ /\Afloat/ ? $x == $y : $x eq $y)
        } 0 .. $#want;
        ok(!@wrong, "$name: $type: value by value")
            or diag(map { Pg2any::Compare::printable($got[$_]) . ' instead of ' . Pg2any::Compare::printable($want[$_]) . "\n" } @wrong);
    }
    same_content($pg, $target, \@tables, "$name: and by comparison");
    is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, "$name: all leave with 0");
    return;
}
run_all('json', Pg2any::MSSQL->new(fast => 1));
run_all('literals', Pg2any::MSSQL->new(fast => 1, name => 'old', level => 120));

# ---- what SQL Server does not have ----

my @policies = (
    ['float8', q{'NaN'}, 'nan', undef],
    ['numeric(5, 2)', q{'NaN'}, 'nan', undef],
    ['float8', q{'-infinity'}, 'infinity', '-1.7976931348623157e308'],
    ['float4', q{'infinity'}, 'infinity', single('3.4028235e38')],
    ['date', q{'infinity'}, 'infinity', '9999-12-31'],
    ['timestamptz', q{'-infinity'}, 'infinity', '0001-01-01 00:00:00.000000 +00:00'],
    ['timestamp', q{'0044-03-15 12:00 BC'}, 'date-range', '0001-01-01 00:00:00.000000'],
    ['date', q{'10000-01-01'}, 'date-range', '9999-12-31'],
    ['time', q{'24:00'}, 'date-range', '23:59:59.999999'],
);
my $server = Pg2any::MSSQL->new(fast => 1, name => 'policies');
my $p = 0;
for my $policy (@policies) {
    my ($type, $value, $flag, $extreme) = @$policy;
    my $table = 'policy_' . ++$p;
    $pg->do("create table $table (id int primary key, v $type)");
    for my $choice ('stop', 'null', defined $extreme ? 'extreme' : ()) {
        my $target = new_target(kind => 'mssql', server => $server, origin => "${table}_$choice");
        my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => "${table}_$choice",
            args => { apply => ["--$flag", $choice] });
        $pg->do("truncate $table");
        $pipeline->start;
        $pipeline->wait_streaming;
        $pg->do("insert into $table values (1, $value)");
        if ($choice eq 'stop') {
            is($pipeline->wait_exit('apply'), 100, "$type $value: stops");
            like($pipeline->log_text('apply'), qr/level=error.*$table.*column v.*SQL Server.*--$flag/, 'and names column and flag');
            $pipeline->wait_all;
        } else {
            $pipeline->wait_caught_up;
            my ($row) = $target->rows("select v from $table");
            my $want = $choice eq 'null' ? undef : $extreme;
            ok(defined $row->[0] == defined $want && (!defined $want || $row->[0] eq $want || $type =~ /\Afloat/ && $row->[0] == $want),
                "$type $value: --$flag $choice") or diag($row->[0] // 'NULL');
            $pipeline->stop;
        }
        $pg->drop_slot("${table}_$choice");
    }
}

done_testing;

# --binary: the frames are the same as in text mode, for every type that is supported, in ordinary
# and in streamed transactions; a type that is not supported is refused by name.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });

my @digits = map { '1234567890' x $_ } 1, 10, 100;
my %values = (
    bool => [qw(t f)],
    int2 => [-32768, 0, 32767],
    int4 => [-2147483648, 2147483647],
    int8 => [-9223372036854775808, 9223372036854775807],
    oid => [0, 4294967295],
    float4 => [
        qw(0.1 3.4028235e38 1e-45 NaN infinity -infinity -0 1e15 123456789 1.17549435e-38 16777217)
    ],
    float8 => [
        qw(0.1 0.30000000000000004 1.7976931348623157e308 5e-324 NaN infinity -infinity -0 1e15 1e16
            123456789012345678 1e-5 0.0001 2.2250738585072014e-308 9007199254740993)
    ],
    numeric => [
        qw(0 0.0 -0.10 1.50 NaN infinity -infinity 1e100 1e-100 10000 100000000.00010000 0.0001
            0.00001 99999999.9999),
        @digits,
        "-$digits[2].$digits[2]"
    ],
    'numeric(10,2)' => [qw(1.5 -99999999.99 0 NaN)],
    text => ['', 't', "a\r\n\t\\'\"", '😀', 'x' x 3000],
    varchar => ['', 'é'],
    'char(4)' => ['', 'é', 'abcd'],
    name => ['n', ''],
    bytea => ['', '\x00ff0a5c', '\x' . '00' x 3000],
    date => [
        '2024-02-29', 'infinity', '-infinity', '0044-03-15 BC',
        '5874897-12-31', '4714-11-24 BC', '0001-01-01', '10000-01-01'
    ],
    time => ['24:00:00', '0:0', '23:59:59.999999', '0:0:0.1'],
    timetz => ['24:00+00', '12:00:00.5-15:59:59', '1:2:3+05:30', '1:2:3-00:30'],
    timestamp => [
        '2024-02-29 12:00',
        'infinity',
        '-infinity',
        '294276-12-31 23:59:59.999999',
        '4714-11-24 BC',
        '0001-01-01 0:0:0.000001',
        '1999-12-31 23:59:59.5',
        '10000-01-01'
    ],
    timestamptz => [
        '2024-02-29 12:00+05:30',
        'infinity',
        '-infinity',
        '294276-12-31 23:59:59.999999+00',
        '4714-11-24 00:00+00 BC',
        '0044-03-15 23:59:59.999999+00 BC'
    ],
    interval => [
        '0',
        '1 year 2 mons -3 days 04:05:06.789',
        '-1 day',
        '-0.000001 s',
        '178000000 years',
        '-178000000 years',
        '1 mon -1 day',
        '2147483647:59:59.999999',
        '-1 year +1 mon',
        '1 day -0:0:1',
        '14 mons'
    ],
    uuid => ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    json => [qq{{"b" : 1,\n "a":2.00}}, 'null'],
    jsonb => ['{"b" : 1, "aa":2.00, "c": [true, null, "x"]}', '"t"', '[]'],
    inet => [
        '10.0.0.1', '10.1.2.3/8', '0.0.0.0/0', '::1',
        '2001:db8::/32', '::ffff:1.2.3.4', 'fe80::1:0:0:1', '::',
        '1::'
    ],
    cidr => ['10/8', '::/0', '192.168.1.0/24', '10.0.0.1/32'],
    bit => [0, 1],
    'bit(11)' => ['10101010101'],
    varbit => ['', '1' x 70],
    macaddr => ['08002b010203'],
    macaddr8 => ['08002b0102030405'],
    pg_lsn => ['0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF'],
    xid => [4294967295],
    xid8 => ['18446744073709551615'],
    '"char"' => ['c', ''],
    jsonpath => ['$."a"[*]?(@ > 1)'],
    refcursor => ['c'],
    d_price => [1.5],
    d_when => ['2024-01-01 00:00+00'],
    d_bytes => ['\x00'],
    # These have no send function, and so come as text in binary mode too.
    aclitem => ['postgres=r/postgres'],);
$values{xml} = ['<a b="ü">&amp;</a>', 'x'] if eval { $pg->do(q{select '<a/>'::xml}); 1 };
my @types = sort keys %values;
sub column { return $pg->dbh->quote_identifier("c $_[0]") }

$pg->do(
    'create domain d_price as numeric(10, 2)',
    'create domain d_when0 as timestamptz',
    'create domain d_when as d_when0',
    'create domain d_bytes as bytea',
    'create table plain (id int primary key, '
        . join(', ', map { column($_) . " $_" } @types) . ')',
    'create table full_row (like plain)',
    'alter table full_row replica identity full',
    'create table big_values (id int primary key, n int, t text, b bytea, v numeric)',
    'alter table big_values alter t set storage external, alter b set storage external',
    'create publication text_and_binary for table plain, full_row, big_values',
    q{select pg_create_logical_replication_slot('both', 'pgoutput')});

my @rows = map {
    my $i = $_;
    [map { my $v = $values{$_}[$i]; defined $v ? $pg->dbh->quote($v) . '::' . $_ : 'null' } @types]
} 0 .. 20;
for my $table (qw(plain full_row)) {
    my $n = 0;
    $pg->do(join ';', 'begin',
        (map {"insert into $table values (@{[++$n]}, @{[join ', ', @$_]})"} @rows), 'commit');
    $pg->do(
        "update $table set \"c int4\" = 7 where id % 2 = 0",
        "update $table set id = id + 100 where id % 3 = 0",
        "delete from $table where id % 5 = 0");
    # Larger than what the server decodes in memory: streamed, with a savepoint rolled back.
    my $columns = join ', ', map { column($_) } @types;
    $pg->do(
        join ';',
        'begin',
        "insert into $table select id + g * 1000, $columns from $table, generate_series(1, 20) g",
        'savepoint s',
        "update $table set \"c bool\" = not \"c bool\"",
        'rollback to s',
        "update $table set \"c text\" = null where id > 15000",
        'commit');
}
$pg->do(
    q{insert into big_values select g, g, repeat(md5(g::text), 2000), decode(repeat(md5(g::text),
        2000), 'hex'), g from generate_series(1, 5) g},
    'update big_values set n = n + 1',
    'update big_values set id = id + 10 where id = 3',
    'truncate big_values');
my $until = $pg->current_lsn;

# The frames of the slot as JSON, without what has to differ.
sub capture_json {
    my (@args) = @_;
    my $file = fresh_name('capture.frames');
    my ($status, undef, $log) = run_tool_to(
        $file, 'pg-capture', '--source', $pg->uri,
        '--slot', 'both', '--publication', 'text_and_binary',
        '--until-lsn', $until, @args);
    is($status, 0, "pg-capture @args: exit 0") or diag($log);
    my ($dumped, $json) = run_tool('frame-dump', stdin => $file);
    is($dumped, 0, 'its frames are well formed');
    my @lines = grep { !/"type":"(?:hello|progress|end)"/ } split /\n/, $json;
    s/"offset":\d+,?// for @lines;
    return @lines;
}

# run_tool() keeps stdout as text; frames are bytes and go to a file.
sub run_tool_to {
    my ($file, $name, @args) = @_;
    my $log = fresh_name("$name.log");
    my $process = Pg2any::Process->start(
        name => $name,
        argv => [Pg2any::Pipeline::tool($name), @args],
        stdout => $file,
        stderr => $log);
    my $status = $process->wait_exit(60);
    return ($status, undef, Pg2any::Postgres::read_file($log));
}

my $confirmed = $pg->slot('both')->{confirmed_flush_lsn};
for my $streaming (qw(on off)) {
    my @text = capture_json('--streaming', $streaming);
    my @binary = capture_json('--streaming', $streaming, '--binary');
    cmp_ok(scalar @text, '>', 900, "streaming $streaming: " . @text . ' frames');
    my $streamed = grep {/"type":"stream_start"/} @text;
    ok( $streaming eq 'on' ? $streamed > 1 : !$streamed,
        "streaming $streaming: $streamed blocks are streamed");
    is(scalar @binary, scalar @text, "streaming $streaming: as many frames in binary mode");
    my ($first) = grep { ($text[$_] // '') ne ($binary[$_] // '') } 0 .. $#text;
    ok( !defined $first,
        "streaming $streaming: the same frames in binary mode, text among them (trap 31)"
    );
    if (defined $first) {
        my ($t, $b) = ($text[$first], $binary[$first]);
        my $i = 0;
        $i++ while substr($t, $i, 1) eq substr($b, $i, 1) && $i < length $t;
        diag("frame $first differs: text …" . substr($t, $i > 80 ? $i - 80 : 0, 200),
            "\nbinary …" . substr($b, $i > 80 ? $i - 80 : 0, 200));
    }
}
is($pg->slot('both')->{confirmed_flush_lsn},
    $confirmed, 'without --ack looking never moved the slot');

# ---- what is not supported ----

for my $case (
    ['point', 'point'],
    ['int[]', 'integer\[\]'],
    ['mood', 'mood'],
    ['d_ints', 'd_ints'],
    ['tsvector', 'tsvector'],
    ['pair', 'pair']
) {
    my ($type, $shown) = @$case;
    $pg->do(
        q{create type mood as enum ('a')},
        'create domain d_ints as int[]',
        'create type pair as (a int, b int)'
    ) if $type eq 'point';
    $pg->do("create table bad (id int primary key, ok int, \"the column\" $type)",
        'create publication bad for table bad');
    my ($status, undef, $log) = run_tool(
        'pg-capture',
        args => [
            '--source', $pg->uri, '--slot', 'refused',
            '--publication', 'bad', '--binary', '--until-lsn',
            'current'
        ]);
    is($status, 100, "$type is refused at the start");
    like(
        $log,
        qr/level=error.*bad.*the column.*$shown.*text mode/,
        "$type: the error names table, column, type and the way out");
    ok(!$pg->slot('refused'), "$type: no slot was made");
    $pg->do('drop publication bad', 'drop table bad');
}

SKIP: {
    skip 'column lists came with PostgreSQL 15', 1 if $pg->major < 15;
    $pg->do(
        'create table listed (id int primary key, p point)',
        'create publication listed for table listed (id)');
    my ($status) = run_tool(
        'pg-capture',
        args => [
            '--source', $pg->uri, '--slot', 'listed',
            '--publication', 'listed', '--binary', '--until-lsn',
            'current'
        ]);
    is($status, 0, 'a column that is not published does not matter');
    $pg->drop_slot('listed') if $pg->slot('listed');
}

{
    # PostgreSQL 15 to 17 list a generated column among those of the publication, and do not send it.
    $pg->do(
        q{create table made (id int primary key, v text,
            words tsvector generated always as (to_tsvector('english', v)) stored)},
        'create publication made for table made');
    my ($status, undef, $log) = run_tool(
        'pg-capture',
        args => [
            '--source', $pg->uri, '--slot', 'made',
            '--publication', 'made', '--binary', '--until-lsn',
            'current'
        ]);
    is($status, 0, 'nor does a generated one') or diag($log);
    $pg->drop_slot('made') if $pg->slot('made');
    $pg->do('drop publication made', 'drop table made');
}

{
    my $target = new_target();
    $pg->do(
        'create table later (id int primary key, v text)',
        'create publication cdc_pub for all tables');
    $pg->do('drop table listed') if $pg->major >= 15;
    my $pipeline =
        Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--binary'] });
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into later values (1, 'a')});
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['later'], 'the whole pipeline in binary mode');
    $pg->do(
        'alter table later add column where_to point',
        q{insert into later values (2, 'b', '1,2')});
    is($pipeline->wait_exit('capture'),
        100, 'a type that is not supported and appears later stops the capture');
    like(
        $pipeline->log_text('capture'),
        qr/level=error.*later.*where_to.*text mode/,
        'and it names table, column and the way out');
    $pipeline->wait_all;
    my $in_text = Pg2any::Pipeline->new(pg => $pg, target => $target);
    $in_text->start;
    $in_text->wait_caught_up;
    same_content($pg, $target, ['later'], 'in text mode it goes on from there');
    is_deeply($in_text->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');
}

done_testing;

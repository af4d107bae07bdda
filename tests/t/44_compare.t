# pg2any compare finds what differs, of each type and kind, by the exact key and column, and nothing else: a value, a row
# that is missing, one too many, one twice in a table without a key. What is not compared, it says. Nobody's rows are changed.
# needs: one postgres, any target, time

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'what is there cannot be read back') if ($ENV{TARGET} // '') =~ /\Atext\z/;

my $pg = Pg2any::Postgres->new;
my $target = new_target();
my $kind = $target->kind;
my $sqlite = $kind eq 'sqlite';

$pg->do(q{create type mood as enum ('sad', 'ok')}, 'create type pair as (a int, b text)', 'create domain price as numeric(10, 2)',
    'create domain bytes as bytea');

# [type, [two values that are as near to one another as the type has them], …]. 'null' is one, too.
my @types = (
    ['bool', ['true', 'false'], ['false', 'null']],
    ['int2', ['-32768', '-32767'], ['0', 'null']],
    ['int4', ['2147483647', '2147483646']],
    ['int8', ['9007199254740993', '9007199254740992'], ['-9223372036854775808', '-9223372036854775807']],
    ['oid', ['4294967295', '4294967294']],
    ['float4', ['0.1', '0.10000001'], ['16777216', '16777218']],
    ['float8', ['0.1', '0.10000000000000002'], ['1e300', '1.0000000000000002e300'], ['0', 'null'],
        $sqlite ? [q{'infinity'}, q{'-infinity'}] : ()],
    ['numeric(10, 2)', ['1.10', '1.11'], ['-0.01', '0'], $sqlite ? [q{'NaN'}, '0'] : ()],
    ['numeric(30, 10)', ['12345678901234567890.1234567891', '12345678901234567890.1234567890']],
    ['numeric', ['1.0', '1.00'], ['12345678901234567890.1', '12345678901234567890.2']],
    ['price', ['9.99', '9.98']],
    ['money', ['12.34', '12.35'], ['-1234567.89', '-1234567.88']],
    ['text', [q{''}, 'null'], [q{'a'}, q{'a '}], [q{'a'}, q{'A'}], [q{'é'}, q{'e'}], [q{E'a\tb\nc\\\\'}, q{E'a\tb\nd\\\\'}], [q{'😀'}, q{'😁'}],
        [q{repeat('x', 100000) || 'y'}, q{repeat('x', 100000) || 'z'}], [q{'\N'}, 'null']],
    ['varchar(20)', [q{'007'}, q{'7'}], [q{'1.0'}, q{'1'}]],
    ['char(5)', [q{'ab'}, q{'ac'}]],
    ['"char"', [q{'a'}, q{'b'}]],
    ['name', [q{'abc'}, q{'abd'}]],
    ['bytea', [q{'\x00ff'}, q{'\x00fe'}], [q{''}, 'null'], [q{'\x5c78'}, q{'\x5c79'}]],
    ['bytes', [q{'\x01'}, q{'\x02'}]],
    ['date', [q{'2026-02-28'}, q{'2026-03-01'}], $sqlite ? [q{'infinity'}, q{'0044-03-15 BC'}] : ()],
    ['time', [q{'10:20:30.000001'}, q{'10:20:30'}], [q{'23:59:59'}, q{'23:59:58.999999'}]],
    ['timetz', [q{'10:20:30+01'}, q{'09:20:30+00'}]],
    ['timestamp', [q{'2026-11-22 10:20:30.5'}, q{'2026-11-22 10:20:30.500001'}], [q{'1000-01-01 00:00:00'}, q{'1000-01-01 00:00:00.000001'}]],
    ['timestamptz', [q{'2026-11-22 10:20:30+00'}, q{'2026-11-22 10:20:30.000001+00'}], [q{'9999-12-31 23:59:59.999999+00'}, q{'9999-12-31 23:59:59.999998+00'}]],
    ['timestamp(0)', [q{'2026-11-22 10:20:30'}, q{'2026-11-22 10:20:31'}]],
    ['interval', [q{'1 month'}, q{'30 days'}], [q{'1 day'}, q{'24 hours'}]],
    ['uuid', [q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'}, q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'}]],
    ['json', [q{'{"a":1}'}, q{'{"a": 1}'}]],
    ['jsonb', [q{'{"a": 1, "b": [2]}'}, q{'{"a": 1, "b": [3]}'}]],
    ['int[]', [q{'{1,NULL}'}, q{'{1,0}'}], [q{'{}'}, 'null']],
    ['text[]', [q{'{NULL}'}, q{'{"NULL"}'}]],
    ['mood', [q{'sad'}, q{'ok'}]],
    ['pair', [q{'(1,)'}, q{'(1,"")'}]],
    ['bit(3)', [q{B'101'}, q{B'100'}]],
    ['bit(64)', [q{B'1' || repeat('0', 63)::varbit}, q{B'1' || repeat('0', 62)::varbit || B'1'}]],
    ['varbit(9)', [q{B'10'}, q{B'100'}]],
    ['inet', [q{'10.0.0.1'}, q{'10.0.0.1/31'}]],
    ['macaddr', [q{'08:00:2b:01:02:03'}, q{'08:00:2b:01:02:04'}]],
    ['point', [q{'(1,2)'}, q{'(1,2.0000000000000004)'}]],
    ['int4range', [q{'[1,5)'}, q{'[1,6)'}], [q{'empty'}, 'null']],
    ['tsvector', [q{'a:1'}, q{'a:2'}]],
    ['pg_lsn', [q{'0/1'}, q{'0/2'}]],
);
my @keys_of = grep { $_->[0] =~ /\A(?:bool|int[248]|oid|numeric.*|price|text|varchar.*|bytea|date|time|timestamp|timestamptz|uuid|mood|bit\(3\)|inet)\z/ } @types;

my $many = $kind eq 'mssql' ? 2000 : 40_000; # of a table whose keys are more text than is kept at a time; the peer is slow

# A table with all types, two rows for each pair; a table for each type that is a key.
my @columns = map {"c$_"} 0 .. $#types;
$pg->do('create table every (id int primary key, ' . join(', ', map {"$columns[$_] $types[$_][0]"} 0 .. $#types) . ')');
my $id = 0;
my @pairs; # [id of the first, its column, value, other]
for my $i (0 .. $#types) {
    my ($type, @of) = @{ $types[$i] };
    for my $pair (@of) {
        push @pairs, [$id + 1, $columns[$i], @$pair];
        $pg->do(map { "insert into every (id, $columns[$i]) values (" . ++$id . ", $_)" } @$pair);
    }
}
for my $i (0 .. $#keys_of) {
    my ($type, @of) = @{ $keys_of[$i] };
    my @values = grep { $_ ne 'null' && !/repeat/ } map {@$_} @of;
    $pg->do("create table key$i (k $type primary key, v int)",
        map { "insert into key$i values ($_, 1) on conflict do nothing" } $type =~ /text/ && !$sqlite ? grep { !/' ?'|\\/ && $_ ne q{'a '} } @values : @values);
}
$pg->do('create table bag (n int, t text)', 'alter table bag replica identity full',
    q{insert into bag values (1, 'x'), (1, 'x'), (2, null), (3, ''), (4, 'once')},
    'create table pairs (a int, b text, v int, primary key (b, a))', q{insert into pairs values (1, 'x', 1), (2, 'x', 2), (1, 'y', 3)},
    'create table empty (id int primary key)',
    'create schema "o""dd"', q{create table "o""dd"."t a	b" ("k ey" int primary key, "v'" text)}, q{insert into "o""dd"."t a	b" values (1, 'x')},
    'create table part (id int, v text, primary key (id)) partition by range (id)',
    'create table part_1 partition of part for values from (1) to (100)', 'create table part_2 partition of part for values from (100) to (200)',
    q{insert into part values (1, 'one'), (150, 'two')},
    'create table columns (id int primary key, v text, hidden text)', q{insert into columns values (1, 'v', 'h')},
    'create table wide (id int, pad varchar(400), primary key (id, pad))',
    "insert into wide select g, repeat('x', 350) || g from generate_series(1, $many) g",
    'create publication cdc_pub for table only every, bag, wide, pairs, empty, "o""dd"."t a	b", columns (id, v), part with (publish_via_partition_root = true)',
    'alter publication cdc_pub add table ' . join(', ', map {"key$_"} 0 .. $#keys_of));

my %map = $kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : ();
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => 'only', %map });
$front->start;
is($front->process->wait_exit(120), 0, 'copied') or diag($front->log_text);

# What pg2any compare --still says of each table: {schema.table => what of the JSON}.
sub compare {
    my (@words) = @_;
    my ($status, $out, $err) = $front->command(['compare', '--still', '--json', @words], limit => 120);
    require JSON::PP;
    my %of;
    for my $line (split /\n/, $out) {
        my $table = JSON::PP->new->decode($line);
        $of{"$table->{schema}.$table->{table}"} = $table;
    }
    return ($status, \%of, $err);
}

# What it leaves for those who look later.
sub left {
    return join ' ', map { $front->metric('compare', "pg2any_compare_$_") // 'nothing' }
        map({ qq(tables{result="$_"}) } 'equal', 'different', 'undecided', 'not compared'), 'keys_different', 'rows';
}

is(left(), join(' ', ('nothing') x 6), 'nothing was compared');
my ($status, $of, $err) = compare();
is($status, 0, 'equal: exit 0') or diag($err);
my $rows = 0;
$rows += $_->{source_rows} for values %$of;
is(left(), @keys_of + 8 . " 0 0 0 0 $rows", 'it leaves what it came to');
my $ended = $front->metric('compare', 'pg2any_compare_timestamp_seconds');
cmp_ok(abs(time - $ended), '<', 60, 'and when');
my (undef, $shown) = $front->command(['status']);
like($shown, qr/^ +last compared \d{4}-\d\d-\d\d \d\d:\d\d: @{[@keys_of + 8]} tables equal$/m, 'status says so') or diag($shown);
(undef, $shown) = $front->command(['status', '--json']);
my $last = JSON::PP->new->decode($shown)->{targets}[0]{last_compare};
is_deeply([@$last{qw(time tables_equal tables_different rows)}], [$ended, @keys_of + 8, 0, $rows], 'and for programs') or diag($shown);
is($err, '', 'and nothing on stderr');
is(scalar keys %$of, @keys_of + 8, 'all tables');
is_deeply([grep { $of->{$_}{result} ne 'equal' } sort keys %$of], [], 'all of them equal') or diag(explain($of));
is($of->{'public.every'}{source_rows}, $id, 'every row of the source');
is($of->{'public.every'}{target_rows}, $id, 'and of the target');
is($of->{'public.part'}{source_rows}, 2, 'rows of partitions');

# ---- at the target: each value that is near to another takes its place ----

my $every = $target->sql_name('public', 'every');
my $quote = $kind eq 'mysql' ? sub {"`$_[0]`"} : sub {"\"$_[0]\""};
my $dbh = $target->dbh;
for my $pair (@pairs) {
    my ($first, $column) = @$pair;
    $dbh->do("update $every set $column = (select x.$column from (select id, $column from $every) x where x.id = $first + 1) where id = $first");
}
$target->disconnect;
my $keys = fresh_name('keys');
($status, $of, $err) = compare('--keys', $keys, 'public.every');
is($status, 1, 'different: exit 1') or diag($err);
is($of->{'public.every'}{differ}, scalar @pairs, 'each of them, and no other');
is(scalar @{ $of->{'public.every'}{keys} }, 20, 'twenty of them are shown');
is_deeply([sort split /\n/, Pg2any::Postgres::read_file($keys)], [sort map {"different\tpublic\tevery\tid\t$_->[0]"} @pairs],
    'all are in the file of keys');

# Each by itself, where the column is told: twenty are shown at a time.
my %column = map { $_->[0] => $_->[1] } @pairs;
my (%told, @restored);
for (my $at = 0; $at < @pairs; $at += 20) {
    for my $pair (@restored) {
        $pg->do("delete from every where id = $pair->[0]"); # at both sides
        $target->dbh->do("delete from $every where id = $pair->[0]");
    }
    $target->disconnect;
    ($status, $of) = compare('public.every');
    $told{ $_->{key}{id} } = join ',', @{ $_->{columns} // [] } for @{ $of->{'public.every'}{keys} };
    my %shown = map { $_->{key}{id} => 1 } @{ $of->{'public.every'}{keys} };
    @restored = grep { $shown{ $_->[0] } } @pairs;
}
is_deeply(\%told, \%column, 'and the column that differs, of each');

# ---- at the source: rows that are missing at the target, and too many there, of each type of key ----

my (%expected, %kinds);
for my $i (0 .. $#keys_of) {
    my ($first, @rest) = map { $_->[0] } @{ $pg->dbh->selectall_arrayref("select k::text from key$i order by k::text collate \"C\"") };
    $pg->do("delete from key$i where k::text = (select min(k::text collate \"C\") from key$i)");
    $expected{"public.key$i"} = $first;
}
($status, $of, $err) = compare('--keys', $keys, map {"public.key$_"} 0 .. $#keys_of);
is($status, 1, 'rows too many at the target') or diag($err);
my $unescape = sub { return $_[0] =~ s{\\([bfnrtv\\])}{ {b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", v => "\x0b", '\\' => '\\'}->{$1} }ger };
my %found;
for my $line (split /\n/, Pg2any::Postgres::read_file($keys)) {
    my ($what, $schema, $table, $name, $value) = split /\t/, $line;
    utf8::decode($value);
    push @{ $found{"$schema.$table"} }, [$what, $name, $unescape->($value)];
}
for my $i (0 .. $#keys_of) {
    my $found = $found{"public.key$i"} // [];
    my ($what, $name, $value) = @{ $found->[0] // [] };
    is(scalar @$found, 1, "$keys_of[$i][0] as a key: one row");
    is("$what $name", 'extra k', '... too many, found by its key');
    ok($pg->value("select ?::$keys_of[$i][0] = ?::$keys_of[$i][0]", $value, $expected{"public.key$i"}),
        "... $value, as PostgreSQL reads it") or diag("not $expected{\"public.key$i\"}");
}
for my $i (0 .. $#keys_of) {
    $pg->do("insert into key$i select '" . $expected{"public.key$i"} =~ s/'/''/gr . "'::$keys_of[$i][0], 1");
}
($status, $of) = compare(map {"public.key$_"} 0 .. $#keys_of);
is($status, 0, 'they are back: equal') or diag(explain($of));

# ---- tables of other kinds ----

$dbh = $target->dbh;
my ($bag, $pairs, $part, $odd) = (map({ $target->sql_name('public', $_) } qw(bag pairs part)), $target->sql_name('o"dd', "t a\tb"));
$dbh->do("insert into $bag values (1, 'x')");
$dbh->do("update $bag set t = '' where n = 2");
$dbh->do("delete from $bag where n = 4");
$dbh->do("update $pairs set v = 9 where a = 1 and b = 'y'");
$dbh->do("delete from $pairs where a = 1 and b = 'x'");
$dbh->do("update $part set v = 'three' where id = 150");
$dbh->do("update $odd set " . $quote->(q{v'}) . " = 'y'");
$dbh->do('update ' . $target->sql_name('public', 'columns') . q{ set v = 'w'});
$target->disconnect;
($status, $of, $err) = compare(qw(public.bag public.pairs public.part public.columns public.empty), "o\"dd.*");
is($status, 1, 'tables of other kinds') or diag($err);
sub shown { my ($table) = @_; return [sort map { my $k = $_; join ' ', $k->{kind}, map({ "$_=" . ($k->{key}{$_} // 'NULL') } sort keys %{ $k->{key} }), "[@{$k->{columns} // []}]" } @{ $of->{$table}{keys} }] }
is_deeply(shown('public.bag'), [sort 'extra n=1 t=x []', 'extra n=2 t= []', 'missing n=2 t=NULL []', 'missing n=4 t=once []'],
    'without a key: a row twice, NULL for an empty text, one that is missing');
is_deeply(shown('public.pairs'), [sort 'different a=1 b=y [v]', 'missing a=1 b=x []'], 'a key of two columns');
is_deeply(shown('public.part'), ['different id=150 [v]'], 'a partitioned table');
is_deeply(shown("o\"dd.t a\tb"), ['different k ey=1 [v\']'], 'odd names');
is_deeply(shown('public.columns'), ['different id=1 [v]'], 'columns that are published');
is($of->{'public.empty'}{result}, 'equal', 'an empty one');
is($pg->value('select count(*) from bag'), 5, 'the source is as it was');

$target->dbh->do('delete from ' . $target->sql_name('public', 'wide'));
$target->disconnect;
($status, $of, $err) = compare('--keys', $keys, 'public.wide');
is($status, 1, 'a table that is empty at the target') or diag($err);
is($of->{'public.wide'}{differ}, $many, 'every key');
my %listed = map { $_ => 1 } grep { /\Amissing\tpublic\twide\tid\t(\d+)\tpad\tx{350}\1\z/ } split /\n/, Pg2any::Postgres::read_file($keys);
is(scalar keys %listed, $many, 'and each is listed once, though they are more than is kept at a time');
($status, $of, $err) = compare('public.wide');
is($status, 1, 'without a list');
ok($of->{'public.wide'}{differ} > 1000 && @{ $of->{'public.wide'}{keys} } == 20, 'twenty are shown');

# ---- for people ----

my ($out);
($status, $out, $err) = $front->command(['compare', '--still', 'public.pairs', 'public.empty'], limit => 60);
is($status, 1, 'for people');
like($out, qr/^public\.pairs +3 rows +\d+\.\d s  2 keys differ$/m, 'a line for a table');
like($out, qr/^ +missing at the target +b=x, a=1$/m, 'one for a key');
like($out, qr/^ +different +b=y, a=1 \(v\)$/m, 'and the column');
unlike($out, qr/source:/, 'no values');
is(left(), '1 1 0 0 2 3', 'what it leaves');
like($out, qr/^public\.empty +0 rows +\d+\.\d s  equal$/m, 'equal');
($status, $out) = $front->command(['compare', '--still', '--values', 'public.pairs'], limit => 60);
like($out, qr/source: a=1, b=y, v=3\n +target: a=1, b=y, v=9$/m, '--values shows them');
($status, $out) = $front->command(['compare', '--still', '--sample', '1', 'public.every'], limit => 60);
like($out, qr/not compared: \d+ rows, because of --sample/, '--sample says what it did not look at');

# ---- what is not compared ----

($status, $out, $err) = $front->command(['compare', '--still', 'public.nobody'], limit => 60);
is($status, 100, 'a table that is not published: exit 100');
like($err, qr/no table public\.nobody is published/, 'and says so');
$pg->do('create table late (id int primary key)', 'insert into late values (1)', 'alter publication cdc_pub add table late');
($status, $out, $err) = $front->command(['compare', '--still', 'public.late', 'public.empty'], limit => 60);
is($status, 111, 'a table that has not come yet: exit 111');
like($out, qr/^public\.late +not compared: the target holds nothing of it yet$/m, 'and says so');
like($out, qr/^public\.empty .* equal$/m, 'the others are');
is(left(), '1 0 0 1 0 0', 'what it leaves');
($status, $out, $err) = $front->command(['compare', '--wait', '1s', 'public.empty'], limit => 60);
is($status, 111, 'the pipeline stands still, behind: exit 111');
like($err, qr/the target makes no progress at .*does the pipeline run\?.*--still/, 'and says so');
is(left(), '1 0 0 1 0 0', 'it leaves nothing, and what was there stays');
($status, $out, $err) = $front->command(['compare', '--target', '2'], limit => 60);
is($status, 100, 'a target that is not there');

# ---- the programs by themselves ----

my $frames = fresh_name('rows.frames');
my %env = (CDC_SOURCE_CONNECTION_STRING => $pg->uri);
my $capture = Pg2any::Process->start(name => 'pg-capture', argv => [Pg2any::Pipeline::tool('pg-capture'), '--rows', 'public.bag,public.pairs'],
    stdout => $frames, stderr => fresh_name('capture.log'), env => \%env);
is($capture->wait_exit(30), 0, 'pg-capture --rows writes a file');
# Who asks for tables has what was asked for when it leaves, and does not wait for the end frame.
pipe my $asked, my $ask or die "pipe: $!";
pipe my $rows_of, my $to_us or die "pipe: $!";
$capture = Pg2any::Process->start(name => 'pg-capture', argv => [Pg2any::Pipeline::tool('pg-capture'), '--rows', '-'],
    stdin => $asked, stdout => $to_us, stderr => my $capture_log = fresh_name('capture.log'), env => \%env);
close $_ for $asked, $to_us;
ok(sysread($rows_of, my $list, 65536), 'pg-capture --rows - lists tables');
close $_ for $rows_of, $ask;
is($capture->wait_exit(30), 0, 'and leaves with 0 when nobody asks any more') or diag(Pg2any::Postgres::read_file($capture_log));
my @map = %map ? ('--schema-map', $map{CDC_SCHEMA_MAPPING}) : ();
($status, $out, $err) = run_tool($target->applier, args => ['--dest', $target->dest, '--compare', 'all', @map], stdin => $frames);
is($status, 1, 'an applier compares with it') or diag($err);
like($out, qr/^public\.bag .* 4 keys differ\n.*^public\.pairs .* 2 keys differ$/ms, 'and finds the same');
($status, $out, $err) = run_tool($target->applier, args => ['--dest', $target->dest, '--compare', 'public.pairs', @map], stdin => $frames);
like($out, qr/\A(?!public\.bag)public\.pairs .* 2 keys differ$/m, 'a table of it');
my ($dump_status, $dump) = run_tool('frame-dump', args => ['--summary'], stdin => $frames);
like($dump, qr/"public\.bag":\{"insert":5/, 'frame-dump reads it') or diag($dump);

done_testing;

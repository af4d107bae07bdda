# pg2any compare of tables made by hand, whose types are others than those that pg2any takes: what they hold is equal, and a
# value beside it is found. What --nan, --infinity and --date-range put in the place of values is equal, and counted.
# needs: one postgres, mssql target

use JSON::PP ();
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $target = new_target();
$pg->do('create table hand (id int primary key, small_bool bool, big int2, cash money, single float4, wide_single float4, exact numeric(5, 2),'
        . ' id2 uuid, day date, at timestamp, zoned timestamptz, number oid, word text)',
    q{insert into hand values (1, true, 7, 12.34, 0.1, 0.1, 1.50, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-02-28', '2026-02-28 10:20:30.5',}
        . q{ '2026-02-28 10:20:30.5+00', 4294967295, 'a')},
    q{insert into hand values (2, false, -7, -1234567.89, 16777216, 16777216, -0.01, null, '0001-01-01', '0001-01-01', '0001-01-01 00:00+00', 0, '')},
    'insert into hand (id) values (3)',
    'create table policy (id int primary key, f float8, s float4, n numeric(5, 1), d date, t timestamp, z timestamptz, c time)',
    q{insert into policy values (1, 'nan', 'nan', 'nan', 'infinity', '-infinity', '0044-03-15 00:00+00 BC', '24:00')},
    q{insert into policy values (2, 'infinity', '-infinity', 1.5, '10000-01-01', '0999-12-31 23:59:59', 'infinity', '10:20')},
    'insert into policy values (3, 1, 1, 1, now(), now(), now(), now())',
    'create publication cdc_pub for all tables');
$target->dbh->do('create table hand (id bigint primary key, small_bool tinyint, big bigint, cash money, single real, wide_single float(53),'
        . ' exact decimal(20, 10), id2 nvarchar(40) collate Latin1_General_100_BIN2, day date, at datetime2(7), zoned datetimeoffset(7), number bigint,'
        . ' word nvarchar(10) collate Latin1_General_100_BIN2, more int)');

my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => 'only', CDC_SCHEMA_MAPPING => 'public:dbo',
    CDC_NAN => 'null', CDC_INFINITY => 'extreme', CDC_DATE_RANGE => 'extreme' });
$front->start;
is($front->process->wait_exit(60), 0, 'copied') or diag($front->log_text);

sub compare {
    my ($table, %arg) = @_;
    my ($status, $out, $err) = $front->command(['compare', '--still', '--json', $table], %arg);
    return ($status, $err, eval { JSON::PP->new->utf8->decode($out) } // {});
}

my ($status, $err, $of) = compare('public.hand');
is($status, 0, 'types of another kind: equal') or diag($err, explain($of));
is($of->{chosen_values}, 0, 'no value is another');
my %plant = (small_bool => '0', big => '8', cash => '12.35', single => '0.10000002', wide_single => '0.10000000149011613', exact => '1.5000000001',
    id2 => q{N'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'}, day => q{N'2026-02-27'}, at => q{N'2026-02-28 10:20:30.500001'},
    zoned => q{N'2026-02-28 11:20:30.5 +01:00'}, number => '4294967294', word => q{N'a '});
my %was = (small_bool => '1', big => '7', cash => '12.34', single => '0.1', wide_single => '0.10000000149011612', exact => '1.5',
    id2 => q{N'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'}, day => q{N'2026-02-28'}, at => q{N'2026-02-28 10:20:30.5'},
    zoned => q{N'2026-02-28 10:20:30.5 +00:00'}, number => '4294967295', word => q{N'a'});
for my $column (sort keys %plant) {
    $target->dbh->do("update dbo.hand set $column = $plant{$column} where id = 1");
    ($status, $err, $of) = compare('public.hand');
    is_deeply([$status, map { ($_->{key}{id}, $_->{kind}, @{ $_->{columns} }) } @{ $of->{keys} }], [1, 1, 'different', $column], "$column: found")
        or diag($err, explain($of));
    $target->dbh->do("update dbo.hand set $column = $was{$column} where id = 1");
}
($status, $err, $of) = compare('public.hand');
is($status, 0, 'all of them are back: equal') or diag($err, explain($of));

($status, $err, $of) = compare('public.policy');
is($status, 0, 'what policies have put there: equal') or diag($err, explain($of));
is($of->{chosen_values}, 11, 'and counted');
($status, $err, $of) = compare('public.policy', env => { CDC_NAN => 'stop' });
is_deeply([$status, map { $_->{key}{id} } @{ $of->{keys} }], [1, 1], 'where another policy is in force: the row that it would stop at');

done_testing;

# pg2any compare of tables made by hand, whose types are others than those that pg2any takes: what they hold is equal, and a
# value beside it is found. What --nan, --infinity and --date-range put in the place of values is equal, and counted.
# needs: one postgres, mysql target

use JSON::PP ();
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $target = new_target();
$pg->do('create table hand (id int primary key, bit_bool bool, dec_bool bool, big int2, plain numeric, single float4, padded char(5), id2 uuid,'
        . ' bytes text, day date, number oid, five bit(5), native uuid)',
    q{insert into hand values (1, true, true, 7, 1.50, 0.1, 'ab', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E'x\ty', '2026-02-28', 4294967295, '10101', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')},
    q{insert into hand values (2, false, false, -7, -0.001, 16777216, '', null, '', '1000-01-01', 0, '00000', null)},
    'insert into hand (id) values (3)',
    'create table policy (id int primary key, f float8, s float4, n numeric(5, 1), d date, t timestamp, z timestamptz, c time)',
    q{insert into policy values (1, 'nan', 'nan', 'nan', 'infinity', '-infinity', '0044-03-15 00:00+00 BC', '24:00')},
    q{insert into policy values (2, 'infinity', '-infinity', 1.5, '10000-01-01', '0999-12-31 23:59:59', 'infinity', '10:20')},
    'insert into policy values (3, 1, 1, 1, now(), now(), now(), now())',
    'create publication cdc_pub for all tables');
my $dbh = $target->make;
my $native = eval { $dbh->do('create table probe (u uuid)'); $dbh->do('drop table probe'); 1 } ? 'uuid' : 'char(36)';
$dbh->do('create table hand (id bigint primary key, bit_bool bit(1), dec_bool decimal(3, 1), big bigint, plain decimal(40, 20), single float,'
        . ' padded char(5) character set utf8mb4, id2 varchar(40) character set ascii, bytes varbinary(100), day date, number bigint,'
        . " five bit(5), native $native, more int default 5) engine = InnoDB");
$target->disconnect;

my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => 'only', CDC_NAN => 'null', CDC_INFINITY => 'extreme',
    CDC_DATE_RANGE => 'extreme' });
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
my %plant = (bit_bool => q{b'0'}, dec_bool => '1.5', big => '8', plain => '1.50000000000000000001', single => '0.10000002', padded => q{'abc'},
    id2 => q{'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'}, bytes => q{'x y'}, day => q{'2026-02-27'}, number => '4294967294', five => q{b'10111'},
    native => q{'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'});
for my $column (sort keys %plant) {
    $target->dbh->do('create table kept as select * from hand where id = 1');
    $target->dbh->do("update hand set $column = $plant{$column} where id = 1");
    $target->disconnect;
    ($status, $err, $of) = compare('public.hand');
    is_deeply([$status, map { ($_->{key}{id}, $_->{kind}, @{ $_->{columns} }) } @{ $of->{keys} }], [1, 1, 'different', $column], "$column: found")
        or diag($err, explain($of));
    $target->dbh->do('delete from hand where id = 1');
    $target->dbh->do('insert into hand select * from kept');
    $target->dbh->do('drop table kept');
}
$target->disconnect;

($status, $err, $of) = compare('public.policy');
is($status, 0, 'what policies have put there: equal') or diag($err, explain($of));
is($of->{chosen_values}, 11, 'and counted');
($status, $err, $of) = compare('public.policy', env => { CDC_NAN => 'stop' });
is($status, 1, 'where another policy is in force: different');
is_deeply([map { $_->{key}{id} } @{ $of->{keys} }], [1], 'the row that it would stop at');
$target->dbh->do(q{update policy set d = '9999-12-30' where id = 1});
$target->disconnect;
($status, $err, $of) = compare('public.policy');
is_deeply([map { ($_->{key}{id}, @{ $_->{columns} }) } @{ $of->{keys} }], [1, 'd'], 'a value beside the extreme one');

done_testing;

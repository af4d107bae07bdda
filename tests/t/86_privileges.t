# The least that the documentation asks for is enough, on both sides: a role that may replicate and read, a
# user of the target that may change rows and nothing else. Less is an error that says what is missing.
# needs: one postgres, mariadb

use Pg2any::Front;
use Pg2any::MySQL;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('revoke all on schema public from public', 'create table t (id int primary key, v text, n numeric(10,2))',
    'create table secret (id int primary key)', q{insert into t values (-1, 'before', 0)}, 'create role cdc login replication',
    'grant usage on schema public to cdc', 'grant select on t to cdc', 'create publication cdc_pub for table t');
my $mariadb = Pg2any::MySQL->new(fast => 1);
my $target = new_target(kind => 'mysql', server => $mariadb, database => 'shop');
$mariadb->do('create database shop');
$mariadb->do($_) for q{create user 'owner'@'%' identified by 'owner-pw'}, q{create user 'writer'@'%' identified by 'writer-pw'},
    q{grant all on shop.* to 'owner'@'%'}, q{grant select, insert, update, delete on shop.* to 'writer'@'%'};

sub uri {
    my ($user) = @_;
    return $mariadb->uri(db => 'shop', user => $user, password => "$user-pw");
}

my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => {
    CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'cdc'), CDC_DEST_URI => uri('writer'), CDC_DDL => 'none', CDC_COPY => undef });

# A database that is missing is made, if the user may; a user with an @ in the name; a database that only
# --schema-map names; a grant on a table.
$mariadb->do($_) for q{create user 'a@b'@'%' identified by 'a@b-pw'}, q{grant all on `new%`.* to 'a@b'@'%'},
    q{create user 'tables'@'%' identified by 'tables-pw'}, q{create table shop.other (id int primary key)}, q{grant select on shop.other to 'tables'@'%'};
my $missing = Pg2any::Front->new(pg => $pg, targets => [$target], env => {
    CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'cdc'), CDC_DEST_URI => $mariadb->uri(db => 'newdb', user => 'a@b', password => 'a@b-pw') });
my ($found, $text) = $missing->command(['check']);
is($found, 0, 'a database that is missing and will be made') or diag($text);
like($text, qr/^ok    the session's sql_mode is strict/m, 'the sql_mode was looked at');
like($text, qr/^note  database newdb does not exist and will be created/m, 'said');
is($mariadb->connect(db => 'mysql')->selectrow_array(q{select count(*) from information_schema.schemata where schema_name = 'newdb'}), 0,
    'and not made by looking');
($found, $text) = $missing->command(['check'], env => { CDC_SCHEMA_MAPPING => 'public:shop' });
is($found, 100, 'a database that a schema is mapped to, without privileges');
like($text, qr/^FAIL  this user lacks privileges on database shop: SELECT, .*\n      mend: GRANT .* TO 'a\@b'\@'%'/m, 'named, with the account');
($found, $text) = $missing->command(['check'], env => { CDC_DEST_URI => $mariadb->uri(db => 'shop', user => 'tables', password => 'tables-pw'),
    CDC_DDL => 'none' });
like($text, qr/^note  this user has no privilege on database shop as a whole for: .*single tables/m, 'grants on tables: a note');
$mariadb->do('drop table shop.other');

# Nothing is there yet: the check says what is missing, and what to grant.
my ($status, $out) = $front->command(['check']);
is($status, 100, 'a user without DDL, and no tables: 100');
like($out, qr/^FAIL  this user lacks privileges on database shop: CREATE, ALTER, DROP, INDEX\n      mend: have someone make pg2any_checkpoint and pg2any_relation .*\n      mend: GRANT CREATE, ALTER, DROP, INDEX ON `shop`\.\* TO 'writer'\@'%'/m,
    'the report says what to grant');
like($out, qr/^FAIL  table public\.t: the target has no `shop`\.`t`, and CDC_DDL=none creates none/m, 'and which table is missing');
($status) = $front->command(['run', '--until-lsn', 'current']);
is($status, 100, 'run ends with 100, too');

# The owner makes the tables once: the pipeline, run as the owner.
$front->{env}{CDC_DDL} = 'create';
$front->{env}{CDC_DEST_URI} = uri('owner');
($status, $out) = $front->command(['check']);
is($status, 0, 'as the owner the check passes');
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'a run as the owner makes the slot');
$pg->do(q{insert into t values (1, 'by the owner', 1.5), (2, 'by the owner', 2.5)});
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'the next makes the table and fills it');
same_content($pg, $target, ['t'], 'the first rows');

$front->{env}{CDC_DDL} = 'none';
$front->{env}{CDC_DEST_URI} = uri('writer');
($status, $out) = $front->command(['check']);
is($status, 0, 'the user without DDL passes now');
like($out, qr/^ok    this user has the privileges that are needed on database shop/m, 'and is told so');
$pg->do('create table late (id int primary key)', 'insert into late values (1)', 'grant select on late to cdc',
    'alter publication cdc_pub add table late');
$mariadb->do($_) for 'create table shop.late (id int primary key)', 'insert into shop.late values (7)';
$front->start;
$front->wait_all_ready;
$pg->do(q{insert into t select g, 'by the writer', g from generate_series(10, 500) g}, q{update t set v = 'changed' where id % 3 = 0},
    'delete from t where id between 20 and 40');
wait_for(sub { ($target->value('select max(id) from late') // 0) == 1 }, 60, 'the copy over others');
$front->wait_caught_up;
same_content($pg, $target, ['t', 'late'], 'the user without DDL applies rows, and a copy over others');
$pg->do('truncate t', q{insert into t values (1, 'after', 0)});
$front->wait_caught_up;
same_content($pg, $target, ['t'], 'and TRUNCATE, which is a DELETE there');
is($front->stop, 0, 'asked to stop, it leaves with 0');

# A role that may not replicate, and one that may not connect.
$pg->do('create role reader login', 'revoke connect on database postgres from public', 'grant connect on database postgres to cdc');
for my $case (['reader', qr/FAIL  .*CONNECT privilege/]) {
    $front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => $case->[0]);
    ($status, $out) = $front->command(['check']);
    is($status, 100, "role $case->[0]: 100");
    like($out, $case->[1], 'named');
}
$front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => 'cdc');
is(($front->command(['check']))[0], 0, 'CONNECT, REPLICATION and SELECT are enough');

# A password that is wrong is told without the password.
$front->{env}{CDC_DEST_URI} = $mariadb->uri(db => 'shop', user => 'writer', password => 'wrong-and-secret');
($status, $out, my $err) = $front->command(['check']);
is($status, 100, 'a wrong password of the target: 100');
unlike("$out$err", qr/wrong-and-secret/, 'it is not repeated');
($status, $out, $err) = $front->command(['run']);
is($status, 100, 'run: 100');
unlike("$out$err", qr/wrong-and-secret/, 'nor there');
my @all = map { Pg2any::Postgres::read_file($_) } glob $front->state_dir . '/*.prom';
unlike("@all", qr/wrong-and-secret|writer-pw/, 'nor in the statistics');

done_testing;

# What pg2any check says of the copies that a start would make: which table this user may not read, with the GRANT,
# which rows at the target would be replaced, what is left out.
# needs: one postgres

use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('revoke all on schema public from public', 'create table item (id int primary key, v text)',
    'insert into item values (1, $$source$$)', 'create schema "Far"', 'create table "Far"."Way" (id int primary key)',
    'create table guarded (id int primary key, v text)', 'alter table guarded enable row level security',
    'insert into guarded values (1, $$hidden$$)', 'create unlogged table cache (id int primary key)',
    'create role cdc login replication', 'grant usage on schema public to cdc', 'grant select on guarded to cdc',
    'create publication cdc_pub for all tables');
my $target = new_target(kind => 'sqlite');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => {
    CDC_COPY => undef, CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'cdc') });

sub check {
    my ($status, $out) = $front->command(['check'], @_);
    note($out);
    return ($status, $out);
}

my ($status, $out) = check();
is($status, 100, 'tables that cannot be read: 100');
like($out, qr/^FAIL  user cdc may not read table public\.item, which is to be copied\n      mend: GRANT SELECT ON public\.item TO cdc;$/m, 'a table');
like($out, qr/^FAIL  user cdc may not use schema "Far", .*\n      mend: GRANT USAGE ON SCHEMA "Far" TO cdc;$/m, 'a schema');
like($out, qr/^FAIL  user cdc may not read table "Far"\."Way", .*\n      mend: GRANT SELECT ON "Far"\."Way" TO cdc;$/m, 'and a table of it');
like($out, qr/^FAIL  row-level security hides rows of table public\.guarded from user cdc.*\n      mend: ALTER ROLE cdc BYPASSRLS;/m, 'row-level security');
like($out, qr/^note  table public\.cache is unlogged, so publication cdc_pub does not contain it/m, 'an unlogged table');
like($out, qr/^note  to replicate only changes .*CDC_COPY=never$/m, 'and the way without');
unlike((check(env => { CDC_COPY => 'never' }))[1], qr/cdc may not|row-level/, 'which asks for nothing');
($status, $out, my $err) = $front->command(['run', '--until-lsn', 'current']);
is($status, 100, 'a start says the same');
like($err, qr/GRANT SELECT ON \S*Far\S*Way\S* TO \S*cdc\S*;/, 'with the GRANT');

# What it says is enough: the statements as they stand.
($status, $out) = check();
$pg->do($out =~ /^      mend: (GRANT [^;]*);/mg);
($status, undef, $err) = $front->command(['run', '--until-lsn', 'current']);
is($status, 100, 'with the GRANTs, and row-level security: 100');
like($err, qr/copying public\.guarded: .*row-level security.*BYPASSRLS/, 'a start says what to do');
$pg->do($out =~ /^      mend: (ALTER ROLE [^;]*);/mg);
($status, $out) = check();
is($status, 0, 'mended, it passes');
like($out, qr/^ok    user cdc may read the 3 tables/m, 'and says so');
like($out, qr/^ok    tables whose rows will be copied: \d$/m, 'what will come');

($status, $out) = check(env => { CDC_COPY_TABLES => 'public.*,public.nothing', CDC_DEST_URI => fresh_name('other.db') });
like($out, qr/^ok    tables whose rows will be copied: \d\n.*^note  tables that will be created and begin empty, without a copy: 1;/ms, 'some tables: what of the others');
like($out, qr/^note  CDC_COPY_TABLES: no table public\.nothing is published/m, 'a name that nothing has');
$pg->do('create role reads_all login replication', 'grant pg_read_all_data to reads_all');
unlike((check(env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'reads_all') }))[1], qr/reads_all may not/, 'pg_read_all_data is enough');

# Rows at the target.
$target->dbh->do('create table item (id integer primary key, v text)');
$target->dbh->do(q{insert into item values (7, 'target')});
$target->dbh->do('create table guarded (id integer primary key, v text)');
($status, $out) = check();
is($status, 0, 'rows at the target are no fault');
like($out, qr/^note  table public\.item: item holds rows already, and its copy replaces them\n      mend: .*CDC_COPY=never/m, 'but told');
unlike($out, qr/guarded holds rows/, 'not of a table without any');
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'a start copies');
same_content($pg, $target, ['item', 'guarded'], 'as it was told');
($status, $out) = check();
is($status, 0, 'afterwards');
unlike($out, qr/will be copied|replaces them/, 'nothing is to be copied any more');

# Columns are enough, where no others are published; also where the table is rewritten while its lock is waited for.
SKIP: {
    skip 'column lists came with PostgreSQL 15', 5 if $pg->major < 15;
    $pg->do('create table pay (id int primary key, "The name" text, secret text, n int)', q{insert into pay select g, 'n' || g, 'x', g from generate_series(1, 100) g},
        'create role some_columns login replication', 'grant usage on schema public to some_columns',
        'create table a_big (id int primary key, pad text)', q{insert into a_big select g, repeat('x', 1000) from generate_series(1, 20000) g},
        'grant select on a_big to some_columns', 'create publication lists for table pay (id, "The name", n)');
    my $second = new_target(kind => 'sqlite');
    my $lists = Pg2any::Front->new(pg => $pg, targets => [$second], env => { CDC_COPY => undef, CDC_PUBLICATION => 'lists',
        CDC_REPLICATION_SLOT => 'lists', CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'some_columns') });
    ($status, $out) = $lists->command(['check']);
    my ($grant) = $out =~ /^FAIL  user some_columns may not read table public\.pay.*\n      mend: (GRANT SELECT \(id, "The name", n\) ON public\.pay TO some_columns);$/m;
    ok($grant, 'the GRANT has the columns') or diag($out);
    (undef, undef, $err) = $lists->command(['run', '--until-lsn', 'current']);
    like($err, qr/level=error .*GRANT SELECT ON public\.pay/, 'a start without stops');
    $pg->do($grant);
    is(($lists->command(['check']))[0], 0, 'with it, check passes');
    $pg->do('alter publication lists add table a_big');
    $lists->start;
    $lists->wait_all_ready;
    kill STOP => $lists->pid_of('assemble');
    wait_for(sub { ($lists->metric('capture', 'pg2any_capture_copy_active') // 0) > 0 }, 30, 'a table before it');
    my $locker = $pg->connect;
    $locker->do($_) for 'begin', 'lock table pay';
    kill CONT => $lists->pid_of('assemble');
    wait_for(sub { $pg->value(q{select count(*) from pg_locks where relation = 'pay'::regclass and not granted}) > 0 }, 30, 'the copy to wait for the lock');
    $locker->do($_) for 'update pay set secret = $$y$$ where id > 50', 'alter table pay alter column secret type varchar(10)', 'commit';
    wait_for(sub { $second->has_table('pay') && $second->value('select count(*) from pay') == 100 }, 30, 'the copy');
    is_deeply([$second->rows('select * from pay where id in (1, 100) order by id')], [['1', 'n1', '1'], ['100', 'n100', '100']], 'what is published is copied');
    $pg->do('delete from pay where id < 51');
    wait_for(sub { $second->value('select count(*) from pay') == 50 }, 30, 'the changes');
    is($lists->stop, 0, 'it stops');
    $pg->drop_slot('lists');
    $pg->do('drop publication lists', 'drop table pay, a_big');
}

# The same files as a standby.
$pg->stop;
my $signal = $pg->data_dir . '/standby.signal';
open my $fh, '>', $signal or die "$signal: $!\n";
close $fh or die "$signal: $!\n";
chown((stat $pg->data_dir)[4, 5], $signal) or die "chown: $!\n";
$pg->start;
($status, $out) = check();
is($status, 100, 'a standby: 100');
like($out, qr/^FAIL  the source is a standby, from which tables cannot be copied.*\n      mend: connect to the primary.*CDC_COPY=never$/m, 'named');
unlike((check(env => { CDC_COPY => 'never' }))[1], qr/cannot be copied/, 'without copies it is no matter');

done_testing;

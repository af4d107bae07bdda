# pg2any check finds what would keep a pipeline from working, says the statement that mends it, and changes
# nothing. Then pg2any status, drop.
# needs: postgres

use JSON::PP ();
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { wal_level => 'replica', max_slot_wal_keep_size => '1GB',
    max_replication_slots => 1, max_wal_senders => 2 });
$pg->do('create table keyed (id int primary key, f float8, d date)', 'create table keyless (v text)',
    'create role weak login');
my $front = Pg2any::Front->new(pg => $pg, targets => [new_target(kind => 'sqlite')]);

sub check {
    my ($status, $out, $err) = $front->command(['check']);
    note($out);
    return ($status, $out, $err);
}

# Everything that can be wrong at the source at once.
$front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => 'weak');
my ($status, $out, $err) = check();
is($status, 100, 'a source that cannot work: 100');
like($out, qr/^FAIL  wal_level is replica, not logical\n      mend: ALTER SYSTEM SET wal_level = logical;/m, 'wal_level');
like($out, qr/^FAIL  user weak may not replicate\n      mend: ALTER ROLE weak REPLICATION;/m, 'privilege');
$pg->do('alter role weak replication');
($status, $out) = check();
like($out, qr/^FAIL  publication cdc_pub does not exist in this database\n      mend: CREATE PUBLICATION cdc_pub FOR ALL TABLES;/m,
    'publication');
like($out, qr/^note  table public\.keyless has no replica identity: as soon as it is published, PostgreSQL itself refuses UPDATE.*
      mend: ALTER TABLE public\.keyless REPLICA IDENTITY FULL;/m, 'and which tables it would stop the UPDATEs of');
unlike($out, qr/table public\.keyed has no/, '... not of one with a key');
ok(!-e $front->{targets}[0]->file, 'and no target was made');

$pg->configure(wal_level => 'logical');
$pg->restart;
$front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => 'weak');
$pg->do('create publication cdc_pub');
($status, $out) = check();
like($out, qr/^note  publication cdc_pub has no tables/m, 'a publication without tables');
$pg->do('alter publication cdc_pub set (publish = \'insert, update\')', 'alter publication cdc_pub add table keyed, keyless');
($status, $out) = check();
like($out, qr/^note  publication cdc_pub leaves out: delete, truncate\n      mend: ALTER PUBLICATION cdc_pub SET/m, 'what it leaves out');
like($out, qr/^FAIL  table public\.keyless has no replica identity.*\n      mend: ALTER TABLE public\.keyless REPLICA IDENTITY FULL;/m,
    'a table that cannot be updated');
$pg->do('alter table keyless replica identity full');
($status, $out) = check();
is($status, 0, 'mended, it passes');
like($out, qr/^note  table public\.keyless has no primary key: each UPDATE and DELETE scans/m, 'and warns of what is slow');
like($out, qr/^note  NaN stops the applier unless CDC_NAN says what to store \(public\.keyed\.f\)/m, 'and of values without a place');
like($out, qr/^note  only changes from the slot's beginning on are replicated: existing rows are not copied/m,
    'and says what does not come by itself');
like($out, qr/^ok    tables: 0 exist and fit, 2 will be created/m, 'the tables were looked at');
ok(!-e $front->{targets}[0]->file, 'nothing was made at the target');
is($pg->value('select count(*) from pg_replication_slots'), 0, 'nor at the source');

# Whether the source's commits wait for this pipeline: the list is read as the server reads it.
sub check_synchronous {
    my ($names) = @_;
    $pg->do('alter system set synchronous_standby_names = ' . $pg->dbh->quote($names));
    $pg->reload;
    my @checked = check();
    $pg->do('alter system reset synchronous_standby_names');
    $pg->reload;
    return @checked;
}
my $waits = qr/^note  commits at the source may wait for this pipeline \(synchronous_standby_names/m;
for my $names ('pg_capture', 'a, "first"', q{FIRST 1 (a, "b ""pg-capture""")}) {
    unlike((check_synchronous($names))[1], qr/synchronous_standby_names/, "$names: nobody's commit waits");
}
for my $names ('*', '"pg-capture"', 'any 1(a, "PG-Capture")', '2 ("a, (b)", *)') {
    ($status, $out) = check_synchronous($names);
    like($out, $waits, "$names: they do");
    is($status, 0, 'which is allowed');
}
my $refused = qr/^FAIL  PREPARE TRANSACTION .*CDC_TWO_PHASE.*\n      mend: ALTER SYSTEM RESET synchronous_standby_names;/m;
{
    local $front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => 'weak') . '?application_name=First';
    like((check_synchronous('first_one, "first"'))[1], $waits, 'by the name that is given');
    local $front->{env}{CDC_TWO_PHASE} = 1;
    unlike((check_synchronous('FIRST 1 (a)'))[1], $refused, 'two-phase, and nobody waits');
    ($status, $out) = check_synchronous('*');
    is($status, 100, 'two-phase, and commits wait: 100');
    like($out, $refused, 'and why');
}
$pg->do(q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput', false, true)});
like((check_synchronous('*'))[1], $refused, 'a slot that was made with it');
$pg->drop_slot('cdc_slot');

$pg->do(q{select pg_create_physical_replication_slot('other')});
($status, $out) = check();
like($out, qr/^FAIL  slot cdc_slot does not exist, and all 1 slots are in use\n      mend: /m, 'no free slot');
$pg->drop_slot('other');

my $first = Pg2any::Front->new(pg => $pg, targets => [new_target(kind => 'sqlite')],
    env => { CDC_REPLICATION_SLOT => 'first' });
$first->start;
$first->wait_all_ready;
$pg->do(q{alter system set max_wal_senders = 1});
my $held = $pg->value('select count(*) from pg_stat_get_wal_senders()');
is($held, 1, 'a pipeline holds a WAL sender');
is($first->stop, 0, 'it stops');
$pg->drop_slot('first');

# What of the tables is not as one may think; each is told with its name.
$pg->do('create schema s', 'create table s.t (id int primary key)', 'create table s_t (id int primary key)',
    'create table gen (id int primary key, g int generated always as (id * 2) stored)',
    'create table parts (id int primary key) partition by range (id)',
    'create table part partition of parts for values from (0) to (10)',
    'create table parent (id int primary key)', 'create table child (primary key (id)) inherits (parent)',
    'create table uniq (a int not null, b text)', 'create unique index uniq_a on uniq (a)',
    'create publication odd_pub for table s.t, s_t, gen, parts, only parent, child, uniq');
$front->{env}{CDC_PUBLICATION} = 'odd_pub';
($status, $out, $err) = check();
is($status, 100, 'two tables with one name at the target: 100');
like($out, qr/^FAIL  table s\.t: s_t is the table of table public\.s_t already\n      mend: .*CDC_SCHEMA_MAPPING/m, 'both are named');
like($out, qr/^note  table public\.gen has generated columns, which are not sent: g;/m, 'generated columns');
like($out, qr/^note  each partition of table public\.parts .*\n      mend: ALTER PUBLICATION odd_pub SET/m, 'partitions');
like($out, qr/^note  other tables inherit from table public\.parent: .*FROM ONLY/m, 'inheritance');
like($out, qr/^FAIL  table public\.uniq has no replica identity.*\n      mend: ALTER TABLE public\.uniq REPLICA IDENTITY USING INDEX uniq_a;/m,
    'a unique index that may be the identity');
is(scalar(() = $err =~ /level=error/g), 1, 'and one line at level error') or diag($err);
$pg->do('alter table uniq replica identity using index uniq_a', 'alter publication odd_pub drop table s.t');
is((check())[0], 0, 'what is mended is green');
$pg->do('alter publication odd_pub set (publish_via_partition_root = true)', 'alter table part replica identity nothing');
like((check())[1], qr/^FAIL  table public\.part has no replica identity/m, 'a partition that is published by its root');
$pg->do('drop publication odd_pub', 'drop table s.t, s_t, gen, parts, child, parent, uniq');
delete $front->{env}{CDC_PUBLICATION};

# A table at the target that does not fit.
my $target = $front->{targets}[0];
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'the pipeline makes the target');
(undef, $out) = $front->command(['check']);
like($out, qr{^ok    the target has applied up to [0-9A-F]+/[0-9A-F]+ of origin cdc_slot$}m, 'check says how far it is');
(undef, $out) = $front->command(['check'], env => { CDC_DEST_URI => fresh_name('another.db') });
like($out, qr/^note  the target has no checkpoint of origin cdc_slot: is it the right one\?/m, 'and asks about a target that never was');
$target->dbh->do('create table keyed (id integer primary key, f integer)');
(undef, $out) = check();
like($out, qr/^note  table public\.keyed: keyed will be changed\n      runs: ALTER TABLE "keyed" ADD COLUMN "d" TEXT;/m,
    'a table that a start would change, and how');
$target->dbh->do('insert into keyed values (1, 1)');
($status, $out) = check();
is($status, 100, 'a table that does not fit');
like($out, qr/^FAIL  table public\.keyed: /m, 'is named');
$target->dbh->do('drop table keyed');
$front->{env}{CDC_DDL} = 'none';
($status, $out) = check();
like($out, qr/^FAIL  table public\.keyed: the target has no keyed, and CDC_DDL=none creates none/m, '--ddl none without the table');
delete $front->{env}{CDC_DDL};

# All columns that do not fit, at once, with the types that would; a table that was there and is gone.
$pg->do('create table wide (id int primary key, a text, b text, c float8)', 'alter publication cdc_pub add table wide');
$target->dbh->do('create table wide (id integer primary key, a integer, b integer, c real)');
$target->dbh->do('insert into wide values (1, 1, 1, 1)');
(undef, $out) = check();
like($out, qr/^FAIL  table public\.wide: .*column a has the type integer.*; column b has the type integer.*\(in a table that pg2any makes: a TEXT, b TEXT\)/mi,
    'every column that does not fit is named, with a type that does') or diag($out);
$target->dbh->do('drop table wide');
$pg->do('insert into wide values (1)');
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'the pipeline makes it');
$target->dbh->do('drop table wide');
(undef, $out) = check();
like($out, qr/^FAIL  table public\.wide: the target table wide is gone, and its rows with it \(.*delete the row with relid \d+ from pg2any_relation/m,
    'a table that is gone: what to do');
$pg->do('alter publication cdc_pub drop table wide');

# What a start would do is what a start does: a column whose name is another's after the change.
$pg->do(q{insert into keyed values (1, 0.5, '2024-01-01')});
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'the pipeline makes the table');
$pg->do('alter table keyed drop column f', 'alter table keyed rename column d to f', 'alter table keyed add column d text');
($status, $out) = check();
is($status, 0, 'a table that changes: it may');
my $runs = join '', map {"      runs: ALTER TABLE \"keyed\" $_;\n"} 'DROP COLUMN "f"', 'RENAME COLUMN "d" TO "f"', 'ADD COLUMN "d" TEXT';
like($out, qr/^note  table public\.keyed: keyed will be changed\n\Q$runs\E/m, 'and the statements are shown');
$pg->do(q{insert into keyed values (2, '2024-02-02', 'x')});
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'a start carries them out');
same_content($pg, $target, ['keyed'], 'as they were shown');

# Mistakes in reaching either side.
for my $case (
    ['a wrong password', { CDC_SOURCE_CONNECTION_STRING => 'postgresql://nobody_here@127.0.0.1:' . $pg->port . '/postgres' }, 100, qr/FAIL  source: .*nobody_here/],
    ['no server', { CDC_SOURCE_CONNECTION_STRING => 'postgresql://x@127.0.0.1:1/postgres' }, 111, qr/FAIL  source: .*refused/i],
    ['a folder that is not there', { CDC_DEST_URI => '/nonexistent/x.db' }, 100, qr/FAIL  this user may not write to \/nonexistent/],
    ['a type that is none', { CDC_DEST_TYPE => 'oracle' }, 100, undef, qr/CDC_DEST_TYPE: \\"oracle\\" is not one of MySQL/],
    ['a scheme that is none', { CDC_DEST_URI => 'mysq://x/y', CDC_DEST_TYPE => undef }, 100, undef, qr{mysq:// is not one of mysql, mariadb}],
    ['a variable that is misspelt', { CDC_CONFLCIT => 'apply' }, 0, qr/^note  nothing reads the variable CDC_CONFLCIT/m],
    ['a directory for spill files that is not there', { CDC_SPILL_DIR => '/nonexistent' }, 100, qr/FAIL  CDC_SPILL_DIR: \/nonexistent cannot be written to/],
    ['a directory for the audit file that is not there', { CDC_AUDIT_FILE => '/nonexistent/x' }, 100, qr/FAIL  CDC_AUDIT_FILE: no files can be made beside \/nonexistent\/x/],
    ['a type that is not the URI\'s', { CDC_DEST_TYPE => 'SQLite', CDC_DEST_URI => 'mysql://u:S3cret@h/d' }, 100, undef,
        qr/CDC_DEST_TYPE is SQLite, but CDC_DEST_URI begins with mysql \(leave out CDC_DEST_TYPE/],
    ['a variable that is misspelt, so that another is missing', { CDC_DEST_URI => undef, CDC_DEST_URL => 'x.db' }, 100, undef,
        qr/CDC_DEST_URI is not set.*nothing reads CDC_DEST_URL: is it spelt right/],
    ['no target', { CDC_DEST_URI => undef }, 100, undef, qr/CDC_DEST_URI is not set/],
    ['a gap among the targets', { CDC_DEST_URI_3 => 'x.db' }, 100, undef, qr/there is a CDC_DEST_URI_3 .*, but no target 2/],
) {
    my ($name, $env, $expected, $report, $error) = @$case;
    my ($got, $text, $log) = $front->command(['check'], env => $env);
    is($got, $expected, "$name: $expected");
    like($text, $report, 'the report says so') if $report;
    like($log, $error, 'the error says so') if $error;
}

# The .env file.
my $file = fresh_name('my.env');
open my $fh, '>', $file or die "$file: $!\n";
print {$fh} "# a comment\n\nexport CDC_DEST_URI=\"", $target->dest, "\"  # where to\nCDC_DEST_TYPE = x\n";
close $fh or die "$file: $!\n";
($status, undef, $err) = $front->command(['check', '--env-file', $file]);
is($status, 100, 'a line of an env file that is none: 100');
like($err, qr/my\.env, line 4: it is not NAME=value/, 'named by its number');
open $fh, '>', $file or die "$file: $!\n";
print {$fh} "CDC_SOURCE_CONNECTION_STRING='", $pg->uri, "'\nCDC_DEST_TYPE=MySQL\nexport CDC_DEST_URI=", $target->dest,
    " # where to\n";
close $fh or die "$file: $!\n";
($status) = $front->command(['check', '--env-file', $file],
    env => { CDC_SOURCE_CONNECTION_STRING => undef, CDC_DEST_URI => undef, CDC_DEST_TYPE => 'SQLite' });
is($status, 0, 'a good one is taken, and the environment wins');
chmod 0644, $file or die "chmod $file: $!\n";
(undef, undef, $err) = $front->command(['check', '--env-file', $file], env => { CDC_DEST_TYPE => 'SQLite' });
like($err, qr/level=warning msg="every user of this machine may read the configuration: chmod o-r" file=\S*my\.env/, 'one that all may read: a warning');
chmod 0600, $file or die "chmod $file: $!\n";
(undef, undef, $err) = $front->command(['check', '--env-file', $file], env => { CDC_DEST_TYPE => 'SQLite' });
unlike($err, qr/may read/, 'none otherwise');
($status, undef, $err) = $front->command(['init']);
is($status, 100, 'init without a directory: 100');
like($err, qr{pg2any init: DIR is missing \(pg2any init \[OPTION\]... DIR: .*/srv/shop\)}, 'and what it is');
is((stat $target->file)[2] & 0777, 0600, 'a database that a start has made is for its user alone');

# Status without processes, then with.
($status, $out) = $front->command(['status']);
is($status, 111, 'status of a pipeline that does not run: 111');
like($out, qr/^slot +cdc_slot, inactive, wal_status reserved$/m, 'shows the slot');
like($out, qr{^checkpoint +[0-9A-F]+/[0-9A-F]+ of origin cdc_slot$}m, 'and the checkpoint');
$front->start;
$front->wait_all_ready;
($status, $out) = $front->command(['status']);
is($status, 0, 'status of one that runs: 0');
like($out, qr/^$_->[0] +$_->[1]: running, pid \d+, restarts \d+/m, "shows $_->[0]")
    for ['capture', 'pg-capture'], ['assemble', 'txn-assemble'], ['apply', 'apply-sqlite'];
like($out, qr/^lag +\d+ bytes$/m, 'the lag in bytes');
like($out, qr/lag_seconds \d/, 'and in seconds');
like($out, qr/^retained WAL +\d+ bytes$/m, 'and what is retained');
like($out, qr/^WAL budget +1073741824 bytes, \d+ % of it used$/m, 'and how much of the budget of the server that is');
($status, $out) = $front->command(['status'], env => { CDC_WAL_BUDGET => '64MB' });
like($out, qr/^WAL budget +67108864 bytes, /m, 'the smaller one counts');
like($out, qr/^slot +cdc_slot, active/m, 'the slot is active');
wait_for(sub { (($front->command(['status']))[1]) =~ /^ +up to date$/m }, 60, 'how far the target is behind, in words');
($status, $out) = $front->command(['status', '--json']);
is($status, 0, 'status --json: 0');
my $json = JSON::PP::decode_json($out);
is_deeply([map {"$_->{name} $_->{program} $_->{state}"} @{ $json->{stages} }],
    ['capture pg-capture running', 'assemble txn-assemble running', 'apply apply-sqlite running'], 'has the stages');
is($json->{targets}[0]{lag_words}, 'up to date', 'the lag in words');
like($json->{targets}[0]{checkpoint}{lsn}, qr{\A[0-9A-F]+/[0-9A-F]+\z}, 'the checkpoint');
is($json->{source}{slot}, 'cdc_slot', 'the slot');
is($json->{source}{wal_budget_bytes}, 1024**3, 'and its budget');
is_deeply([sort keys %$json], [qw(copies retained_wal_bytes server_wal_bytes_per_second slot source stages state_directory tables_left
    targets wal_budget_bytes)], 'the names are those of the manual');
is_deeply([sort keys %{ $json->{targets}[0] }], [qw(apart applied_wal_bytes_per_second behind_bytes behind_seconds checkpoint lag lag_words last_compare
    seconds_left stage tables_awaited tables_paused tables_refused tables_settling target)], 'of a target, too');

# Again and again: one text behind the other, or in place, until q.
my $watched = fresh_name('watched');
my $watch = Pg2any::Process->start(name => 'watch', argv => [Pg2any::Pipeline::tool('pg2any'), 'status', '--watch', '1'],
    stdout => $watched, env => $front->environment);
wait_for(sub { 2 <= (() = Pg2any::Postgres::read_file($watched) =~ /^apply +up to date$/mg) }, 60, 'two texts');
is($watch->stop('TERM', 60), 0, 'asked to stop, status --watch leaves with 0');
unlike(Pg2any::Postgres::read_file($watched), qr/\e/, 'without a terminal nothing is drawn');
my $q = fresh_name('q');
open my $keys, '>', $q or die "$q: $!\n";
print {$keys} 'q';
close $keys or die "$q: $!\n";
my $screen = fresh_name('screen');
my $terminal = Pg2any::Process->start(name => 'script', stdin => $q, env => $front->environment,
    argv => ['script', '-qfec', 'stty cols 40 rows 12; ' . Pg2any::Pipeline::tool('pg2any') . ' status --watch', $screen]);
is($terminal->wait_exit(60), 0, 'on a terminal q leaves');
my $drawn = Pg2any::Postgres::read_file($screen);
like($drawn, qr/\e\[\?1049h.*\e\[H.*^apply +running.*\e\[\?1049l/ms, 'it is drawn, and the terminal is as before');
is_deeply([grep { length($_) > 40 } map { s/\e\[[?\d]*[A-Za-z]//gr } split /\r*\n/, $drawn =~ s/^Script.*\n//mgr], [], 'no line is wider than it');
($status, undef, $err) = $front->command(['status', '5']);
is($status, 100, 'a number without --watch: 100');

($status, undef, $err) = $front->command(['drop', '--yes']);
is($status, 100, 'drop while it runs: 100');
like($err, qr/capture runs \(pid \d+\) \(stop the pipeline first\)/, 'and why');
ok($pg->slot('cdc_slot'), 'nothing is dropped');

# Drop asks, and only then drops.
is($front->stop, 0, 'it stops');
my $no = fresh_name('no');
open $fh, '>', $no or die "$no: $!\n";
print {$fh} "no\n";
close $fh or die "$no: $!\n";
($status, $out, $err) = $front->command(['drop'], stdin => $no);
is($status, 100, 'drop, answered with no');
like($out, qr/This drops replication slot cdc_slot/, 'says what it would do');
ok($pg->slot('cdc_slot'), 'and does nothing');
ok($target->checkpoint, 'at either side');
($status, $out, $err) = $front->command(['drop', '--yes']);
is($status, 0, 'drop --yes');
ok(!$pg->slot('cdc_slot'), 'the slot is gone');
ok(!$target->checkpoint, 'and the checkpoint');
is(($front->command(['drop', '--yes']))[0], 0, 'once more: there is nothing to drop');

done_testing;

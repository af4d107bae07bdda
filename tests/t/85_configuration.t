# Every variable of the configuration does what it says, alone in the environment, through pg2any run; a
# value that makes no sense is an error that names the variable.
# needs: postgres

use IO::Socket::INET;
use JSON::PP ();
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do('create schema other', 'create table t (id int primary key, v text, f float8)', 'create table other.o (id int primary key)',
    'create table left_out (id int primary key)', 'create publication mine for table t, other.o');
my $front;
my $target;

sub fresh {
    my (%env) = @_;
    $front->stop if $front && $front->process && $front->process->running;
    $pg->drop_slot('mine') if $pg->slot('mine');
    $target = new_target(kind => 'sqlite', origin => $env{CDC_ORIGIN} // 'mine');
    $front = Pg2any::Front->new(pg => $pg, targets => [$target],
        env => { CDC_REPLICATION_SLOT => 'mine', CDC_PUBLICATION => 'mine', %env });
    $front->start;
    $front->wait_all_ready;
    return;
}

my $id = 0;

sub insert {
    my ($n) = @_;
    my $from = $id + 1;
    $id += $n;
    $pg->do("insert into t select g, 'v' from generate_series($from, $id) g");
    return;
}

sub logged {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } split /\n/, $front->log_text;
}

# Source.
fresh(CDC_DEST_TYPE => 'sqlITE', CDC_PROTOCOL_VERSION => 1, CDC_STREAMING => 'false', CDC_BINARY_FORMAT => 'true', CDC_MESSAGES => 'on',
    CDC_LAST_LSN_FILE => fresh_name('last.lsn'), CDC_STATUS_INTERVAL => '200ms', CDC_ORIGIN => 'somewhere',
    CDC_SCHEMA_MAPPING => 'other:elsewhere', CDC_GROUP_TRANSACTIONS => 1, CDC_PIPE_SIZE => '64kB', CDC_LOG_LEVEL => 'debug');
$pg->do('insert into other.o values (1)', 'insert into left_out values (1)');
insert(1) for 1 .. 5;
$front->wait_caught_up;
ok($pg->slot('mine')->{active}, 'CDC_REPLICATION_SLOT: the slot has that name');
is($target->value('select count(*) from t'), 5, 'CDC_SOURCE_CONNECTION_STRING, CDC_DEST_TYPE in any case, CDC_DEST_URI');
is($target->value(q{select count(*) from sqlite_schema where name = 'left_out'}), 0, 'CDC_PUBLICATION: a table outside it is not replicated');
is($target->value('select count(*) from elsewhere_o'), 1, 'CDC_SCHEMA_MAPPING');
is($target->value('select origin from pg2any_checkpoint'), 'somewhere', 'CDC_ORIGIN');
ok(logged(qr/msg=streaming .*protocol=1 /), 'CDC_PROTOCOL_VERSION');
ok(logged(qr/msg=streaming .*streaming=off/), 'CDC_STREAMING=false');
ok(logged(qr/msg=streaming .*binary=on/), 'CDC_BINARY_FORMAT=true');
ok(logged(qr/msg=streaming .*messages=on/), 'CDC_MESSAGES');
ok(logged(qr/level=debug/), 'CDC_LOG_LEVEL');
my $file = $front->{env}{CDC_LAST_LSN_FILE};
wait_for(sub { -s $file && Pg2any::Postgres::read_file($file) eq $pg->slot('mine')->{confirmed_flush_lsn} . "\n" }, 60, 'the LSN file');
pass('CDC_LAST_LSN_FILE: the last confirmed LSN');
my $reply = sub { $pg->value('select max(reply_time) from pg_stat_replication') };
my $first = $reply->();
my $began = now();
wait_for(sub { $reply->() ne $first }, 60, 'a status update');
cmp_ok(now() - $began, '<', 5, 'CDC_STATUS_INTERVAL: updates come that often');
wait_for(sub { ($front->metric(apply => 'pg2any_transactions_processed_total') // 0) >= 6 }, 60, 'the statistics');
cmp_ok($front->metric(apply => 'pg2any_apply_commits_total'), '>=', 6, 'CDC_GROUP_TRANSACTIONS=1: a target commit for each');
pipe my $reader, my $writer or die "pipe: $!\n";
my $alone = Pg2any::Process->start(name => 'txn-assemble', argv => [Pg2any::Pipeline::tool('txn-assemble')], stdin => $reader,
    stderr => fresh_name('alone.log'), env => { CDC_PIPE_SIZE => '256kB' });
my $resized = eval { wait_for(sub { fcntl($writer, 1032, 0) == 256 * 1024 }, 60, 'F_GETPIPE_SZ') };
ok($resized, 'CDC_PIPE_SIZE is asked of the kernel');
$alone->stop;

# libpq looks for a server that can be written to: sessions of ours that only read must not put it off.
for my $attributes (qw(read-write primary any)) {
    my ($got, undef, $text) = run_tool('pg-capture', args => ['--status'],
        env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri . "?target_session_attrs=$attributes", CDC_REPLICATION_SLOT => 'mine' });
    is($got, 0, "target_session_attrs=$attributes") or diag($text);
}

# Memory, logs as JSON, groups.
my $spill = fresh_name('spill');
mkdir $spill or die "$spill: $!\n";
fresh(CDC_MEMORY_LIMIT => '64kB', CDC_SPILL_DIR => $spill, CDC_LOG_FORMAT => 'json', CDC_BUFFER_SIZE => 3, CDC_GROUP_BYTES => '64kB',
    CDC_STREAMING => 'on', $pg->major >= 15 ? (CDC_TWO_PHASE => 'on') : ());
ok($pg->major < 15 || logged(qr/two_phase=on/), 'CDC_TWO_PHASE');
my $open = $pg->connect(AutoCommit => 0);
$open->do(q{insert into t select -g, repeat('s', 300) from generate_series(1, 3000) g});
wait_for(sub { ($front->metric(assemble => 'pg2any_spill_bytes') // 0) > 0 }, 60, 'spilling');
my $assemble = $front->pid_of('assemble');
my @spilled = grep { index(readlink($_) // '', $spill) == 0 } glob "/proc/$assemble/fd/*";
ok(scalar @spilled, 'CDC_MEMORY_LIMIT, CDC_SPILL_DIR: beyond the one it goes to the other');
$open->rollback;
$open->disconnect;
$pg->do('begin; ' . join('', map { "insert into t values ($_ + 1000000, 'x');" } 1 .. 2) . 'commit');
insert(2) for 1 .. 4;
$front->wait_caught_up;
ok(logged(qr/"group_changes":"3"/) && logged(qr/"group_bytes":"65536"/), 'CDC_BUFFER_SIZE, CDC_GROUP_BYTES are taken');
my @bad = grep { my $o = eval { JSON::PP::decode_json($_) }; !$o || !$o->{time} || !$o->{tool} || !$o->{level} || !$o->{msg} }
    split /\n/, $front->log_text;
is_deeply(\@bad, [], 'CDC_LOG_FORMAT=json: every line of every program is an object with time, tool, level and msg');

# Policies.
fresh(CDC_NAN => 'null', CDC_CONFLICT => 'skip');
$pg->do(q{insert into t values (-1, 'nan', 'NaN')});
$front->wait_caught_up;
is($target->value('select f is null from t where id = -1'), 1, 'CDC_NAN=null');
$target->dbh->do(q{insert into t values (-2, 'mine', null)});
$pg->do(q{insert into t values (-2, 'theirs', null)});
$front->wait_caught_up;
is($target->value('select v from t where id = -2'), 'mine', 'CDC_CONFLICT=skip');
is($front->stop, 0, 'stopped');

# A gap: the slot is made anew.
$pg->drop_slot('mine');
insert(1);
$front->start;
is($front->process->wait_exit(60), 100, 'a slot that was made anew: 100');
$front->{env}{CDC_ACCEPT_GAP} = 'yes';
$front->start;
$front->wait_all_ready;
insert(1);
$front->wait_caught_up;
is($target->value("select count(*) from t where id = $id"), 1, 'CDC_ACCEPT_GAP');
is($front->stop, 0, 'stopped');

$pg->drop_slot('mine');
$target = new_target(kind => 'sqlite', origin => 'mine');
$front = Pg2any::Front->new(pg => $pg, targets => [$target],
    env => { CDC_REPLICATION_SLOT => 'mine', CDC_PUBLICATION => 'mine', CDC_DDL => 'none' });
$front->start;
$front->wait_all_ready;
insert(1);
is($front->process->wait_exit(60), 100, 'CDC_DDL=none: a missing table is an error');
like($front->log_text, qr/table public\.t/, 'that names the table');

# Time limits: servers that accept and say nothing.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "listen: $!\n";
$began = now();
my ($status, undef, $err) = run_tool('pg-capture', env => { CDC_SOURCE_CONNECTION_STRING => 'postgresql://x@127.0.0.1:' . $silent->sockport . '/x',
    CDC_CONNECTION_TIMEOUT => '1s' });
is($status, 111, 'CDC_CONNECTION_TIMEOUT: a source that says nothing');
cmp_ok(now() - $began, '<', 8, 'for that long');
$began = now();
($status) = run_tool('apply-mysql', env => { CDC_DEST_URI => 'mysql://x@127.0.0.1:' . $silent->sockport . '/x', CDC_CONNECTION_TIMEOUT => '1s' });
is($status, 111, 'CDC_CONNECTION_TIMEOUT: a target that says nothing');
cmp_ok(now() - $began, '<', 8, 'for that long');
my $locked = new_target(kind => 'sqlite');
run_tool('apply-sqlite', args => ['--dest', $locked->dest], stdin => '/dev/null');
$locked->dbh->do(q{insert into pg2any_checkpoint values ('x', '0/1', null, '1', 1)});
$locked->dbh->do('begin exclusive');
$began = now();
($status, undef, $err) = run_tool('apply-sqlite', args => ['--dest', $locked->dest, '--drop-checkpoint', '--origin', 'x'],
    env => { CDC_QUERY_TIMEOUT => '500ms' });
is($status, 111, 'CDC_QUERY_TIMEOUT: a target that is locked');
cmp_ok(now() - $began, '<', 5, 'for that long');
$locked->dbh->do('rollback');

# Where the state is kept.
my $runtime = fresh_name('runtime');
mkdir $runtime, 0700 or die "$runtime: $!\n";
delete $front->{env}{CDC_DDL};
my $run = Pg2any::Process->start(name => 'pg2any run', argv => [Pg2any::Pipeline::tool('pg2any'), 'run', '--until-lsn', 'current'],
    stderr => $front->log_file, env => $front->environment(CDC_STATE_DIR => undef, XDG_RUNTIME_DIR => $runtime));
is($run->wait_exit(60), 0, 'CDC_STATE_DIR is not set');
is((stat "$runtime/pg2any-mine")[2] & 07777, 0700, 'it is below XDG_RUNTIME_DIR, by slot, and nobody else may enter it');
chmod 0755, "$runtime/pg2any-mine" or die "chmod: $!\n";
$run = Pg2any::Process->start(name => 'pg2any run', argv => [Pg2any::Pipeline::tool('pg2any'), 'run'],
    stderr => $front->log_file, env => $front->environment(CDC_STATE_DIR => undef, XDG_RUNTIME_DIR => $runtime));
is($run->wait_exit(60), 100, 'one that others may enter is not used');

# URIs in files, as containers are given secrets.
sub secret {
    my ($text) = @_;
    my $path = fresh_name('secret');
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
    return $path;
}
my ($source, $dest) = map { secret("$_\n") } @{ $front->environment }{qw(CDC_SOURCE_CONNECTION_STRING CDC_DEST_URI)};
my @command = (args => ['status'], env => $front->environment(CDC_SOURCE_CONNECTION_STRING => undef, CDC_DEST_URI => undef,
    CDC_SOURCE_CONNECTION_STRING_FILE => $source, CDC_DEST_URI_FILE => $dest));
my ($in_files, $said, $complaint) = run_tool('pg2any', @command);
# Between the two the server may write WAL of its own.
is_deeply([map { s/\d+/N/gr } run_tool('pg2any', args => ['status'], env => $front->environment)],
    [map { s/\d+/N/gr } $in_files, $said, $complaint], 'URIs in files are as good');
unlike($said . $complaint, qr/is not set|nothing reads/, 'and taken');
for my $case (
    [{ CDC_DEST_URI => 'x' }, 'CDC_DEST_URI and CDC_DEST_URI_FILE are set: leave one out'],
    [{ CDC_DEST_URI_FILE => '/nonexistent/uri' }, 'CDC_DEST_URI_FILE: /nonexistent/uri: No such file or directory'],
    [{ CDC_DEST_URI_FILE => secret("\n") }, 'CDC_DEST_URI_FILE: the first line of .* is empty'],
    [{ CDC_DEST_URI_2_FILE => secret('sqlite') , CDC_DEST_URI_2 => 'x' }, 'CDC_DEST_URI_2 and CDC_DEST_URI_2_FILE are set'],
    [{ CDC_BUFFER_SIZE_FILE => $dest, CDC_DEST_URI_FILE => '/nonexistent/uri' }, '/nonexistent/uri'],
) {
    my ($set, $message) = @$case;
    my ($got, undef, $text) = run_tool('pg2any', args => ['check'], env => { %{ $command[3] }, %$set });
    is($got, 100, "a mistake: $message");
    like($text, qr/$message/, 'it says so');
}

# Bad values.
my %wrong = (
    'pg-capture' => { CDC_SOURCE_CONNECTION_STRING => 'nonsense', CDC_REPLICATION_SLOT => 'No Name', CDC_PUBLICATION => 'a,,b', CDC_PROTOCOL_VERSION => 9,
        CDC_STREAMING => 'perhaps', CDC_BINARY_FORMAT => 'x', CDC_TWO_PHASE => 'x', CDC_MESSAGES => 'x', CDC_PG_ORIGIN => 'x', CDC_COPY => 'x', CDC_COPY_TABLES => 'x', CDC_COPY_CHUNK => 'x', CDC_WAL_BUDGET => 'x', CDC_FAILOVER => 'x',
        CDC_STATUS_INTERVAL => 'x', CDC_CONNECTION_TIMEOUT => '-1', CDC_LOG_LEVEL => 'loud', CDC_LOG_FORMAT => 'xml' },
    'txn-assemble' => { CDC_MEMORY_LIMIT => '1', CDC_SPILL_DIR => '/nonexistent', CDC_PIPE_SIZE => 'x', CDC_LOG_LEVEL => 'x' },
    'frame-tee' => { CDC_AUDIT_FILE => '/nonexistent/x', CDC_AUDIT_SIZE => '1', CDC_AUDIT_KEEP => '-1' },
    'apply-sqlite' => { CDC_DEST_URI => 'mysql://x/y', CDC_SCHEMA_MAPPING => 'a', CDC_GROUP_TRANSACTIONS => 0, CDC_BUFFER_SIZE => 0, CDC_GROUP_BYTES => 1,
        CDC_ORDER => 'x', CDC_CONFLICT => 'x', CDC_DDL => 'x', CDC_NAN => 'x', CDC_INFINITY => 'x', CDC_DATE_RANGE => 'x', CDC_ACCEPT_GAP => 'x',
        CDC_QUERY_TIMEOUT => 'x', CDC_CONNECTION_TIMEOUT => 'x' },
    'metrics-http' => { METRICS_PORT => 'x', METRICS_LISTEN => 'x', METRICS_STALL => 'x' },
);
for my $program (sort keys %wrong) {
    for my $name (sort keys %{ $wrong{$program} }) {
        my %good = $program eq 'pg-capture' ? (CDC_SOURCE_CONNECTION_STRING => $pg->uri) : $program eq 'apply-sqlite' ? (CDC_DEST_URI => ':memory:') : ();
        my ($got, undef, $text) = run_tool($program, env => { %good, $name => $wrong{$program}{$name} },
            args => $program eq 'metrics-http' ? ['--stats', 'x'] : []);
        is($got, 100, "$program, $name=$wrong{$program}{$name}: 100");
        # What is found later is named by its flag.
        like($text, qr/\Q$name\E|--[a-z-]+|connection string|\Q$wrong{$program}{$name}\E/, 'and named');
    }
}

done_testing;

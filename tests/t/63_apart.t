# One of several targets stays away for a while: paused, or because its applier had a permanent error. The
# others go on, the slot keeps what it lacks, and it catches up when it is back. With everything killed
# meanwhile, and with files that are lost.
#
# PG2ANY_SECONDS: how long it stays away under load, first (5). PG2ANY_PAUSE: of a writer between two
# transactions (0.1).
# needs: one postgres, time

use HTTP::Tiny;
use JSON::PP;
use Pg2any::Front;
use Pg2any::Load;
use Pg2any::Test;

my $seconds = $ENV{PG2ANY_SECONDS} // 5;
my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB', wal_keep_size => '0', max_wal_size => '64MB' });
$pg->do(Pg2any::Load::schema(), 'create table beat (id int primary key, n int)', 'create table much (id int primary key, pad text)',
    'create publication cdc_pub for all tables');
my @targets = map { new_target(kind => 'sqlite', file => fresh_name("target.db")) } 1 .. 3;
my $port = Pg2any::Postgres::free_port();
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { METRICS_PORT => $port, CDC_COPY => 'initial' });
my $beats = 0;

sub http {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$port$path");
}

sub beat {
    $beats++;
    $pg->do("insert into beat values ($beats, $beats)");
    return;
}

sub has_beat {
    my ($target) = @_;
    my $dbh = $targets[$target - 1]->dbh;
    my ($n) = $targets[$target - 1]->has_table('beat') ? $dbh->selectrow_array("select count(*) from beat where id = $beats") : 0;
    return $n;
}

# A commit comes to these targets; in how many seconds.
sub goes_on {
    my ($what, @which) = @_;
    beat();
    my $began = now();
    my $came = eval { wait_for(sub { has_beat($_) }, 60, "$what: target $_") for @which; 1 };
    diag($@) if !$came;
    ok($came, "$what: targets @which go on");
    return now() - $began;
}

sub equal {
    my ($what, @which) = @_;
    my $end = lsn_number($pg->current_lsn);
    for my $t (@which) {
        wait_for(sub { my $c = $targets[$t - 1]->checkpoint; $c && lsn_number($c->{remote_lsn}) >= $end }, 120 + $seconds, "target $t to catch up");
        same_content($pg, $targets[$t - 1], [@Pg2any::Load::TABLES, 'beat'], "$what: target $t");
    }
    return;
}

sub command {
    my ($what, $words, $expected, $like) = @_;
    my ($status, $out, $err) = $front->command($words);
    is($status, $expected, "$what: $expected") or diag($out, $err);
    like($out . $err, $like, "$what: what it says") if $like;
    return;
}

# It takes as long as the target takes to catch up.
sub start_resume {
    my ($target) = @_;
    return Pg2any::Process->start(name => 'pg2any resume', argv => [Pg2any::Pipeline::tool('pg2any'), 'resume', '--target', $target],
        stderr => fresh_name('resume.log'), env => $front->environment);
}

sub state_of {
    my ($n) = @_;
    my (undef, $out) = $front->command(['status', '--json']);
    return decode_json($out)->{targets}[$n - 1];
}

sub lag_of_slot { return lsn_number($pg->current_lsn) - lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) }

$front->start;
$front->wait_all_ready;
goes_on('at the start', 1 .. 3);

subtest 'mistakes' => sub {
    command('no such target', ['pause', '--target', '4'], 100, qr/there is no target 4: the configuration has 3/);
    command('which one', ['pause'], 100, qr/what is to be paused\? \(--target 2, or --table/);
    command('one that is there', ['resume', '--target', '2'], 100, qr/target 2 is in the pipeline/);
};

my @writers = Pg2any::Load::start($pg, writers => 2, seed => 7, pause => $ENV{PG2ANY_PAUSE} // 0.1);
command('pause', ['pause', '--target', '2'], 0, qr/\Atarget 2 is paused: .*pg2any resume --target 2$/s);
my $stands = $targets[1]->checkpoint->{remote_lsn};
my @latencies;
for (my $end = now() + $seconds; now() < $end || @latencies < 10;) {
    push @latencies, goes_on('while 2 is paused', 1, 3);
}
@latencies = sort { $a <=> $b } @latencies;
diag(sprintf 'with target 2 paused, %d commits to both others: median %.3f s, p99 %.3f s, most %.3f s',
    scalar @latencies, @latencies[@latencies / 2, int(0.99 * $#latencies), -1]);
is($targets[1]->checkpoint->{remote_lsn}, $stands, 'the paused one stands');
cmp_ok(lag_of_slot(), '>', 0, 'and the slot keeps what it lacks');
cmp_ok(lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}), '<=', lsn_number($stands), 'all of it');

subtest 'it is said' => sub {
    command('status', ['status'], 0, qr/^apply-2 +apply-sqlite: target 2 is paused since \d{4}-\d\d-\d\d \d\d:\d\d; \d\S* [kM]B of WAL kept for it$/m);
    my $target = state_of(2);
    is($target->{apart}, 'paused', 'as JSON, too');
    cmp_ok($target->{apart_wal_bytes}, '>', 0, 'and how much WAL');
    is(state_of(1)->{apart}, undef, 'of the others nothing');
    my $metrics = http('/metrics')->{content};
    like($metrics, qr/^pg2any_apart\{stage="apply-2"\} 1$/m, 'metrics');
    like($metrics, qr/^pg2any_apart_wal_bytes\{stage="apply-2"\} [1-9]/m, 'and how much WAL');
    ok(eval { wait_for(sub { http('/health')->{status} == 200 }, 60, 'health'); 1 }, '/health: it is as somebody wants it') or diag(http('/health')->{content});
    command('once more', ['pause', '--target', '2'], 100, qr/target 2 is not in the pipeline already: it is paused/);
};

subtest 'the one that holds all up' => sub {
    kill 'STOP', $front->pid_of('apply-3');
    command('pause', ['pause', '--target', '3'], 0);
    goes_on('without the one that did not move', 1);
    command('resume', ['resume', '--target', '3'], 0);
    goes_on('back', 1, 3);
};

my $began = now();
my $resume = start_resume(2);
@latencies = ();
while ($resume->running) {
    die "it does not catch up\n" if now() > $began + 120 + $seconds;
    push @latencies, goes_on('while 2 catches up', 1, 3);
}
is($resume->status, 0, 'resumed') or diag(Pg2any::Postgres::read_file($resume->log_file));
goes_on('it is back', 1 .. 3);
@latencies = sort { $a <=> $b } @latencies;
diag(sprintf 'resumed, target 2 has caught up in %.1f s; %d commits to the others: median %.3f s, p99 %.3f s, most %.3f s',
    now() - $began, scalar @latencies, @latencies[@latencies / 2, int(0.99 * $#latencies), -1]);
Pg2any::Load::stop(@writers);
equal('it has caught up', 1 .. 3);

# A start sends again what the one that is apart has not: so with little to send from here on.
command('pause', ['pause', '--target', '2'], 0);
for my $stage (qw(capture assemble tee apply apply-3)) {
    $pg->do('update beat set n = n + 1 where id % 3 = 0');
    my $pid;
    wait_for(sub { $pid = $front->pid_of($stage); $pid && kill 'KILL', $pid }, 30, "kill -9 of $stage");
    $front->wait_ready($stage, $pid, 60);
    goes_on("after that", 1, 3);
}

command('resume', ['resume', '--target', '2'], 0);
goes_on('all three', 1 .. 3);

# What catches up beside the pipeline is killed, and who started it; then it begins where it had come to.
subtest 'killed while it catches up' => sub {
    command('pause', ['pause', '--target', '2'], 0);
    my $stands = lsn_number($targets[1]->checkpoint->{remote_lsn});
    $pg->do('create table late (id int primary key)', 'insert into late select generate_series(1, 500)');
    for my $n (1 .. 40) {
        $pg->do("insert into beat select 200000 + $n * 1000 + g, g from generate_series(1, 1000) g");
    }
    # It is not through before it is killed.
    $pg->do(q{insert into much select g, repeat('x', 100) from generate_series(1, 150000) g});
    for my $whom ('the applier', 'pg2any resume') {
        my $resume = start_resume(2);
        my $pid;
        wait_for(sub { lsn_number($targets[1]->checkpoint->{remote_lsn}) > $stands && ($pid = $front->pid_of('apply-2')) && kill 0, $pid }, 30, 'it to catch up');
        kill 'KILL', $whom eq 'the applier' ? $pid : $resume->pid;
        my $status = $resume->wait_exit(60);
        is($status, 111, 'resume: 111') if $whom eq 'the applier';
        wait_for(sub { !kill 0, $pid }, 60, 'the applier to end');
        is(state_of(2)->{apart}, 'paused', "$whom is killed: it stays paused");
        goes_on("$whom is killed", 1, 3);
        $stands = lsn_number($targets[1]->checkpoint->{remote_lsn});
    }
    ok(eval { wait_for(sub { !$pg->value("select count(*) from pg_replication_slots where slot_name <> 'cdc_slot'") }, 30, 'their end'); 1 },
        'no copy of the slot is left');
    command('resume', ['resume', '--target', '2'], 0);
    equal('in the end', 1 .. 3);
    ok(eval { wait_for(sub { $targets[1]->has_table('late') && $targets[1]->rows('select id from late') == 500 }, 60, 'the copy'); 1 }, 'a table that was made meanwhile is copied') or diag($@);
    same_content($pg, $targets[1], ['late', 'much'], 'and right');
    $pg->do('truncate much');
    command('pause', ['pause', '--target', '2'], 0);
};

subtest 'the last one' => sub {
    command('pause', ['pause', '--target', '3'], 0);
    goes_on('alone', 1);
    command('pause', ['pause', '--target', '1'], 100, qr/target 1 is the only one that is in the pipeline \(stop the pipeline instead/);
    command('resume', ['resume', '--target', '3'], 0, qr/target 3 comes back, and catches up/);
    goes_on('with 3', 1, 3);
};

# While it comes back, too.
for my $stage (qw(apply-2 tee capture)) {
    command('resume', ['resume', '--target', '2'], 0);
    $front->wait_ready('apply-2', 0, 60);
    my $pid = $front->pid_of($stage);
    kill 'KILL', $pid;
    $pg->do('update beat set n = n + 1 where id % 3 = 1');
    $front->wait_ready($stage, $pid, 60);
    goes_on("back, with kill -9 of $stage", 1 .. 3);
    command('pause', ['pause', '--target', '2'], 0) if $stage ne 'capture';
}
equal('after that', 1 .. 3);
wait_for(sub { beat(); lag_of_slot() < 1_000_000 }, 60, 'the slot to move on');

subtest 'over a restart' => sub {
    command('pause', ['pause', '--target', '1'], 0);
    is($front->stop, 0, 'stopped');
    $front->start;
    goes_on('started again', 2, 3);
    ok(!has_beat(1), 'the paused one stays so');
    is($front->stop, 0, 'stopped');
    $front->start('--until-lsn', 'current');
    beat();
    is($front->process->wait_exit(60), 100, '--until-lsn ends, with 100');
    like($front->log_text, qr/target 1 has not everything up to --until-lsn: it is paused/, 'and says why');
    is($front->stop, 100, 'it has') if $front->process->running;
    $front->start;
    goes_on('once more', 2, 3);
    command('resume', ['resume', '--target', '1'], 0);
    goes_on('resumed', 1 .. 3);
};

subtest 'one that fails' => sub {
    $targets[2]->dbh->do("insert into beat values (100000, 1)");
    $pg->do("insert into beat values (100000, 2)");
    wait_for(sub { (state_of(3)->{apart} // '') eq 'failed' }, 60, 'the target to fail');
    goes_on('without it', 1, 2);
    command('status', ['status'], 100, qr/^apply-3 +apply-sqlite: apply-3 has stopped for good: .*conflict insert_exists.*\n +target 3 has failed and is left out since /m);
    like($front->log_text, qr/level=warning msg="a target has failed and is left out; .*pg2any resume" target=3 reason=".*insert_exists/, 'the log');
    is(http('/health')->{status}, 503, '/health: 503');
    like(http('/health')->{content}, qr/apply-3 has stopped for good: .*insert_exists/, 'with the reason');
    command('not mended', ['resume', '--target', '3'], 100, qr/conflict insert_exists.*target 3 did not catch up, for the reason above"/s);
    goes_on('the others do not feel that', 1, 2);
    is((() = $front->log_text =~ /a target has failed/g), 1, 'nor does the pipeline');
    command('not mended, at once', ['resume', '--target', '3', '--at-once'], 0);
    wait_for(sub { (() = $front->log_text =~ /a target has failed/g) == 2 }, 60, 'it to fail again');
    goes_on('without it', 1, 2);
    $targets[2]->dbh->do('delete from beat where id = 100000');
    command('mended', ['resume', '--target', '3'], 0);
    equal('mended', 1 .. 3);
};

subtest 'the last one that fails ends all' => sub {
    $_->dbh->do("insert into beat values (100001, 1)") for @targets;
    $pg->do("insert into beat values (100001, 2)");
    is($front->process->wait_exit(60), 100, 'with 100');
    $_->dbh->do('delete from beat where id = 100001') for @targets;
    $front->start;
    goes_on('mended, a start tries all again', 1 .. 3);
    equal('then', 1 .. 3);
};

subtest 'the state directory is lost' => sub {
    command('pause', ['pause', '--target', '2'], 0);
    goes_on('paused', 1, 3);
    is($front->stop, 0, 'stopped');
    unlink glob $front->state_dir . '/*';
    rmdir $front->state_dir or die "rmdir: $!\n";
    $front->start;
    goes_on('all are in the pipeline', 1 .. 3);
    equal('then', 1 .. 3);
};

subtest 'given up' => sub {
    is($front->stop, 0, 'stopped');
    $front->{env}{CDC_PAUSE_WAL} = '2MB';
    $front->start;
    goes_on('started', 1 .. 3);
    command('pause', ['pause', '--target', '2'], 0);
    goes_on('paused', 1, 3);
    command('status', ['status'], 0, qr/kept for it \(given up beyond 2.0 MB\)$/m);
    wait_for(sub {
        $pg->do("update beat set n = n + 1");
        $pg->value(q{select pg_logical_emit_message(false, 'x', repeat('y', 500000))::text});
        return (state_of(2)->{apart} // '') eq 'given up';
    }, 60, 'it to be given up');
    goes_on('without it', 1, 3);
    wait_for(sub { beat(); lag_of_slot() < 1_000_000 }, 60, 'the slot to move on');
    command('status', ['status'], 100, qr/^apply-2 +apply-sqlite: apply-2 was given up: the slot kept more than 2.0 MB of WAL for target 2 \(CDC_PAUSE_WAL\)\n +target 2 is given up since /m);
    like($front->log_text, qr/level=error msg="a target is given up: .*target=2/, 'the log');
    like(http('/health')->{content}, qr/apply-2 was given up/, '/health');
    command('resume', ['resume', '--target', '2'], 0, qr/It was given up. Unless/);
    wait_for(sub { (state_of(2)->{apart} // '') eq 'failed' }, 60, 'it to stop again');
    goes_on('without it', 1, 3);
    command('resync', ['resync', '--target', '2', '--yes'], 0);
    command('resume', ['resume', '--target', '2'], 0);
    goes_on('back', 1 .. 3);
    equal('then', 1 .. 3);
};

is($front->stop, 0, 'stopped');
is_deeply([grep { kill 0, $_ } $front->processes], [], 'nothing is left');
done_testing;

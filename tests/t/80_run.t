# pg2any run: the pipeline put together from the environment, started again after temporary errors, ended
# by permanent ones, taken down in good order, with nothing left behind.
# needs: one postgres, time

use IO::Socket::INET;
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, v text)', 'create publication cdc_pub for all tables');
my @targets = map { new_target(kind => 'sqlite', file => fresh_name("target.db")) } 1 .. 2;
my $audit = fresh_name('audit.frames');
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { CDC_AUDIT_FILE => $audit });
my $password = 'sekret-of-the-source';
$pg->create_password_user(cdc => $password);
$front->{env}{CDC_SOURCE_CONNECTION_STRING} = $pg->uri(user => 'cdc', password => $password);
my $rows = 0;

sub add_rows {
    my $n = $rows;
    $rows += 50;
    $pg->do("insert into t select g, 'row ' || g from generate_series($n + 1, $rows) g");
    return;
}

sub both_equal {
    my ($what) = @_;
    $front->wait_caught_up;
    same_content($pg, $targets[$_ - 1], ['t'], "$what: target $_") for 1 .. 2;
    return;
}

$front->start;
$front->wait_all_ready;
add_rows();
both_equal('two targets from one slot');
my ($line) = grep { /msg="pg2any runs"/ } split /\n/, $front->log_text;
like($line, qr/ version=\d/, 'one line says what runs: the version');
like($line, qr{source=postgresql://cdc\@127\.0\.0\.1:\d+/postgres}, 'the source');
like($line, qr/slot=cdc_slot/, 'the slot');
like($line, qr/targets="sqlite .*, sqlite .*"/, 'the targets');
unlike($front->log_text, qr/\Q$password\E/, 'the password is nowhere in the logs');

subtest 'passwords and files' => sub {
    for my $pid ($front->processes) {
        my $arguments = Pg2any::Postgres::read_file("/proc/$pid/cmdline");
        unlike($arguments, qr/\Q$password\E/, "no password among the arguments of $pid");
        my ($program) = $arguments =~ m{([^/\0]+)\0};
        my $has = index(Pg2any::Postgres::read_file("/proc/$pid/environ"), $password) >= 0;
        ok(!$has || $program =~ /\A(?:pg2any|pg-capture)\z/, "$program has no password that is not its own");
    }
    is((stat $front->state_dir)[2] & 07777, 0700, 'the state directory is ours alone');
    my @open = grep { (stat $_)[2] & 077 } glob $front->state_dir . '/*';
    is_deeply(\@open, [], 'and so is everything in it');
    is(scalar(grep { -p } glob $front->state_dir . '/*.ack'), 2, 'with an acknowledgement FIFO for each target');
    is((stat $audit)[2] & 07777, 0600, 'the audit file is, too');
};

my ($status, $out, $err) = $front->command(['run']);
is($status, 100, 'a second one for the same slot is refused');
like($err, qr/another pg2any run uses the state directory/, 'and told why');

for my $stage ($front->stages) {
    my $pid = $front->pid_of($stage);
    ok(kill('KILL', $pid), "kill -9 of $stage");
    $front->wait_ready($stage, $pid, 30);
    $front->wait_all_ready;
    add_rows();
    both_equal("after that");
}
cmp_ok($front->metric(apply => 'pg2any_restarts_total'), '>=', 5, 'restarts are counted');
like($front->log_text, qr/msg="the pipeline is restarted" reason="tee \(frame-tee\): Killed"/,
    'the log says what was started again, and why');

# Nothing happens but WAL that is none of ours: what is confirmed goes beyond the last commit.
my $idle = $pg->value(q{select pg_logical_emit_message(false, 'x', repeat('y', 100000))::text});
wait_for(sub { lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) >= lsn_number($idle) }, 60, 'the slot to move on');
my $killed = $front->pid_of('tee');
ok(kill('KILL', $killed), 'kill -9 of tee while nothing happens');
$front->wait_ready('tee', $killed);

# The server goes away and comes back.
$pg->restart('immediate');
add_rows();
both_equal('after the server was restarted');

subtest 'the audit file' => sub {
    my (undef, undef, $complaint) = run_tool('frame-dump', stdin => $audit);
    unlike($complaint, qr/middle of a frame|unfinished/, 'has whole frames');
    my $copy = new_target(kind => 'sqlite', file => fresh_name('replayed.db'));
    my ($replayed, undef, $text) = run_tool('apply-sqlite', stdin => $audit, args => ['--dest', $copy->dest]);
    is($replayed, 111, 'and can be replayed; it has no end');
    like($text, qr/without an end frame/, 'for that reason');
    same_content($pg, $copy, ['t'], 'into a target that is equal');
};

my @before = $front->processes;
cmp_ok(scalar @before, '>=', 6, 'the processes of the pipeline are seen');
is($front->stop, 0, 'asked to stop, it leaves with 0');
is_deeply([grep { kill 0, $_ } @before], [], 'and every process of it has gone');
unlike($front->log_text, qr/not in good order/, 'in good order');
my $confirmed = lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn});
cmp_ok($confirmed, '<=', lsn_number($_->checkpoint->{remote_lsn}), 'the slot is not ahead of a target')
    for @targets;

# Of several stages that end, the one with a cause of its own is named, not a neighbour that followed.
{
    my $log = fresh_name('cause.log');
    my $away = Pg2any::Process->start(name => 'pg2any run', argv => [Pg2any::Pipeline::tool('pg2any'), 'run'], stderr => $log,
        env => $front->environment(CDC_DEST_URI_2 => 'mysql://x@127.0.0.1:1/x', CDC_DEST_TYPE_2 => 'MySQL', CDC_STATE_DIR => $front->dir . '/away'));
    wait_for(sub { Pg2any::Postgres::read_file($log) =~ /is restarted/ }, 60, 'the pipeline to be started again');
    like(Pg2any::Postgres::read_file($log), qr/msg="the pipeline is restarted" reason="apply-2 \(apply-mysql\): /, 'a target that is away is named');
    is($away->stop('TERM', 60), 0, 'and asked to stop, it leaves with 0');
}

# Whoever starts it may ignore SIGCHLD.
my $ignoring = Pg2any::Process->start(name => 'pg2any run', argv => ['sh', '-c', q{trap '' CHLD; exec "$@"}, 'sh', Pg2any::Pipeline::tool('pg2any'), 'run'],
    stderr => $front->log_file, env => $front->environment(CDC_SOURCE_CONNECTION_STRING => 'nonsense'));
is($ignoring->wait_exit(30), 100, 'with SIGCHLD ignored it sees its stages end');

# kill -9 of the front command itself.
$front->start;
$front->wait_all_ready;
my @children = grep { $_ != $front->process->pid } $front->processes;
$front->process->signal('KILL');
$front->process->wait_exit(60);
wait_for(sub { !grep { kill 0, $_ } @children }, 40, 'the stages to leave');
pass('kill -9 of pg2any run: the stages leave, none is orphaned');

# A batch.
add_rows();
$front->start('--until-lsn', 'current');
is($front->process->wait_exit(60), 0, '--until-lsn current: leaves with 0');
same_content($pg, $targets[$_ - 1], ['t'], "and target $_ has everything") for 1 .. 2;

# A permanent error in one stage ends all; of an applier beside others see 63_apart.
is(($front->command(['pause', '--target', '1']))[0], 0, 'one target is paused');
$targets[1]->dbh->do("insert into t values (9999, 'mine')");
$pg->do("insert into t values (9999, 'theirs')");
$front->start;
is($front->process->wait_exit(60), 100, 'a permanent error of the last target ends it with 100');
{
    my ($said) = $front->log_text =~ /.*(^tool=pg2any level=info msg="pg2any runs".*)/ms;
    my @errors = grep { /level=error/ } split /\n/, $said;
    is(scalar @errors, 1, 'one line says it as an error') or diag($said);
    like($errors[0], qr/^tool=apply-sqlite stage=apply-2 level=error msg=".*conflict insert_exists.*CDC_CONFLICT_2=apply.*kind=permanent/,
        'which names the target, what happened, and the variable of that target');
    like($said, qr/^tool=pg2any level=info msg="apply-2 \(apply-sqlite\): .*conflict insert_exists.*kind=permanent/m,
        'pg2any says why it leaves');
}
is_deeply([grep { kill 0, $_ } $front->processes], [], 'and nothing is left running');
($status, $out, $err) = $front->command(['status']);
is($status, 100, 'pg2any status ends with 100 then');
my $reason = $front->state('apply-2')->{reason};
like($reason, qr/conflict insert_exists/, 'the statistics have the reason');
like($out, qr/^apply-2 +apply-sqlite: apply-2 has stopped for good: \Q$reason\E$/m, 'and status shows it');
$targets[1]->dbh->do('delete from t where id = 9999');
is(($front->command(['resume', '--target', '1']))[0], 0, 'the other one comes back');
$front->start('--until-lsn', 'current');
is($front->process->wait_exit(60), 0, 'mended');
same_content($pg, $targets[$_ - 1], ['t'], "target $_ is equal") for 1, 2;

# Stopped before the source has answered: the stages read the end of an empty stream then.
{
    my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $@";
    my $early = Pg2any::Front->new(pg => $pg, targets => [new_target(kind => 'sqlite', file => fresh_name('early.db'))]);
    $early->{env}{CDC_SOURCE_CONNECTION_STRING} = 'postgresql://127.0.0.1:' . $silent->sockport . '/postgres';
    $early->start;
    $silent->timeout(30);
    my $connection = $silent->accept or die "accept: $@";
    $early->process->signal('TERM');
    is($early->process->wait_exit(30), 0, 'a stop before there is a stream is a stop like any other') or diag($early->log_text);
    unlike($early->log_text, qr/level=(?:error|warning)/, 'and nothing is complained of');
}

done_testing;

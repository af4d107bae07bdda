# A pipeline with two targets under s6, with load. Every service, and a logger, is killed with -9 in turn,
# then services at random, and both servers are restarted: it is back within seconds each time, in the end
# source and targets are equal, no process is orphaned, no FIFO left wrong. Then a permanent error: the same
# reason in s6-svstat, /health, pg2any status and the log.
#
# PG2ANY_KILLS: how many at random (4). PG2ANY_SEED: chooses what, and the load.
# needs: one postgres, mariadb, time

use HTTP::Tiny;
use Pg2any::Load;
use Pg2any::MySQL;
use Pg2any::S6;
use Pg2any::Test;

my $kills = $ENV{PG2ANY_KILLS} // 4;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
srand $seed;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(Pg2any::Load::schema(), 'create publication cdc_pub for all tables');
my $mariadb = Pg2any::MySQL->new(fast => 1);
my $dir = Pg2any::S6::writable_dir('data');
my @targets = (new_target(kind => 'mysql', server => $mariadb),
    new_target(kind => 'sqlite', file => "$dir/target.db"));
my $port = Pg2any::Postgres::free_port();
my $s6 = Pg2any::S6->new(pg => $pg, targets => \@targets,
    env => { METRICS_PORT => $port, CDC_AUDIT_FILE => "$dir/audit.frames", CDC_MEMORY_LIMIT => '256kB',
        CDC_SPILL_DIR => $dir });

sub http {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$port$path");
}

# Both targets move on, and /health agrees that all is well.
sub works_again {
    my ($what, $limit) = @_;
    my @before = map { ($_->checkpoint // { remote_lsn => '' })->{remote_lsn} } @targets;
    my $began = now();
    my $moved = eval {
        for my $i (0, 1) {
            wait_for(sub {
                my $checkpoint = $targets[$i]->checkpoint or return 0;
                return $checkpoint->{remote_lsn} ne $before[$i];
            }, $limit // 60, "$what: progress at target " . ($i + 1));
        }
        wait_for(sub { http('/health')->{status} == 200 }, 60, "$what: /health");
        1;
    };
    diag($@) if !$moved;
    note(sprintf '%s: %.1f s', $what, now() - $began);
    return ok($moved, "$what: works again");
}

is((stat $s6->root . '/env')[2] & 07777, 0700, 'the configuration is readable by its owner alone');
is_deeply([grep { (stat $_)[2] & 077 } glob $s6->root . '/env/*'], [], 'each file of it, too');
$s6->start;
$s6->wait_all_ready;
my @writers = Pg2any::Load::start($pg, writers => 2, seed => $seed, pause => 0.03);
works_again('at the start');
is(http('/ready')->{status}, 200, '/ready says so');
my ($user) = map { (stat "/proc/$_")[4] } $s6->pid_of('capture');
is($user, defined Pg2any::S6::stage_user() ? (getpwnam Pg2any::S6::stage_user())[2] : $>, 'the stages run as an ordinary user');

my @services = ($s6->stages, 'metrics');
for my $name (@services, qw(capture/log metrics/log)) {
    my $pid = wait_for(sub { $s6->service_pid($name) }, 60, "$name to run");
    ok(kill('KILL', $pid), "kill -9 of $name");
    wait_for(sub { my $new = $s6->service_pid($name); $new && $new != $pid }, 30, "$name to run again");
    works_again("after $name");
}
for my $n (1 .. $kills) {
    Pg2any::Load::check(@writers);
    let_pass(rand 0.3);
    my $name = $services[rand @services];
    my $pid = wait_for(sub { $s6->service_pid($name) }, 60, "$name to run");
    kill 'KILL', $pid;
    wait_for(sub { my $new = $s6->service_pid($name); $new && $new != $pid }, 30, "$name to run again");
    works_again("after kill number $n, $name");
}

$pg->restart('immediate');
works_again('after the restart of PostgreSQL');
$mariadb->kill9;
$mariadb->start;
works_again('after the restart of MariaDB');

# The supervisor of a stage dies as well; its stage must not go on beside the next one.
my $orphan = $s6->pid_of('apply');
my ($supervisor) = Pg2any::Postgres::read_file("/proc/$orphan/status") =~ /^PPid:\s+(\d+)/m;
ok(kill('KILL', $supervisor), 'kill -9 of the supervisor of apply');
wait_for(sub { !kill 0, $orphan }, 60, 'its stage to leave');
works_again('after the supervisor of apply');

Pg2any::Load::stop(@writers);
$s6->wait_caught_up;
same_content($pg, $targets[$_], [@Pg2any::Load::TABLES], 'target ' . ($_ + 1) . ' equals the source') for 0, 1;
cmp_ok($s6->metric(capture => 'pg2any_restarts_total'), '>', 3, 'restarts are counted');

is_deeply([sort map { m{([^/]+)\z} } grep { -p } glob $s6->state_dir . '/*'],
    [sort qw(apply.ack apply-2.ack)], 'the FIFOs are those that belong there: one that is in use between two stages has no name');
is_deeply([grep { (stat $_)[2] & 077 } glob $s6->state_dir . '/*'], [], 'nobody else can open them');
like($s6->stage_log('apply'), qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +tool=apply-mysql stage=apply level=info/m, 'logs are stamped');

# A permanent error of a stage that has stopped: the same reason everywhere.
sub shows_everywhere {
    my ($stage, $like) = @_;
    my $state = $s6->state($stage);
    my $reason = $state->{reason};
    like($reason, $like, "a permanent error of $stage: the statistics have the reason");
    wait_for(sub { $s6->svstat($stage) =~ /down \(exitcode 100\)/ }, 60, 's6-svstat to show it');
    unlike($s6->svstat($stage), qr/want up/, 's6-svstat: exit code 100, and it is not started again');
    (my $quoted = $reason) =~ s{(["\\])}{\\$1}g;
    like($s6->stage_log($stage), qr/level=error msg="\Q$quoted\E" kind=permanent/, 'the log has it');
    my $health;
    ok(eval { wait_for(sub { $health = http('/health'); $health->{status} == 503 && $health->{content} =~ /for good/ }, 60, 'a 503'); 1 },
        '/health: 503');
    is($health->{content}, "$stage has stopped for good: $reason", 'with the same reason');
    is(http('/ready')->{status}, 503, '/ready: 503');
    my ($status, $out) = $s6->command(['status', '--env-dir', $s6->root . '/env'],
        env => { map { $_ => undef } grep { /^CDC_/ } keys %{ $s6->{env} } });
    is($status, 100, 'pg2any status: 100');
    like($out, qr/^$stage +\S+: $stage has stopped for good: \Q$reason\E$/m, 'with the same reason');
    return;
}

# The configuration of a service changes; undef: the variable goes.
sub configure {
    my ($name, $value) = @_;
    my $file = $s6->root . "/env/$name";
    return unlink $file if !defined $value;
    open my $fh, '>', $file or die "$file: $!\n";
    print {$fh} $value;
    close $fh or die "$file: $!\n";
    return;
}

# A permanent error of the applier.
$pg->do('create table ledger (id int primary key, v text)', q{insert into ledger values (1, 'one')});
$s6->wait_caught_up;
$targets[0]->dbh->do(q{insert into ledger values (2, 'mine')});
$pg->do(q{insert into ledger values (2, 'theirs')});
my $state = wait_for(sub {
    my $s = $s6->state('apply');
    ($s->{state} // '') eq 'stopped' && $s->{status} == 100 ? $s : undef;
}, 30, 'apply to stop for good');
my @there = ('--env-dir', $s6->root . '/env');
my $own = { map { $_ => undef } grep { /^CDC_/ } keys %{ $s6->{env} } };
sub by_hand {
    my (@words) = @_;
    my @as = defined Pg2any::S6::stage_user() ? ('s6-setuidgid', Pg2any::S6::stage_user()) : ();
    my $out = fresh_name('by-hand.out');
    my $process = Pg2any::Process->start(name => "pg2any $words[0]", stdout => $out, stderr => $out,
        argv => ['s6-envdir', $s6->root . '/env', @as, "$s6->{prefix}/bin/pg2any", @words], env => $s6->environment(%$own));
    return ($process->wait_exit(60), Pg2any::Postgres::read_file($out));
}
sub is_apart {
    my ($how) = @_;
    my ($status, $out) = $s6->command(['status', @there], env => $own);
    return $out =~ /target 1 \Q$how\E/ ? $out : undef;
}
my $shown = wait_for(sub { is_apart('has failed and is left out since') }, 30, 'it to be left out');
like($shown, qr/^apply +apply-mysql: apply has stopped for good: .*conflict insert_exists/m, 'status says so, with the reason');
wait_for(sub { http('/health')->{content} =~ /\Aapply has stopped for good: .*insert_exists/ }, 60, '/health to say so');
wait_for(sub { $s6->svstat('apply') =~ /\Aup/ }, 60, 'its service to wait');
like($s6->stage_log('apply'), qr/a target has failed and is left out/, 'the log does, too');
my $beside = sub {
    my ($what) = @_;
    $pg->do(q{insert into ledger select max(id) + 1, 'more' from ledger});
    my ($n) = $pg->value('select count(*) from ledger');
    ok(eval { wait_for(sub { $targets[1]->value('select count(*) from ledger') == $n }, 60, 'the other'); 1 }, "$what: the other target goes on");
};
$beside->('a target that has failed');
for my $name ('apply', 'tee', 'capture') {
    my $pid = wait_for(sub { $s6->service_pid($name) }, 60, "$name to run");
    kill 'KILL', $pid;
    wait_for(sub { my $new = $s6->service_pid($name); $new && $new != $pid }, 30, "$name to run again");
    $beside->("kill -9 of $name");
}

# Mended.
$targets[0]->dbh->do('delete from ledger where id = 2');
my ($resumed, $said) = by_hand('resume', '--target', '1');
is($resumed, 0, 'mended, and resumed') or diag($said);
works_again('after resume', 60);

# The same, asked for.
is((by_hand('pause', '--target', '1'))[0], 0, 'paused');
$beside->('paused');
ok(is_apart('is paused since'), 'status says so');
is((by_hand('resume', '--target', '1'))[0], 0, 'resumed');
works_again('after resume', 60);

# Beyond CDC_PAUSE_WAL the service that waits gives it up.
configure('CDC_PAUSE_WAL', '1MB');
is((by_hand('pause', '--target', '1'))[0], 0, 'paused');
my $kept = $pg->slot('cdc_slot')->{confirmed_flush_lsn};
ok(eval { wait_for(sub { $beside->('beside it') if is_apart('is paused'); $pg->value(q{select pg_logical_emit_message(false, 'x', repeat('y', 500000))::text}); is_apart('is given up since') }, 60, 'it to be given up'); 1 }, 'given up');
ok(eval { wait_for(sub { lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) > lsn_number($kept) + 1_000_000 }, 60, 'the slot'); 1 }, 'the slot moves on');
$beside->('given up');
configure('CDC_PAUSE_WAL', undef);
configure('CDC_COPY', 'initial');
is((by_hand('resync', '--target', '1', '--yes'))[0], 0, 'resync, while the others run');
$s6->s6('s6-svc', '-r', $s6->service('capture'));
is((by_hand('resume', '--target', '1'))[0], 0, 'and resumed');
ok(eval { wait_for(sub { $targets[0]->value('select count(*) from ledger') == $pg->value('select count(*) from ledger') && $s6->metric(apply => 'pg2any_copy_tables_awaited') + $s6->metric(apply => 'pg2any_copy_tables_settling') == 0 }, 120, 'the copies'); 1 }, 'its tables are copied');
$s6->wait_caught_up;
same_content($pg, $targets[$_], ['ledger'], 'target ' . ($_ + 1) . ' goes on') for 0, 1;

# And of each other stage.
for my $case (['capture', 'CDC_PUBLICATION', 'missing', undef, qr/publication "missing" does not exist/],
    ['assemble', 'CDC_SPILL_DIR', '/nonexistent', $dir, qr/nonexistent/],
    ['tee', 'CDC_AUDIT_FILE', '/nonexistent/x', "$dir/audit.frames", qr/nonexistent/]) {
    my ($stage, $variable, $wrong, $right, $like) = @$case;
    configure($variable, $wrong);
    my $pid = $s6->service_pid($stage);
    $s6->s6('s6-svc', '-r', $s6->service($stage));
    wait_for(sub { my $s = $s6->state($stage); ($s->{state} // '') eq 'stopped' && $s->{status} == 100 }, 30, "$stage to stop for good");
    shows_everywhere($stage, $like);
    configure($variable, $right);
    $s6->s6('s6-svc', '-u', $s6->service($stage));
    wait_for(sub { http('/health')->{status} == 200 }, 40, "$stage to be well again");
    $pg->do('update ledger set v = v || 1');
    $s6->wait_caught_up;
    same_content($pg, $targets[$_], ['ledger'], "mended, target " . ($_ + 1) . ' goes on') for 0, 1;
}

my @before = $s6->processes;
cmp_ok(scalar @before, '>=', 6, 'the processes are seen');
$s6->stop;
is_deeply([grep { kill 0, $_ } @before], [], 'stopped: no process is orphaned');
same_content($pg, $targets[$_], [@Pg2any::Load::TABLES], 'target ' . ($_ + 1) . ' at the end') for 0, 1;

done_testing;

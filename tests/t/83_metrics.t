# Every metric that the documentation names moves when what it counts happens, and all of them come out at
# /metrics, as text that Prometheus reads. /health and /ready say what they should.
# needs: postgres, time

use HTTP::Tiny;
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do('create table t (id int primary key, v text)', 'create publication cdc_pub for all tables');
my $target = new_target(kind => 'sqlite');
my $port = Pg2any::Postgres::free_port();
my $front = Pg2any::Front->new(pg => $pg, targets => [$target],
    env => { METRICS_PORT => $port, METRICS_STALL => '2s', CDC_MEMORY_LIMIT => '1MB', CDC_CONFLICT => 'apply',
        CDC_QUERY_TIMEOUT => '1s', CDC_WAL_BUDGET => '500kB' });

sub http {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$port$path");
}

# The value of a sample at /metrics: by its name and some of its labels.
sub sample {
    my ($name, %label) = @_;
    my $text = http('/metrics')->{content} // '';
    my @found;
    for my $line (split /\n/, $text) {
        my ($labels, $value) = $line =~ /\A\Q$name\E(?:\{(.*)\})? (\S+)\z/ or next;
        $labels //= '';
        push @found, $value if !grep { index($labels, qq{$_="$label{$_}"}) < 0 } keys %label;
    }
    return @found ? $found[0] : undef;
}

# A test: the sample comes to fulfil the condition.
sub moves {
    my ($condition, $what, @sample) = @_;
    my $value;
    my $reached = eval { wait_for(sub { $value = sample(@sample); defined $value && $condition->($value) }, 20, $what); 1 };
    return ok($reached, $what) || diag("$sample[0] is " . ($value // 'not there'));
}

$front->start;
$front->wait_all_ready;
wait_for(sub { http('/ready')->{status} == 200 }, 60, '/ready');
ok(wait_for(sub { http('/health')->{status} == 200 }, 60, '/health'), '/health: 200 with nothing to do');

is(sample('pg2any_build_info', stage => 'capture', component => 'pg-capture'), 1, 'build_info');
like(http('/metrics')->{content}, qr/^pg2any_build_info\{stage="apply",version="[\d.]+",component="apply-sqlite"\} 1$/m, 'with the version');
is(sample('pg2any_slot_info', slot => 'cdc_slot'), 1, 'slot_info, with its name');
is(sample('pg2any_source_connection_status'), 1, 'source_connection_status');
is(sample('pg2any_destination_connection_status'), 1, 'destination_connection_status');
is(sample('pg2any_up', stage => $_), 1, "up: $_") for $front->stages;

my %before = map { $_ => sample($_) // 0 } qw(pg2any_last_received_lsn pg2any_last_processed_lsn pg2any_confirmed_flush_lsn);
$pg->do(q{insert into t select g, 'x' from generate_series(1, 10) g}, 'update t set v = v || id where id < 4',
    'delete from t where id = 10');
$front->wait_caught_up;
moves(sub { $_[0] == 14 }, 'events_processed_total', 'pg2any_events_processed_total');
moves(sub { $_[0] == 10 }, 'events_by_type_total: insert', 'pg2any_events_by_type_total', event_type => 'insert', table => 'public.t');
moves(sub { $_[0] == 3 }, 'events_by_type_total: update', 'pg2any_events_by_type_total', event_type => 'update', table => 'public.t');
moves(sub { $_[0] == 1 }, 'events_by_type_total: delete', 'pg2any_events_by_type_total', event_type => 'delete', table => 'public.t');
moves(sub { $_[0] == 3 }, 'transactions_processed_total', 'pg2any_transactions_processed_total');
for my $name (sort keys %before) {
    moves(sub { $_[0] > $before{$name} }, $name, $name);
}
moves(sub { $_[0] > 0 }, 'network_bytes_received_total', 'pg2any_network_bytes_received_total');
moves(sub { $_[0] >= 1 && $_[0] <= 3 }, 'event_processing_duration_seconds: count', 'pg2any_event_processing_duration_seconds_count');
moves(sub { $_[0] > 0 }, 'event_processing_duration_seconds: sum', 'pg2any_event_processing_duration_seconds_sum');
is(sample('pg2any_event_processing_duration_seconds_bucket', le => '+Inf'),
    sample('pg2any_event_processing_duration_seconds_count'), 'event_processing_duration_seconds: the last bucket holds all');
$pg->do('truncate t');
moves(sub { $_[0] == 1 }, 'events_by_type_total: truncate', 'pg2any_events_by_type_total', event_type => 'truncate');

moves(sub { $_[0] == 1 }, 'slot_wal_status: reserved', 'pg2any_slot_wal_status', status => 'reserved');
is(sample('pg2any_slot_wal_status', status => 'lost'), 0, 'slot_wal_status: not lost');
my $retained = sample('pg2any_slot_retained_wal_bytes');

# A transaction that is open at the source, streamed and spilled.
my $open = $pg->connect(AutoCommit => 0);
$open->do(q{insert into t select g, repeat('s', 200) from generate_series(1000, 2000) g});
moves(sub { $_[0] >= 1 }, 'queue_depth: a transaction is held', 'pg2any_queue_depth', stage => 'assemble');
moves(sub { $_[0] > 0 }, 'buffer_memory_usage_bytes', 'pg2any_buffer_memory_usage_bytes', stage => 'assemble');
$open->do(q{insert into t select g, repeat('s', 200) from generate_series(2001, 12000) g});
moves(sub { $_[0] > 0 }, 'spill_bytes', 'pg2any_spill_bytes');
moves(sub { $_[0] > $retained + 100_000 }, 'slot_retained_wal_bytes: WAL is kept for it', 'pg2any_slot_retained_wal_bytes');
is(sample('pg2any_slot_wal_budget_bytes'), 500 * 1024, 'slot_wal_budget_bytes');
wait_for(sub { $front->log_text =~ /level=warning msg="the slot keeps half of its WAL budget.* slot=cdc_slot retained_bytes=\d+ budget_bytes=512000 limit=wal-budget/ },
    60, 'a warning that half of it is used');
pass('a warning says when half of that is used');
$open->rollback;
moves(sub { $_[0] == 0 }, 'queue_depth: it is gone', 'pg2any_queue_depth', stage => 'assemble');
moves(sub { $_[0] == 0 }, 'spill_bytes: it is gone', 'pg2any_spill_bytes');
$open->disconnect;

# Conflicts that are let pass.
$target->dbh->do(q{insert into t values (77, 'mine')});
$pg->do(q{insert into t values (77, 'theirs')});
moves(sub { $_[0] == 1 }, 'conflicts_total', 'pg2any_conflicts_total', type => 'insert_exists', table => 'public.t');

# A target that is locked: changes wait, the lag grows, /health notices that nothing moves.
$front->{locker} = $target->dbh->clone;
$front->{locker}->do('begin immediate');
my $stood = sample('pg2any_last_progress_timestamp_seconds', stage => 'apply');
$pg->do(q{insert into t values (78, 'waits')});
moves(sub { $_[0] >= 1 }, 'queue_depth of the applier', 'pg2any_queue_depth', stage => 'apply');
moves(sub { $_[0] > 0 }, 'buffer_memory_usage_bytes of the applier', 'pg2any_buffer_memory_usage_bytes', stage => 'apply');
moves(sub { $_[0] > 0.5 }, 'replication_lag_seconds grows', 'pg2any_replication_lag_seconds');
moves(sub { $_[0] > 0 }, 'replication_lag_bytes', 'pg2any_replication_lag_bytes');
my $ill = eval { wait_for(sub { my $h = http('/health'); $h->{status} == 503 && $h->{content} }, 30, '503') };
like($ill // '', qr/\Aapply makes no progress|\Aapply has written no statistics/, '/health: 503, because nothing moves');
moves(sub { $_[0] >= 1 }, 'errors_total: retry', 'pg2any_errors_total', error_type => 'retry', component => 'apply-sqlite');
moves(sub { $_[0] == 0 }, 'health, too', 'pg2any_health');

# It is started again and again, and runs in between. That is not healthy. One that leaves just then, because it lost its
# neighbour, has not failed by itself.
wait_for(sub {
    my $pid = $front->pid_of('apply');
    kill 'KILL', $pid;
    $front->wait_ready('apply', $pid);
    return sample('pg2any_failures_since_progress', stage => 'apply') >= 2;
}, 60, 'failures_since_progress');
pass('failures_since_progress');
is(sample('pg2any_failures_since_progress', stage => $_), 0, "... not of $_, which only lost its neighbour") for qw(capture assemble);
my $named = qr/\Aapply has failed [2-9]\d* times without progress: it was killed or crashed\z/;
my $last = '';
ok(eval { wait_for(sub { ($last = http('/health')->{content}) =~ $named }, 60, 'the pipeline to run'); 1 }, '/health: 503, and names it') or diag($last);
$front->{locker}->do('rollback');
$front->wait_caught_up;
wait_for(sub { http('/health')->{status} == 200 }, 30, '/health to recover');
pass('/health recovers');
is(sample('pg2any_failures_since_progress', stage => 'apply'), 0, 'failures_since_progress: back to 0');
cmp_ok(sample('pg2any_last_progress_timestamp_seconds', stage => 'apply'), '>', $stood, 'last_progress_timestamp');
moves(sub { $_[0] == 0 }, 'replication_lag_seconds: back to 0', 'pg2any_replication_lag_seconds');

# A stream of changes.
wait_for(sub {
    $pg->do(q{insert into t select (random() * 1e9)::int, 'r' from generate_series(1, 200) g on conflict do nothing});
    return sample('pg2any_events_per_second') > 0;
}, 30, 'events_per_second');
pass('events_per_second');

# A stage is killed.
my $restarts = sample('pg2any_restarts_total', stage => 'apply');
my $errors = sample('pg2any_errors_total', stage => 'capture', error_type => 'temporary');
my $pid = $front->pid_of('apply');
kill 'STOP', $front->process->pid;    # so that what is seen is not yet mended
kill 'KILL', $pid;
wait_for(sub { http('/health')->{status} == 503 }, 60, '503 after a kill');
like(http('/health')->{content}, qr/\A(?:apply was killed|assemble has stopped|capture has stopped)/, '/health: 503, a stage is gone');
is(sample('pg2any_destination_connection_status'), 0, 'destination_connection_status: not connected');
moves(sub { $_[0] == 0 }, 'source_connection_status: not connected', 'pg2any_source_connection_status');
kill 'CONT', $front->process->pid;
$front->wait_ready('apply', $pid);
moves(sub { $_[0] == $restarts + 1 }, 'restarts_total', 'pg2any_restarts_total', stage => 'apply');
moves(sub { $_[0] == $errors + 1 }, 'errors_total: temporary', 'pg2any_errors_total', stage => 'capture', error_type => 'temporary');
$front->wait_all_ready;

# What Prometheus accepts: one HELP and TYPE per name, its samples together, no sample twice.
wait_for(sub { http('/ready')->{status} == 200 }, 60, '/ready');
my $reply = http('/metrics');
is($reply->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'the content type');
my (%type, %seen, @wrong, $family);
for my $line (split /\n/, $reply->{content}) {
    if ($line =~ /\A# TYPE (\S+) (counter|gauge|histogram)\z/) {
        push @wrong, "$line again" if $type{$1}++;
        $family = $1;
    } elsif ($line !~ /\A# HELP \S+ \S/) {
        my ($name, $labels) = $line =~ /\A([a-z_0-9]+)(\{[^}]*\})? [-+0-9.e]+\z/ or push @wrong, $line;
        push @wrong, "$line outside its family" if ($name // '') !~ /\A\Q$family\E(?:_bucket|_sum|_count)?\z/;
        push @wrong, "$line twice" if $seen{ $name . ($labels // '') }++;
    }
}
is_deeply(\@wrong, [], 'the text is what Prometheus reads');

# A permanent error, and what is left to see of it.
$front->{env}{CDC_CONFLICT} = 'stop';
is($front->stop, 0, 'stopped');
$target->dbh->do(q{insert into t values (79, 'mine')});
$pg->do(q{insert into t values (79, 'theirs')});
$front->start;
is($front->process->wait_exit(60), 100, 'a permanent error');
my ($permanent) = Pg2any::Postgres::read_file($front->stats_file('apply')) =~ /^pg2any_errors_total\{error_type="permanent",[^}]*\} (\d+)$/m;
is($permanent, 1, 'errors_total: permanent');

# A slot that the server has given up.
$pg->do('drop table t');
$pg->configure(max_slot_wal_keep_size => '1MB', min_wal_size => '32MB', max_wal_size => '32MB');
$pg->reload;
wait_for(sub {
    $pg->do('create table if not exists filler (v text)', q{insert into filler select repeat('w', 1000) from generate_series(1, 20000)},
        'select pg_switch_wal()', 'checkpoint');
    return ($pg->slot('cdc_slot')->{wal_status} // '') eq 'lost';
}, 60, 'the slot to be lost');
$front->start;
is($front->process->wait_exit(60), 100, 'a lost slot ends it');
my $text = Pg2any::Postgres::read_file($front->stats_file('capture'));
like($text, qr/^pg2any_slot_wal_status\{status="lost"\} 1$/m, 'slot_wal_status: lost');
like($text, qr/\A# pg2any component=pg-capture pid=\d+ state=stopped status=100 follows=0 reason=replication slot cdc_slot cannot be used any more/, 'and the reason');

done_testing;

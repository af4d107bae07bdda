# PostgreSQL goes away and comes back, in each way that it can, under load. The pipeline goes on by
# itself: no process ends, and the target equals the source.
# needs: postgres

use Pg2any::Load;
use IO::Socket::INET;
use Pg2any::Test;

my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed");

my ($pg, $target, $pipeline) = new_pair(
    settings => { logical_decoding_work_mem => '64kB' },
    sql => [Pg2any::Load::schema()],
    args => { assemble => ['--memory-limit', '256kB'] },
);
my @writers = Pg2any::Load::start($pg, writers => 3, seed => $seed, pause => 0.05, big => 600);
my %pid = map { $_ => $pipeline->pid($_) } qw(capture assemble apply);

# With a checkpoint at the server, after which it need not decode everything again from the start.
sub progress {
    $pg->do('checkpoint');
    my $before = $target->checkpoint;
    $pipeline->wait_while_running(sub {
        my $checkpoint = $target->checkpoint or return 0;
        return !$before || $checkpoint->{remote_lsn} ne $before->{remote_lsn};
    }, 180, 'progress at the target');
    return;
}

my %MODES = (
    fast => 'PostgreSQL restarted fast',
    immediate => 'PostgreSQL restarted immediately, trap 12: what the slot confirmed may be gone',
    kill => 'PostgreSQL killed -9, trap 17: the old walsender may still hold the slot',
);
for my $round (1 .. 2) {
    for my $mode (qw(fast immediate kill)) {
        progress();
        let_pass(0.5);
        Pg2any::Load::check(@writers);
        my $connections = $pipeline->metric(capture => 'pg2any_capture_connections_total') // 0;
        $pg->restart($mode);
        progress();
        Pg2any::Load::check(@writers);
        is_deeply({ map { $_ => $pipeline->pid($_) } keys %pid }, \%pid,
            "$MODES{$mode} (round $round): the processes are the same");
        wait_for(sub {
            $pipeline->metric(capture => 'pg2any_capture_connections_total') > $connections;
        }, 60, 'the statistics to say that capture connected again');
    }
}

# The server stays away for a while: capture goes on trying, at growing intervals.
progress();
$pg->stop('fast');
let_pass(3);
ok($pipeline->running, 'PostgreSQL away for some seconds: all wait');
$pg->start;
progress();

Pg2any::Load::stop(@writers);
$pipeline->wait_caught_up;
same_content($pg, $target, [@Pg2any::Load::TABLES], 'after all the restarts the target equals the source');

$pg->do('checkpoint', q{insert into word values ('after the load', 1)});
$pipeline->wait_caught_up;

# A walsender that is ended from outside, and one that crashes and takes all sessions with it.
$pg->do(q{select pg_terminate_backend(pid) from pg_stat_replication});
$pg->do(q{insert into word values ('after pg_terminate_backend', 1)});
$pipeline->wait_caught_up;
same_content($pg, $target, ['word'], 'the walsender ended by pg_terminate_backend');

my $session = $pg->connect;
kill 'KILL', $pg->value('select pid from pg_stat_replication');
wait_for(sub { !eval { $session->do('select 1') } }, 30, 'the session to be cut');
# Others are cut a moment later; a new one gets in when the server has recovered.
wait_for(sub { eval { $pg->connect->do('select 1'); 1 } }, 30, 'a new session');
wait_for(sub { eval { $pg->do(q{insert into word values ('after a crash', 1)}); 1 } }, 30,
    'the server to have recovered');
$pipeline->wait_caught_up;
same_content($pg, $target, ['word'], 'the walsender killed -9, and with it every session');

# Trap 12, provoked: what is confirmed after the slot was last saved is lost in a crash. The slot is
# saved when it learns of the running transactions, which a server checkpoint writes down. So does the background
# writer, every 15 seconds; when it did so in between, all is done again.
my $round = 0;
wait_for(sub {
    $round++;
    $pipeline->signal(capture => 'CONT');
    $pg->do('checkpoint');
    my @confirmed = map {
        my $batch = $_;
        $pg->do(map { "insert into word values ('confirmed $round $batch $_', 1)" } 1 .. 20);
        $pipeline->wait_caught_up;
        wait_for(sub {
            $pg->slot('cdc_slot')->{confirmed_flush_lsn} eq $target->checkpoint->{remote_lsn};
        }, 30, 'the slot to confirm it');
        lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn});
    } 1 .. 2;
    $pipeline->signal(capture => 'STOP');
    $pg->restart('kill');
    return lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) <= $confirmed[0];
}, 120, 'a crash that takes back what the slot had confirmed');
pass('trap 12: the crash took back what the slot had confirmed');
$pipeline->signal(capture => 'CONT');
$pg->do(q{insert into word values ('after the lost confirmation', 1)});
$pipeline->wait_caught_up;
same_content($pg, $target, ['word'], 'trap 12: transactions that come again are applied once');
cmp_ok($pipeline->metric(apply => 'pg2any_apply_transactions_skipped_total') // -1, '>=', 20,
    'trap 12: they came again and were skipped');

is_deeply({ map { $_ => $pipeline->pid($_) } keys %pid }, \%pid, 'the processes are still the same');

# How long capture waited each time after a connection that had streamed. While a server is away it waits longer each time.
sub waits_after_a_stream {
    my ($log) = @_;
    my ($streamed, @waits) = (0);
    for my $line (split /\n/, $log) {
        $streamed = 1 if $line =~ /msg=streaming /;
        my ($wait) = $line =~ /msg="connecting again".* wait_ms=(\d+)/ or next;
        push @waits, $wait if $streamed;
        $streamed = 0;
    }
    return @waits;
}
my @waits = waits_after_a_stream($pipeline->log_text('capture'));
cmp_ok(scalar @waits, '>=', 9, 'connections were lost');
is_deeply([grep { $_ >= 6400 } @waits], [], 'one that got somewhere is opened again without a long wait');

# A server that is not ready may say so in words that nobody knows: here one that stands where the server
# was. It has been the right one before, so it may be again.
$pg->stop;
my $stranger = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => $pg->port, ReuseAddr => 1, Timeout => 60)
    or die "listening on the server's port: $!";
for (1 .. 2) {
    my $client = $stranger->accept or die "nobody connects: $!";
    while (read($client, my $length, 4) == 4) {
        read $client, my $request, unpack('N', $length) - 4;
        last if unpack('N', $request) >> 16 == 3;    # the startup packet, not a request for encryption
        syswrite $client, 'N';
    }
    my $answer = "SFATAL\0VFATAL\0CXX999\0Mcome back later\0\0";
    syswrite $client, 'E' . pack('N', 4 + length $answer) . $answer;
    close $client;
}
close $stranger;
$pg->start;
$pg->do(q{insert into word values ('after a stranger', 1)});
$pipeline->wait_caught_up;
same_content($pg, $target, ['word'], 'an error of an unknown code while connecting again passes');
like($pipeline->log_text('capture'), qr/msg="connecting again" error=".*come back later/, 'it was met');

# A lost connection doubles the wait before the next one only while nothing comes of them: otherwise
# nothing would be read for ten seconds after a few restarts of the server within a minute.
my $logged = length $pipeline->log_text('capture');
for my $n (1 .. 8) {
    my $pid = $pg->slot('cdc_slot')->{active_pid};
    $pg->do("select pg_terminate_backend($pid)");
    wait_for(sub { my $now = $pg->slot('cdc_slot')->{active_pid}; $now && $now != $pid }, 30,
        'capture to connect again');
    $pg->do("insert into word values ('after loss $n', 1)");
    $pipeline->wait_caught_up;
    my $lsn = lsn_number($target->checkpoint->{remote_lsn});
    wait_for(sub { lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) >= $lsn }, 30,
        'the confirmation');
}
my @again = waits_after_a_stream("msg=streaming \n" . substr $pipeline->log_text('capture'), $logged);
is_deeply([map { $_ < 200 ? 'short' : $_ } @again], [('short') x 8], 'a connection that got somewhere is opened again without a longer wait each time');
same_content($pg, $target, ['word'], 'and nothing is lost');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

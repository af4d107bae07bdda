# Where two stages meet: a FIFO is for one writer and one reader, once. No server: the stages are started
# as a supervisor does, the test is their neighbour.
# needs: nothing

use Fcntl qw(:flock O_WRONLY O_NONBLOCK);
use IO::Socket::INET;
use Pg2any::Pipeline;
use Pg2any::Test;
use POSIX ();
use Time::HiRes ();

my $state_dir = fresh_name('state');
my $log = fresh_name('stages.log');

sub stage {
    my ($name) = @_;
    my %nothing = map { $_ => undef } grep { /^(?:CDC_|METRICS_|XDG_|PG(?!2ANY_))/ } keys %ENV;
    return Pg2any::Process->start(name => "stage $name", argv => [Pg2any::Pipeline::tool('pg2any'), 'stage', $name],
        stderr => $log, env => { %nothing, CDC_STATE_DIR => $state_dir, CDC_DEST_URI => fresh_name('target.db'),
            CDC_SOURCE_CONNECTION_STRING => 'postgresql://nobody@127.0.0.1:1/none' });
}

# The descriptor, or undef where nobody reads the FIFO, or there is none.
sub try_to_write {
    my ($name) = @_;
    return POSIX::open("$state_dir/$name.fifo", O_WRONLY | O_NONBLOCK);
}

sub joined_writer {
    my ($name) = @_;
    return wait_for(sub { try_to_write($name) }, 60, "a reader of $name.fifo");
}

# What the process has become.
sub program {
    my ($process) = @_;
    my $comm = Pg2any::Postgres::read_file('/proc/' . $process->pid . '/comm');
    chomp $comm;
    return $comm;
}

sub becomes {
    my ($process, $program) = @_;
    return wait_for(sub { program($process) eq $program }, 60, "$program");
}

# Signals that are stopped or stop take a moment.
sub wait_stopped {
    my ($process) = @_;
    return wait_for(sub { Pg2any::Postgres::read_file('/proc/' . $process->pid . '/stat') =~ /\) T / }, 60, 'it to stop');
}

# A stage that has looked for a reader for a while says so, once.
sub writer_without_a_reader {
    my $said = sub { return scalar(() = Pg2any::Postgres::read_file($log) =~ /nobody reads the FIFO/g) };
    my $before = $said->();
    my $writer = stage('assemble');
    wait_for(sub { $said->() > $before }, 60, 'the stage to look for a reader');
    return $writer;
}

my $half_a_frame = "\xc9\x00\x00\x10\x00I" . 'x' x 100;

subtest 'a writer that comes again while the reader still holds half a frame' => sub {
    my $apply = stage('apply');
    my $first = joined_writer('apply');
    becomes($apply, 'apply-sqlite');
    $apply->signal('STOP');
    wait_stopped($apply);
    is(POSIX::write($first, $half_a_frame, length $half_a_frame), length $half_a_frame, 'half a frame is written');
    POSIX::close($first);
    my $second = try_to_write('apply');
    is($second, undef, 'the second writer does not get in');
    POSIX::close($second) if defined $second;
    my $writer = writer_without_a_reader();
    $apply->signal('CONT');
    is($apply->wait_exit(60), 111, 'the reader leaves with 111');
    is(program($writer), 'pg2any', 'the stage before it still waits');
    my $again = stage('apply');
    my $input = joined_writer('assemble');
    becomes($again, 'apply-sqlite');
    becomes($writer, 'txn-assemble');
    pass('and joins the next reader');
    POSIX::close($input);
    is($_->wait_exit(60), 111, $_->name . ' follows') for $writer, $again;
};

subtest 'many writers at once' => sub {
    my @writers = map { stage('assemble') } 1 .. 6;
    my $apply = stage('apply');
    my @inputs;
    for my $n (1 .. @writers) {
        push @inputs, joined_writer('assemble');
        becomes($apply, 'apply-sqlite');
        my @in = wait_for(sub { my @in = grep { program($_) eq 'txn-assemble' } @writers; @in ? \@in : undef }, 60, 'one of them to get in')->@*;
        is(scalar @in, 1, "reader $n: one writer gets in") or last;
        $in[0]->signal('KILL');
        is($in[0]->wait_exit(60), 'SIGKILL', 'and is killed');
        is($apply->wait_exit(60), 111, 'the reader leaves with it');
        @writers = grep { $_->running } @writers;
        $apply = stage('apply') if @writers;
    }
    is(scalar @writers, 0, 'each has had a reader of its own');
    POSIX::close($_) for @inputs;
};

subtest 'a reader that comes while another waits' => sub {
    my $identity = sub { join ' ', (Time::HiRes::stat("$state_dir/apply.fifo"))[1, 10] };
    my @readers = stage('apply');
    my $fifo = wait_for($identity, 20, 'the FIFO');
    push @readers, stage('apply');
    wait_for(sub { my $now = $identity->(); $now && $now ne $fifo }, 60, 'another one');
    my $input = joined_writer('apply');
    my ($gone) = wait_for(sub { my @gone = grep { !$_->running } @readers; @gone ? \@gone : undef }, 60, 'one to leave')->@*;
    is($gone->status, 111, 'one of them leaves with 111');
    my ($reader) = grep { $_ != $gone } @readers;
    becomes($reader, 'apply-sqlite');
    POSIX::write($input, $half_a_frame, length $half_a_frame);
    POSIX::close($input);
    is($reader->wait_exit(60), 111, 'the other one has read what its writer wrote');
    like(Pg2any::Postgres::read_file($log), qr/in the middle of a frame .*\n\z/, 'and says so');
};

subtest 'two readers that have opened one FIFO' => sub {
    my $apply = stage('apply');
    wait_for(sub { -p "$state_dir/apply.fifo" }, 60, 'the FIFO');
    # It goes on as soon as the other one has opened the FIFO, too.
    $apply->signal('STOP');
    wait_stopped($apply);
    open my $other, '+<', "$state_dir/apply.fifo" or die "apply.fifo: $!\n";
    ok(flock($other, LOCK_EX | LOCK_NB), 'the other one has it');
    $apply->signal('CONT');
    is($apply->wait_exit(60), 111, 'the stage leaves with 111');
    like(Pg2any::Postgres::read_file($log), qr/another process reads the FIFO .*\n\z/, 'and says why');
};

subtest 'killed before they have met' => sub {
    my $reader = stage('apply');
    wait_for(sub { -p "$state_dir/apply.fifo" }, 60, 'the FIFO');
    is((stat "$state_dir/apply.fifo")[2] & 07777, 0600, 'which is ours alone');
    $reader->signal('KILL');
    $reader->wait_exit(60);
    is(try_to_write('apply'), undef, 'a FIFO whose reader was killed takes no writer');
    my $writer = writer_without_a_reader();
    $reader = stage('apply');
    my $input = joined_writer('assemble');
    becomes($_->[0], $_->[1]) for [$reader, 'apply-sqlite'], [$writer, 'txn-assemble'];
    pass('the next one does');
    is_deeply([glob "$state_dir/*.fifo"], [], 'no FIFO that is in use has a name');
    POSIX::close($input);
    $_->wait_exit(60) for $writer, $reader;
};

# An applier of before a restart may say what it has while the new capture is still about to connect.
subtest 'an acknowledgement that comes before the stream begins' => sub {
    my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!\n";
    my ($ack, $complaint) = (fresh_name('early.ack'), fresh_name('early.log'));
    my $capture = Pg2any::Process->start(name => 'pg-capture', stderr => $complaint,
        argv => [Pg2any::Pipeline::tool('pg-capture'), '--ack', $ack, '--connect-timeout', 2,
            '--source', 'postgresql://x@127.0.0.1:' . $server->sockport . '/x?sslmode=disable&gssencmode=disable']);
    my $fd = wait_for(sub { POSIX::open($ack, O_WRONLY | O_NONBLOCK) }, 60, 'the FIFO');
    my $connection = $server->accept; # which is never answered
    is(POSIX::write($fd, "0/10\n", 5), 5, 'an LSN is acknowledged');
    is($capture->wait_exit(30), 111, 'that is no reason to stop for good');
    unlike(Pg2any::Postgres::read_file($complaint), qr/acknowledged, but/, 'nor a fault');
    POSIX::close($fd);
};

done_testing;

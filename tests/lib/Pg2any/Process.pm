package Pg2any::Process;

# A child process: started, signalled, waited for and, when the test ends, stopped. By its pid, so
# nothing is touched that was not started here. Children also die with the test, however it dies.

use strict;
use warnings;
use Carp qw(croak);
use Config;
use Fcntl qw(O_RDONLY O_WRONLY O_CREAT O_APPEND O_TRUNC);
use POSIX ();
use Pg2any::Scratch qw(scratch_cleanup);
use Pg2any::Wait qw(wait_for);
use Scalar::Util qw(weaken);
use Test::More ();

my @signal_name = split ' ', $Config{sig_name};
my %live;

# Ending by a signal still runs END, which stops what was started.
for my $name (qw(HUP INT TERM)) {
    $SIG{$name} = sub { exit 143 };
}
# A write to a stage that has gone is an error to see, not a death.
$SIG{PIPE} = 'IGNORE';

# Pg2any::Process->start(
#     argv  => [...],          # program and arguments
#     name  => 'apply',        # for messages
#     stdin, stdout => FILE or handle; default /dev/null
#     stderr => FILE,          # appended to; default: the test's own
#     env   => {NAME => value or undef to remove},   # CDC_COPY is `never` where it is not named
#     user  => NAME,           # run as this user (needs root)
#     dir   => DIR,            # working directory
#     parent_death => 'KILL',  # the signal it gets when the test dies
# )
sub start {
    my ($class, %arg) = @_;
    my $self = bless {
        name => $arg{name} // $arg{argv}[0],
        log => $arg{stderr},
        owner => $$,
    }, $class;

    my @argv = ('setpriv', '--pdeathsig', $arg{parent_death} // 'KILL');
    if (defined $arg{user}) {
        my ($uid, $gid) = (getpwnam $arg{user})[2, 3];
        croak "no user $arg{user}" if !defined $uid;
        push @argv, '--reuid', $uid, '--regid', $gid, '--clear-groups';
    }
    push @argv, '--', @{ $arg{argv} };

    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        # Only exec or _exit from here on: the parent's END blocks are not ours to run.
        my $done = eval { $self->become(\%arg, @argv) };
        print STDERR "cannot start $self->{name}: $@";
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $live{$pid} = $self;
    weaken $live{$pid};
    return $self;
}

sub become {
    my ($self, $arg, @argv) = @_;
    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM PIPE);
    redirect(0, $arg->{stdin} // '/dev/null', O_RDONLY);
    redirect(1, $arg->{stdout} // '/dev/null', O_WRONLY | O_CREAT | O_TRUNC);
    redirect(2, $arg->{stderr}, O_WRONLY | O_CREAT | O_APPEND) if defined $arg->{stderr};
    # Most tests are about changes, to tables that hold rows already.
    my $env = { CDC_COPY => 'never', %{ $arg->{env} // {} } };
    for my $name (keys %$env) {
        if (defined $env->{$name}) {
            $ENV{$name} = $env->{$name};
        } else {
            delete $ENV{$name};
        }
    }
    if (defined $arg->{dir}) {
        chdir $arg->{dir} or die "chdir $arg->{dir}: $!\n";
    }
    exec { $argv[0] } @argv or die "exec $argv[0]: $!\n";
}

sub redirect {
    my ($fd, $to, $flags) = @_;
    my $from = ref $to || ref \$to eq 'GLOB' ? fileno $to : POSIX::open($to, $flags, 0644);
    die "open $to: $!\n" if !defined $from;
    if ($from != $fd) {
        POSIX::dup2($from, $fd) // die "dup2: $!\n";
        POSIX::close($from) if !ref $to && ref \$to ne 'GLOB';
    }
    return;
}

sub pid { return $_[0]{pid} }
sub name { return $_[0]{name} }
sub log_file { return $_[0]{log} }

# How it ended: an exit status (0, 100, …), 'SIGKILL' and the like, or undef while it runs.
sub status {
    my ($self) = @_;
    if (!exists $self->{status} && $self->{owner} == $$) {
        my $got = waitpid $self->{pid}, POSIX::WNOHANG();
        if ($got == $self->{pid}) {
            my $signal = $? & 127;
            $self->{status} = $signal ? "SIG$signal_name[$signal]" : $? >> 8;
        } elsif ($got == -1) {
            $self->{status} = 'lost';
        }
        delete $live{ $self->{pid} } if exists $self->{status};
    }
    return $self->{status};
}

sub running { return !defined $_[0]->status }

# Send a signal by name: 'KILL', 'STOP', 'CONT', 'TERM'. False when it has ended already.
sub signal {
    my ($self, $name) = @_;
    return 0 if !$self->running;
    return kill $name, $self->{pid};
}

# Wait until it has ended; its status.
sub wait_exit {
    my ($self, $limit) = @_;
    wait_for(sub { !$self->running }, $limit // 60, "the end of $self->{name} (pid $self->{pid})");
    return $self->status;
}

# End it: the signal, then after a while SIGKILL.
sub stop {
    my ($self, $signal, $limit) = @_;
    if ($self->running) {
        $self->signal('CONT');
        $self->signal($signal // 'TERM');
        if (!eval { $self->wait_exit($limit // 30); 1 }) {
            $self->signal('KILL');
            $self->wait_exit(60);
        }
    }
    return $self->status;
}

# Kilobytes: the most it ever had resident (VmHWM), or undef when it has ended.
sub peak_memory_kb {
    my ($self) = @_;
    open my $fh, '<', "/proc/$self->{pid}/status" or return;
    my ($kb) = map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$fh>;
    close $fh or return;
    return $kb;
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    if ($self->{owner} == $$ && $self->{pid} && !exists $self->{status}) {
        $self->stop($self->{stop_signal}, 5);
    }
    return;
}

# The signal that ends it in an orderly way, where that is not TERM.
sub set_stop_signal { $_[0]{stop_signal} = $_[1]; return }

my $main_pid = $$;

END {
    if ($$ == $main_pid) {
        my $status = $?;
        my $failed = $status != 0 || !Test::More->builder->is_passing;
        my @rest = grep { $_ && $_->{owner} == $$ } values %live;
        $_->signal($_->{stop_signal} // 'TERM') for @rest;
        $_->stop($_->{stop_signal}, 10) for @rest;
        scratch_cleanup($failed);
        $? = $status;
    }
}

1;

package Pg2any::Faults;

# One call fails, and the program survives it: it leaves in time with the status of the documentation and says why,
# or goes on and its work is whole; started again it brings everything to the end, and nothing is left behind.
#
# A fault is `NAME N ERROR`, as tests/faults/preload.c has it: the N-th call counted under NAME. What a program is
# run for, and how one sees whether its work is whole, is in Pg2any::Faults::Programs.

use strict;
use warnings;
use Carp qw(croak);
use Config;
use Exporter qw(import);
use POSIX ();
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Wait qw(now);

our @EXPORT_OK = qw(faults_of try_fault count_calls is_known);

my $COUNTS_BYTES = 2048;
my $LIMIT_S = 60;
my @signal_name = split ' ', $Config{sig_name};

# What the calls can fail with, and come right by themselves later. With `+` it goes on failing: a disk that
# stays full.
my @FILE = qw(EMFILE ENFILE ENOMEM EIO ENOSPC EINTR EMFILE+ ENOSPC+);
my %ERRORS = (
    open => \@FILE, fopen => [qw(EMFILE ENOMEM EIO EINTR EMFILE+)], opendir => [qw(EMFILE ENOMEM EIO)],
    close => [qw(EIO EINTR)], fclose => [qw(EIO ENOSPC)],
    read => [qw(EIO EINTR SHORT)], pread => [qw(EIO EINTR SHORT)],
    write => [qw(ENOSPC EIO EINTR SHORT ENOSPC+)], pwrite => [qw(ENOSPC EIO EINTR SHORT ENOSPC+)],
    stderr => [qw(ENOSPC EINTR SHORT EIO+)],
    fsync => [qw(EIO ENOSPC)], fdatasync => [qw(EIO ENOSPC)], ftruncate => [qw(EIO ENOSPC EINTR)],
    rename => [qw(ENOSPC EIO)], unlink => [qw(EIO)], mkdir => [qw(ENOSPC EIO)], mkfifo => [qw(ENOSPC EIO)],
    stat => [qw(EIO ENOMEM)], access => [qw(EIO ENOMEM)], lock => [qw(ENOLCK EINTR EIO)], dup => [qw(EMFILE)],
    malloc => [qw(ENOMEM ENOMEM+)], calloc => [qw(ENOMEM ENOMEM+)], realloc => [qw(ENOMEM ENOMEM+)],
    mmap => [qw(ENOMEM)],
    poll => [qw(EINTR ENOMEM)], select => [qw(EINTR ENOMEM)], epoll_wait => [qw(EINTR)], epoll_create => [qw(EMFILE ENOMEM)],
    epoll_ctl => [qw(ENOMEM ENOSPC)], signalfd => [qw(EMFILE ENOMEM)],
    socket => [qw(EMFILE ENOBUFS ENOMEM)], connect => [qw(ECONNREFUSED ETIMEDOUT ENETUNREACH EINTR)],
    bind => [qw(ENOMEM)], listen => [qw(ENOMEM)], accept => [qw(EMFILE ENOMEM EINTR)],
    send => [qw(ECONNRESET EPIPE EINTR SHORT)], recv => [qw(ECONNRESET EINTR SHORT END)], setsockopt => [qw(ENOBUFS)],
    getaddrinfo => [qw(ENOMEM EAGAIN EMFILE)],
    pipe => [qw(EMFILE ENFILE)], fork => [qw(EAGAIN ENOMEM)], exec => [qw(ENOMEM EIO)], waitpid => [qw(EINTR)],
    thread => [qw(EAGAIN)],
);

# Faults that libraries do not survive and that nobody who uses them can keep from them, by functions on the stack. The
# program is killed then, and a supervisor starts it again.
my @KNOWN = (
    # glibc 2.36, nss/nss_database.c: a lack of memory while it reads /etc/nsswitch.conf, at the first look for a user or
    # a host, is no error there but an assertion, or a pointer that is used without a look.
    qr/\b(?:__nss_database_get|__nss_\w+_lookup2?)\b/,
    # FreeTDS 1.3, dblib.c: dbnextrow(), the one way to get a row, writes the sizes of the values into memory that it
    # does not look whether it has got.
    qr/\(calloc\+[^\n]*\n[^\n]*libsybdb[^\n]*\(dbnextrow\+/,
    # The same, token.c: tds_alloc_get_string(), with which the answer to a login is read, shrinks a string and does not
    # look whether it could (pull request 692 of FreeTDS); rpc.c: nor does dbrpcsend() with its list of parameters.
    qr/\(realloc\+[^\n]*\n(?:[^\n]*(?:libsybdb|libc)\.so[^\n]*\n)*[^\n]*libsybdb[^\n]*\((?:tdsdbopen|dbrpcsend)\+/,
    # The same, buffering.h: that there is memory for the rows of a result is an assertion.
    qr/buffering\.h:\d+: buffer_alloc: Assertion/,
);

# The faults to try in a program, given how often an untouched run made each call. Of each name and error `most`, or
# the program's share of that: all where there are no more, else half of them from the first on and the others
# spread over the rest.
sub faults_of {
    my ($program, $calls, %arg) = @_;
    my @faults;
    my $most = POSIX::ceil($arg{most} * $program->share);
    for my $name (sort keys %$calls) {
        my @errors = @{ $ERRORS{$name} // [] };
        @errors = grep { !/\+\z/ } @errors if !$program->lasting;
        for my $i (0 .. $#errors) {
            my ($error, $on) = $errors[$i] =~ /\A(\w+)(\+?)\z/;
            push @faults, map { "$name $_$on $error" } chosen($calls->{$name}, $most, ($i + 1) / (@errors + 1));
        }
    }
    return @faults;
}

# Numbers of calls, of 1 .. $n. $phase, from 0 to 1, is where the spread begins: another one for each error.
sub chosen {
    my ($n, $most, $phase) = @_;
    return 1 .. $n if $n <= $most;
    my $first = int($most / 2);
    my $step = ($n - $first) / ($most - $first);
    return (1 .. $first, map { 1 + $first + int($step * ($_ + $phase)) } 0 .. $most - $first - 1);
}

# ---- one run ----

sub library {
    my $file = Pg2any::Pipeline::tool_dir() . '/../unit/faults.so';
    croak "$file is not there: run `make unit`" if !-e $file;
    return $file;
}

sub counts {
    my ($file) = @_;
    my @fields = unpack '(Z24 Q)*', Pg2any::Postgres::read_file($file);
    my %n;
    while (my ($name, $n) = splice @fields, 0, 2) {
        $n{$name} = $n if $n > 0;
    }
    return \%n;
}

# Runs the program once, with a fault or, where it is undef, without: its status, a number or a signal's name,
# 'hangs' after a limit; and what was counted.
sub run_once {
    my ($program, $fault, %arg) = @_;
    my $dir = $program->dir;
    my $counts = "$dir/counts";
    open my $fh, '>:raw', $counts or croak "$counts: $!";
    print {$fh} "\0" x $COUNTS_BYTES;
    close $fh or croak "$counts: $!";
    my @argv = $program->argv;
    my %env = (%{ $program->env }, LD_PRELOAD => library(), PG2ANY_FAULT_COUNTS => $counts,
        PG2ANY_FAULT_PROGRAM => $argv[0] =~ s{.*/}{}r);
    $env{PG2ANY_FAULT} = $fault if defined $fault;
    $env{PG2ANY_FAULT_TRACE} = 1 if $arg{trace};
    $program->begin;
    my $pid = fork // croak "fork: $!";
    if ($pid == 0) {
        # Only exec or _exit from here on.
        delete @ENV{ grep { /^(?:CDC_|METRICS_|XDG_|PG(?!2ANY_BIN))/ } keys %ENV };
        @ENV{ keys %env } = values %env;
        open STDIN, '<', $program->stdin or POSIX::_exit(127);
        open STDOUT, '>', $program->stdout or POSIX::_exit(127);
        open STDERR, '>', "$dir/stderr" or POSIX::_exit(127);
        $SIG{PIPE} = 'DEFAULT';
        exec { $argv[0] } @argv or POSIX::_exit(127);
    }
    my $status;
    local $SIG{ALRM} = sub { $status = 'hangs'; kill 'KILL', $pid };
    alarm $LIMIT_S;
    $program->meanwhile($pid);
    waitpid $pid, 0;
    $status //= $? & 127 ? "SIG$signal_name[$? & 127]" : $? >> 8;
    alarm 0;
    return ($status, counts($counts));
}

# How often an untouched run makes each call: {name => number}. Its work is whole, and what that is the program
# keeps for the others.
sub count_calls {
    my ($program) = @_;
    $program->reset;
    my ($status, $calls) = run_once($program);
    my @wrong = $status eq $program->status ? $program->learn : ("exit status $status: " . $program->said);
    croak $program->name, ' without a fault: ', join '; ', @wrong if @wrong;
    return $calls;
}

# Whether a fault is one of a library: the program is killed, below one of those functions.
sub is_known {
    my ($program, $fault) = @_;
    $program->reset;
    my ($status) = run_once($program, $fault, trace => 1);
    my $stack = $program->said;
    $program->wrong_after($status);
    return $status =~ /^SIG/ && grep { $stack =~ $_ } @KNOWN;
}

# Tries a fault: whether there was one (the run may not have come so far), and what is wrong with what came of it.
sub try_fault {
    my ($program, $fault, %arg) = @_;
    $program->reset;
    my $begun = now();
    my ($status, $calls) = run_once($program, $fault, %arg);
    return (0) if !$calls->{given};
    my $said = $program->said;
    print {*STDERR} $said if $arg{trace};
    my @wrong;
    my $whole = $program->status;
    if ($status ne $whole && $status ne '111') {
        push @wrong, "exit status $status";
    } elsif ($status ne $whole && !$program->has_said_why($said) && $fault !~ /^stderr /) {
        push @wrong, "exit status $status, and nothing said";
    }
    push @wrong, $program->wrong_after($status);
    $program->again($status);
    ($status, $calls) = run_once($program);
    push @wrong, "started again: exit status $status: " . $program->said if $status ne $whole;
    push @wrong, map { "started again: $_" } $program->wrong_after($status);
    # What cannot be removed stays.
    push @wrong, map { "left behind: $_" } $fault =~ /^unlink / ? () : $program->left_behind;
    push @wrong, $said if @wrong;
    printf {*STDERR} "%s: %.1f s\n", $fault, now() - $begun if $arg{trace};
    return (1, @wrong);
}

1;

package Pg2any::LateStandby;

# A synchronous standby that answers late: it takes the WAL and says so many seconds later that it has it. Until
# then a commit is in the WAL, and others do not see it. It keeps nothing. A process of its own, without a program
# of PostgreSQL's.

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use IO::Select;
use IO::Socket::INET;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);

# Pg2any::LateStandby->new($server, $seconds): from here on the server's synchronous commits wait for it.
sub new {
    my ($class, $server, $seconds) = @_;
    my $self = bless { server => $server }, $class;
    my ($lsn) = $server->value('select pg_current_wal_flush_lsn()');
    $self->{process} = Pg2any::Process->start(
        name => 'the late standby', stderr => fresh_name('standby.log'),
        argv => [$^X, '-I' . dirname(dirname(__FILE__)), '-MPg2any::LateStandby',
            '-e', 'Pg2any::LateStandby::run(@ARGV)', $server->port, $lsn, $seconds]);
    $self->answer('late');
    $server->flush; # it has something to answer
    wait_for(sub { $server->value(q{select count(*) from pg_stat_replication where sync_state = 'sync'}) }, 30,
        'the late standby');
    return $self;
}

sub answer {
    my ($self, $names) = @_;
    $self->{server}->configure(synchronous_standby_names => $names);
    $self->{server}->reload;
    return;
}

# Nobody waits for it any more.
sub stop { my ($self) = @_; $self->answer(''); $self->{process}->stop; return }

# ---- in the standby ----

sub take {
    my ($socket, $n) = @_;
    my $data = '';
    while (length $data < $n) {
        sysread($socket, $data, $n - length $data, length $data) or exit 0;
    }
    return $data;
}

# The next message: its type, and what is in it.
sub message {
    my ($socket) = @_;
    my ($type, $length) = unpack 'a1 N', take($socket, 5);
    my $body = take($socket, $length - 4);
    die "$body\n" if $type eq 'E';
    return ($type, $body);
}

sub give {
    my ($socket, $type, $body) = @_;
    syswrite($socket, $type . pack('N', 4 + length $body) . $body) // exit 0;
    return;
}

sub run {
    my ($port, $lsn, $seconds) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "port $port: $!\n";
    my $startup = pack('N', 196_608) . join("\0", user => 'postgres', replication => 'true', application_name => 'late', '', '');
    syswrite $socket, pack('N', 4 + length $startup) . $startup;
    my $type = '';
    ($type) = message($socket) while $type ne 'Z';
    give($socket, 'Q', "START_REPLICATION PHYSICAL $lsn\0");
    ($type) = message($socket) while $type ne 'W';
    my $select = IO::Select->new($socket);
    my @later;    # [when, LSN]
    my $flushed = 0;
    while (1) {
        if ($select->can_read(@later ? 0.005 : 1)) {
            my (undef, $body) = message($socket);
            my ($kind, $start) = unpack 'a1 Q>', $body;
            push @later, [now() + $seconds, $kind eq 'w' ? $start + length($body) - 25 : $flushed];
        }
        my $any = @later && $later[0][0] <= now();
        while (@later && $later[0][0] <= now()) {
            my $reached = (shift @later)->[1];
            $flushed = $reached if $reached > $flushed;
        }
        give($socket, 'd', pack('a1 Q> Q> Q> Q> C', 'r', ($flushed) x 3, 0, 0)) if $any;
    }
    return;
}

1;

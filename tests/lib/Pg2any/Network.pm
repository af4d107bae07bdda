package Pg2any::Network;

# The way to a server, which may fail: a proxy on 127.0.0.1, a process of its own. It knows nothing of what
# passes.

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use IO::Handle;
use IO::Socket::INET;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);

# Pg2any::Network->new($port, notices => SECONDS): the way to that port. The server there notices after so many
# seconds that a connection is lost, as with TCP keepalive; without, never.
sub new {
    my ($class, $to, %arg) = @_;
    my $self = bless { to => $to, port => Pg2any::Postgres::free_port() }, $class;
    pipe my $orders, $self->{orders} or croak "pipe: $!";
    pipe $self->{done}, my $done or croak "pipe: $!";
    $self->{orders}->autoflush;
    $self->{process} = Pg2any::Process->start(name => 'network', stdin => $orders, stdout => $done,
        argv => [$^X, '-I' . dirname(dirname(__FILE__)), '-MPg2any::Network', '-e', 'Pg2any::Network::run(@ARGV)',
            $self->{port}, $to, $arg{notices} // 0],
        stderr => fresh_name('network.log'));
    wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) }, 60, 'the network');
    return $self;
}

# The same URI, by this way.
sub uri {
    my ($self, $uri) = @_;
    return $uri =~ s/:\Q$self->{to}\E(?=\/)/:$self->{port}/r;
}

# What becomes of it:
#   pass             what comes is passed on
#   cut              all connections are reset, new ones at once
#   half DIRECTION   those that are there have their end in that direction, and nothing follows
#   hole DIRECTION   nothing passes in that direction, of those that are there and those that come meanwhile, ever
#                    again; nobody is told
#   stall            nothing passes for the time being
#   delay MS         everything comes so much later
#   split            every byte by itself
#   to PORT          new connections go there
# DIRECTION: up (to the server), down, both. It is so when this returns.
sub order {
    my ($self, $order) = @_;
    print { $self->{orders} } "$order\n" or croak "the network is gone: $!";
    defined readline $self->{done} or croak 'the network is gone';
    return;
}

# ---- in the proxy ----

my $MOST_WAITING = 100_000;    # bytes of one direction; then no more is read
my %OTHER = (up => 'down', down => 'up');

# A connection: for each direction where it is read from and written to, what is on its way as
# [when it is due, bytes], and whether it is lost or has ended.
sub connection {
    my ($client, $server) = @_;
    for my $socket ($client, $server) {
        $socket->blocking(0);
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    }
    return {
        up => { from => $client, to => $server, queue => [], bytes => 0 },
        down => { from => $server, to => $client, queue => [], bytes => 0 },
    };
}

sub reset_connection {
    my ($connection) = @_;
    for my $socket (map { $connection->{$_}{from} } qw(up down)) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $socket or next;
    }
    return;
}

# Reads what is there; false at the end.
sub receive {
    my ($way, $state) = @_;
    my $got = sysread $way->{from}, my $data, 65_536;
    return 1 if !defined $got && $!{EAGAIN};
    if (!$got) {
        $way->{ended} = 1;
        return;
    }
    return 1 if $way->{lost};
    my $due = $state->{delay} ? now() + $state->{delay} / 1000 : 0;
    push @{ $way->{queue} }, map { [$due, $_] } $state->{split} ? split //, $data : $data;
    $way->{bytes} += $got;
    return 1;
}

# Writes what is due; false when there is nobody to write to.
sub send_on {
    my ($way, $time) = @_;
    my $queue = $way->{queue};
    while (@$queue && $queue->[0][0] <= $time) {
        my $put = syswrite $way->{to}, $queue->[0][1];
        return $!{EAGAIN} if !defined $put;
        $way->{bytes} -= $put;
        if ($put < length $queue->[0][1]) {
            substr $queue->[0][1], 0, $put, '';
            return 1;
        }
        shift @$queue;
    }
    return 1;
}

sub obey {
    my ($order, $state, $connections) = @_;
    my ($word, $more) = split ' ', $order;
    %$state = (word => $word, delay => $word eq 'delay' ? $more : 0, split => $word eq 'split',
        to => $word eq 'to' ? $more : $state->{to});
    if ($word eq 'cut') {
        reset_connection($_) for splice @$connections;
    } elsif ($word eq 'hole') {
        $state->{lost} = [$more eq 'both' ? qw(up down) : $more];
        lose($_, $state) for @$connections;
    } elsif ($word eq 'half') {
        for my $way (map { $_->{$more} } @$connections) {
            $way->{lost} = 1;
            $way->{queue} = [];
            shutdown $way->{to}, 1;
        }
    }
    return;
}

# From now on nothing passes there, not even the end.
sub lose {
    my ($connection, $state) = @_;
    for my $direction (@{ $state->{lost} // [] }) {
        $connection->{lost_since} //= now();
        @{ $connection->{$direction} }{qw(lost queue silent)} = (1, [], 1);
    }
    return;
}

sub run {
    my ($port, $to, $notices) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp', Listen => 64,
        ReuseAddr => 1) or die "port $port: $!\n";
    my %state = (word => 'pass', to => $to);
    my @connections;
    my $orders = '';
    while (1) {
        my ($read, $write) = ('', '');
        vec($read, fileno $_, 1) = 1 for $listener, \*STDIN;
        my $time = now();
        my $pause = 1;
        my @ways = map { @$_{qw(up down)} } @connections;
        for my $way (@ways) {
            vec($read, fileno $way->{from}, 1) = 1 if !$way->{ended} && $way->{bytes} < $MOST_WAITING;
            next if !@{ $way->{queue} } || $state{word} eq 'stall';
            if ($way->{queue}[0][0] <= $time) {
                vec($write, fileno $way->{to}, 1) = 1;
            } elsif ($way->{queue}[0][0] - $time < $pause) {
                $pause = $way->{queue}[0][0] - $time;
            }
        }
        select $read, $write, undef, $pause;
        $time = now();
        if (vec $read, fileno STDIN, 1) {
            sysread STDIN, $orders, 4096, length $orders or exit 0;
            while ($orders =~ s/\A(.*)\n//) {
                obey($1, \%state, \@connections);
                syswrite STDOUT, "\n" or exit 0;
            }
            next;    # some may be closed
        }
        if (vec $read, fileno $listener, 1) {
            my $client = $listener->accept;
            my $server = $client && $state{word} ne 'cut'
                ? IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $state{to}) : undef;
            if ($server) {
                push @connections, connection($client, $server);
                lose($connections[-1], \%state);
            }
            next;    # without a server the client is closed
        }
        my @left;
        for my $connection (@connections) {
            my $alive = !$notices || !$connection->{lost_since} || $time - $connection->{lost_since} < $notices;
            for my $direction (qw(up down)) {
                my $way = $connection->{$direction};
                receive($way, \%state) if vec $read, fileno $way->{from}, 1;
                $alive = 0 if vec($write, fileno $way->{to}, 1) && !send_on($way, $time);
                next if !$way->{ended} || @{ $way->{queue} } || $way->{told};
                # An end is passed on, unless the way is lost.
                $way->{told} = 1;
                next if $way->{silent};
                shutdown $way->{to}, 1;
            }
            my $silent = grep { $connection->{$_}{silent} } qw(up down);
            $alive = 0 if !$silent && grep { $connection->{$_}{told} && !@{ $connection->{ $OTHER{$_} }{queue} } } qw(up down);
            if ($alive) {
                push @left, $connection;
            } else {
                close $_ or next for map { $connection->{$_}{from} } qw(up down);
            }
        }
        @connections = @left;
    }
    return;
}

1;

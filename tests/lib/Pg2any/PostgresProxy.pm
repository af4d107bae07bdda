package Pg2any::PostgresProxy;

# What may stand between pg-capture and its PostgreSQL. A pooler that spoils what a session is told:
# it leaves the startup parameter `options` out of the startup packet, refuses one that has it, or
# changes a text on its way to the server into another of the same length, keeps back the first
# message that has a text in it. A firewall that forgets connections. A process of its own, on
# 127.0.0.1; without TLS it can see everything.

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use IO::Select;
use IO::Socket::INET;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for);

# Pg2any::PostgresProxy->new($server, options => 'drop' (the default) or 'refuse',
#     replace => [TEXT, OTHER], keep => TEXT)
sub new {
    my ($class, $server, %arg) = @_;
    my ($from, $to) = @{ $arg{replace} // ['', ''] };
    length $from == length $to or croak 'another length';
    my $self = bless { server => $server, port => Pg2any::Postgres::free_port(), log => fresh_name('proxy.log') }, $class;
    $self->{process} = Pg2any::Process->start(
        name => 'proxy',
        argv => [$^X, '-I' . dirname(dirname(__FILE__)), '-MPg2any::PostgresProxy',
            '-e', 'Pg2any::PostgresProxy::run(@ARGV)', $self->{port}, $server->port,
            $arg{options} // 'drop', $from, $to, $arg{keep} // ''],
        stderr => $self->{log});
    wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) },
        60, 'the proxy');
    return $self;
}

# The server's uri(), by way of the proxy.
sub uri {
    my ($self, %arg) = @_;
    my $port = $self->{server}->port;
    return $self->{server}->uri(%arg) =~ s/:\Q$port\E\//:$self->{port}\//r;
}

# Forget the connections that are there: nothing more passes, nothing is closed. New ones are served.
sub freeze { my ($self) = @_; $self->{process}->signal('USR1'); return }

# Whether there is a message that it keeps back; let that one pass, and all others from now on.
sub keeps { my ($self) = @_; return Pg2any::Postgres::read_file($self->{log}) =~ /^keeping$/m }
sub release { my ($self) = @_; $self->{process}->signal('USR2'); return }

# ---- in the proxy ----

my $SSL_REQUEST = 80_877_103;
my $GSSENC_REQUEST = 80_877_104;

sub take {
    my ($socket, $n) = @_;
    my $data = '';
    while (length $data < $n) {
        my $got = sysread $socket, $data, $n - length $data, length $data;
        return undef if !$got;    ## no critic: not a list
    }
    return $data;
}

sub give {
    my ($socket, $data) = @_;
    while (length $data) {
        my $put = syswrite $socket, $data;
        return if !defined $put;
        substr $data, 0, $put, '';
    }
    return;
}

# The startup packet of a client as it goes on; undef where the client is sent away.
sub startup {
    my ($client, $options) = @_;
    my ($version, $body);
    while (1) {
        my $head = take($client, 4) // return;
        $body = take($client, unpack('N', $head) - 4) // return;
        $version = unpack 'N', $body;
        last if $version != $SSL_REQUEST && $version != $GSSENC_REQUEST;
        give($client, 'N');
    }
    my %parameter = split /\0/, substr($body, 4), -1;
    if (exists $parameter{options} && $options eq 'refuse') {
        my $error = join '', map {"$_\0"} 'SFATAL', 'VFATAL', 'C08P01',
            'Munsupported startup parameter: options', '';
        give($client, 'E' . pack('N', 4 + length $error) . $error);
        return;
    }
    delete @parameter{ 'options', '' };
    my $packet = pack('N', $version) . join('', map {"$_\0$parameter{$_}\0"} sort keys %parameter) . "\0";
    return pack('N', 4 + length $packet) . $packet;
}

sub run {
    my ($port, $server, $options, $from, $to, $keep) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp',
        Listen => 16, ReuseAddr => 1) or die "port $port: $!\n";
    my $select = IO::Select->new($listener);
    my (%peer, %is_client);
    my @frozen;
    local $SIG{USR1} = sub {
        push @frozen, grep { $_ != $listener } $select->handles;
        $select->remove(@frozen);
        return;
    };
    my @kept;    # the socket it came from, where it goes, what it is
    local $SIG{USR2} = sub {
        give(@kept[1, 2]) if @kept;
        $select->add($kept[0]) if @kept;
        @kept = ();
        $keep = '';
        return;
    };
    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                my $packet = startup($client, $options) // next;
                my $there = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server) or next;
                give($there, $packet);
                @peer{ $client, $there } = ($there, $client);
                $is_client{$client} = 1;
                $select->add($client, $there);
                next;
            }
            my $other = $peer{$socket} or next;
            my $got = sysread $socket, my $data, 65_536;
            if (!$got) {
                $select->remove($socket, $other);
                delete @$_{ $socket, $other } for \%peer, \%is_client;
                close $_ or die "close: $!\n" for $socket, $other;
                next;
            }
            $data =~ s/\Q$from\E/$to/g if $is_client{$socket} && length $from;
            if (length $keep && !@kept && $is_client{$socket} && index($data, $keep) >= 0) {
                @kept = ($socket, $other, $data);
                $select->remove($socket);
                print STDERR "keeping\n";
                next;
            }
            give($other, $data);
        }
    }
    return;
}

1;

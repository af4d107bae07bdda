package Pg2any::MySQLProxy;

# A proxy between an applier and its MySQL server that cuts the connection where it hurts: at the
# next COMMIT, before the server gets it or after the server has answered. And it counts what the server
# is asked for. It is a process of its own on a Unix socket; without TLS it can see the statements.

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use IO::Select;
use IO::Socket::UNIX;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for);

# Pg2any::MySQLProxy->new($server)
sub new {
    my ($class, $server) = @_;
    my $self = bless { server => $server, socket => fresh_name('proxy'),
        trap => fresh_name('proxy-trap') }, $class;
    $self->{process} = Pg2any::Process->start(
        name => 'proxy',
        argv => [$^X, '-I' . dirname(dirname(__FILE__)), '-MPg2any::MySQLProxy',
            '-e', 'Pg2any::MySQLProxy::run(@ARGV)', @$self{qw(socket trap)}, $server->socket],
        stderr => fresh_name('proxy.log'));
    wait_for(sub { -S $self->{socket} }, 60, 'the proxy');
    return $self;
}

# For --dest, as the server's uri().
sub uri {
    my ($self, %arg) = @_;
    return $self->{server}->uri(%arg,
        parameters => { %{ $arg{parameters} // {} }, socket => $self->{socket} });
}

# Cut the connection at the next COMMIT: 'before' or 'after'.
sub set_trap {
    my ($self, $when) = @_;
    open my $fh, '>', "$self->{trap}.new" or croak "$self->{trap}: $!";
    print {$fh} $when;
    close $fh or croak "$self->{trap}: $!";
    rename "$self->{trap}.new", $self->{trap} or croak "$self->{trap}: $!";
    return;
}

# Whether it has happened.
sub sprung { return !-e $_[0]{trap} }

# How often the server was sent something, each a round trip.
sub requests { return -s "$_[0]{socket}.requests" }

# ---- in the proxy ----

sub trapped {
    my ($trap, $data) = @_;
    # The command 3 is a statement in plain text; Oracle's client says before it that there are no
    # query attributes.
    return '' if $$data !~ /(?:\x03(?:\x00\x01)?|; )commit\z/i || !-e $trap;
    open my $fh, '<', $trap or return '';
    my $when = <$fh>;
    close $fh or return '';
    unlink $trap or die "$trap: $!\n";
    return $when;
}

sub run {
    my ($path, $trap, $server) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 16) or die "$path: $!\n";
    my $select = IO::Select->new($listener);
    open my $requests, '>', "$path.requests" or die "$path.requests: $!\n";
    my (%peer, %is_client, %after);
    my $cut = sub {
        for my $socket (grep { defined } map { ($_, $peer{$_}) } @_) {
            $select->remove($socket);
            delete @$_{$socket} for \%peer, \%is_client, \%after;
            close $socket or die "close: $!\n";
        }
    };
    while (my @ready = $select->can_read) {
        for my $socket (@ready) {
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                my $there = IO::Socket::UNIX->new(Peer => $server);
                if (!$there) {
                    close $client or die "close: $!\n";
                    next;
                }
                @peer{ $client, $there } = ($there, $client);
                $is_client{$client} = 1;
                $select->add($client, $there);
                next;
            }
            my $other = $peer{$socket} or next;
            my $got = sysread $socket, my $data, 65_536;
            if (!$got || $after{$socket}) {
                # What the server says after that COMMIT is lost.
                $cut->($socket);
                next;
            }
            syswrite $requests, '.' if $is_client{$socket};
            my $when = $is_client{$socket} ? trapped($trap, \$data) : '';
            if ($when eq 'before') {
                $cut->($socket);
                next;
            }
            $after{$other} = 1 if $when eq 'after';
            while (length $data) {
                my $put = syswrite $other, $data;
                last if !defined $put;
                substr $data, 0, $put, '';
            }
        }
    }
    return;
}

1;

package TdsPeer::Wire::Stream;

# TDS packets over a socket ([MS-TDS] 2.2.3), in the clear or under TLS. The TLS handshake travels
# in packets of type PRELOGIN; after it the socket carries TLS records ([MS-TDS] 3.3.5.2). Every
# length from the client is bounded.

use strict;
use warnings;
use Net::SSLeay ();

use constant {
    BATCH => 1,
    RPC => 3,
    RESPONSE => 4,
    ATTENTION => 6,
    LOGIN => 16,
    PRELOGIN => 18,
    END_OF_MESSAGE => 1,
    RESET => 8,
};

my $MAX_MESSAGE = 512 << 20;
my $HEADER = 8;

sub new {
    my ($class, $socket) = @_;
    return bless { socket => $socket, packet_size => 4096, raw => '', clear => '', number => 0 }, $class;
}

sub socket_handle { return $_[0]{socket} }

# --- bytes

sub fill {
    my ($self) = @_;
    my $got = sysread $self->{socket}, my $data, 65_536;
    die "the client is gone\n" if !$got;
    if (!$self->{tls}) {
        $self->{clear} .= $data;
        return;
    }
    $self->feed_tls($data);
    return;
}

sub feed_tls {
    my ($self, $data) = @_;
    Net::SSLeay::BIO_write($self->{in}, $data);
    while (defined(my $plain = Net::SSLeay::read($self->{tls}, 65_536))) {
        last if $plain eq '';
        $self->{clear} .= $plain;
    }
    return;
}

sub take {
    my ($self, $n) = @_;
    $self->fill while length $self->{clear} < $n;
    return substr $self->{clear}, 0, $n, '';
}

sub put_raw {
    my ($self, $data) = @_;
    my $at = 0;
    my $step = $self->{split} ? 1 : length $data;
    while ($at < length $data) {
        my $n = syswrite $self->{socket}, $data, $step, $at;
        die "the client is gone\n" if !defined $n;
        $at += $n;
    }
    return;
}

sub put {
    my ($self, $data) = @_;
    return $self->put_raw($data) if !$self->{tls};
    while (length $data) {
        my $n = Net::SSLeay::write($self->{tls}, substr $data, 0, 16_384);
        die "TLS: nothing can be written\n" if $n <= 0;
        substr $data, 0, $n, '';
    }
    $self->put_raw($self->tls_output);
    return;
}

sub tls_output {
    my ($self) = @_;
    my $out = '';
    while (Net::SSLeay::BIO_pending($self->{out}) > 0) {
        $out .= Net::SSLeay::BIO_read($self->{out}, 65_536);
    }
    return $out;
}

# --- messages

# The type, status and content of the next message.
sub message {
    my ($self) = @_;
    my ($type, $status, $content) = (undef, 0, '');
    while (1) {
        my ($kind, $bits, $length) = unpack 'CCn', $self->take($HEADER);
        die "a packet of $length bytes\n" if $length < $HEADER;
        die "a packet of type $kind within a message of type $type\n" if defined $type && $kind != $type;
        $type = $kind;
        $status |= $bits;
        $content .= $self->take($length - $HEADER);
        die "a message of more than $MAX_MESSAGE bytes\n" if length $content > $MAX_MESSAGE;
        last if $bits & END_OF_MESSAGE;
    }
    return ($type, $status, $content);
}

sub packet {
    my ($self, $type, $last, $content) = @_;
    return pack('CCnnCC', $type, $last ? END_OF_MESSAGE : 0, $HEADER + length $content, 0, ++$self->{number} & 0xff, 0) . $content;
}

sub send_message {
    my ($self, $type, $content) = @_;
    $self->put($self->packets($type, $content));
    return;
}

sub packets {
    my ($self, $type, $content) = @_;
    my $most = ($self->{tiny} // $self->{packet_size}) - $HEADER;
    my $out = '';
    my $at = 0;
    do {
        my $part = substr $content, $at, $most;
        $at += $most;
        $out .= $self->packet($type, $at >= length $content, $part);
    } while ($at < length $content);
    return $out;
}

# Whether something of the client has come already.
sub pending {
    my ($self, $seconds) = @_;
    return 1 if length $self->{clear};
    my $in = '';
    vec($in, fileno $self->{socket}, 1) = 1;
    return select($in, undef, undef, $seconds) > 0;
}

# --- TLS

sub start_tls {
    my ($self, $certificate, $key) = @_;
    my $context = Net::SSLeay::CTX_new_with_method(Net::SSLeay::TLS_server_method()) or die "TLS: no context\n";
    # TDS 7.4 servers speak up to 1.2; 1.3 came with TDS 8.
    Net::SSLeay::CTX_set_max_proto_version($context, Net::SSLeay::TLS1_2_VERSION());
    Net::SSLeay::set_cert_and_key($context, $certificate, $key) or die "TLS: $certificate, $key\n";
    my $tls = Net::SSLeay::new($context);
    my ($in, $out) = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) } 1, 2;
    Net::SSLeay::set_bio($tls, $in, $out);
    Net::SSLeay::set_accept_state($tls);
    @$self{qw(in out)} = ($in, $out);
    while (1) {
        my $done = Net::SSLeay::do_handshake($tls);
        my $answer = $self->tls_output;
        $self->put_raw($self->packets(PRELOGIN, $answer)) if length $answer;
        last if $done == 1;
        my $why = Net::SSLeay::get_error($tls, $done);
        die "TLS: the handshake failed\n" if $why != Net::SSLeay::ERROR_WANT_READ();
        my ($type, undef, $records) = $self->message;
        die "a message of type $type in the TLS handshake\n" if $type != PRELOGIN;
        Net::SSLeay::BIO_write($in, $records);
    }
    my $rest = $self->{clear};
    @$self{qw(tls clear)} = ($tls, '');
    $self->feed_tls($rest) if length $rest;
    return;
}

# After a login that alone was encrypted.
sub end_tls {
    my ($self) = @_;
    delete $self->{tls};
    return;
}

1;

package TdsPeer::Wire::Request;

# What a client sends ([MS-TDS] 2.2.6): prelogin, LOGIN7, SQL batch, RPC. Every offset and length is
# checked; what does not make sense dies with a text for the log.

use strict;
use warnings;
no warnings qw(portable);    # numbers of 64 bits
use Encode ();

# --- PRELOGIN: {option => bytes}

sub prelogin {
    my ($content) = @_;
    my (%option, $at);
    for ($at = 0; ; $at += 5) {
        my $token = unpack 'C', substr $content, $at, 1;
        die "a prelogin without an end\n" if !defined $token;
        last if $token == 0xff;
        my ($offset, $length) = unpack 'nn', substr $content, $at + 1, 4;
        die "a prelogin option beyond its end\n" if !defined $length || $offset + $length > length $content;
        $option{$token} = substr $content, $offset, $length;
    }
    return \%option;
}

sub prelogin_answer {
    my ($version, $encryption) = @_;
    my @number = split /\./, $version;
    my @options = ([0, pack 'CCnn', @number[0 .. 2], 0], [1, pack 'C', $encryption], [2, "\0"], [3, ''], [4, "\0"]);
    my $offset = 5 * @options + 1;
    my ($head, $data) = ('', '');
    for my $option (@options) {
        $head .= pack 'Cnn', $option->[0], $offset + length $data, length $option->[1];
        $data .= $option->[1];
    }
    return $head . "\xff" . $data;
}

# --- LOGIN7

sub login {
    my ($content) = @_;
    die "a login of " . length($content) . " bytes\n" if length $content < 94;
    my ($length, $version, $packet_size) = unpack 'VVV', $content;
    die "a login whose length is wrong\n" if $length > length $content;
    my $text = sub {
        my ($at) = @_;
        my ($offset, $characters) = unpack 'vv', substr $content, $at, 4;
        die "a login with a text beyond its end\n" if $offset + 2 * $characters > length $content;
        return substr $content, $offset, 2 * $characters;
    };
    my $decode = sub { return Encode::decode('UTF-16LE', $_[0]) };
    # Each byte: the halves swapped, then XOR 0xA5.
    my $password = join '', map { my $b = ord($_) ^ 0xa5; chr(($b << 4 | $b >> 4) & 0xff) } split //, $text->(44);
    return { version => $version, packet_size => $packet_size, user => $decode->($text->(40)), password => $decode->($password),
        application => $decode->($text->(48)), database => $decode->($text->(68)) };
}

# --- batches and calls

# What follows ALL_HEADERS.
sub without_headers {
    my ($content) = @_;
    my $length = unpack 'V', $content;
    die "headers beyond the end of a request\n" if !defined $length || $length < 4 || $length > length $content;
    return substr $content, $length;
}

sub decode_text {
    my ($bytes) = @_;
    die "a text of an odd number of bytes\n" if length($bytes) % 2;
    my $text = eval { Encode::decode('UTF-16LE', my $copy = $bytes, Encode::FB_CROAK) };
    return $text // decode_units($bytes);
}

# Encode refuses U+FFFF and its like, which SQL Server takes for characters.
sub decode_units {
    my ($bytes) = @_;
    my @units = unpack 'v*', $bytes;
    my $text = '';
    while (defined(my $unit = shift @units)) {
        if ($unit >= 0xd800 && $unit < 0xdc00 && @units && $units[0] >= 0xdc00 && $units[0] < 0xe000) {
            $unit = 0x10000 + ($unit - 0xd800 << 10) + shift(@units) - 0xdc00;
        }
        die "half of a surrogate pair\n" if $unit >= 0xd800 && $unit < 0xe000;
        $text .= chr $unit;
    }
    return $text;
}

sub batch { return decode_text(without_headers($_[0])) }

# {procedure, parameters => [{name, type, value, output}]}
sub rpc {
    my ($content) = @_;
    my $in = bless { bytes => without_headers($content), at => 0 }, __PACKAGE__;
    my $length = $in->number('v', 2);
    my $procedure = $length == 0xffff ? $in->number('v', 2) : decode_text($in->bytes(2 * $length));
    $in->bytes(2);
    my @parameters;
    push @parameters, $in->parameter while $in->{at} < length $in->{bytes};
    return { procedure => $procedure, parameters => \@parameters };
}

sub bytes {
    my ($self, $n) = @_;
    die "a request that ends too soon\n" if $n > length($self->{bytes}) - $self->{at};
    $self->{at} += $n;
    return substr $self->{bytes}, $self->{at} - $n, $n;
}

sub number { my ($self, $form, $n) = @_; return unpack $form, $self->bytes($n) }

my %INTEGER = (1 => ['tinyint', 'C'], 2 => ['smallint', 's<'], 4 => ['int', 'l<'], 8 => ['bigint', 'q<']);

sub parameter {
    my ($self) = @_;
    my $name = decode_text($self->bytes(2 * $self->number('C', 1)));
    my $output = $self->number('C', 1) & 1;
    my ($type, $value) = $self->typed_value($self->number('C', 1));
    return { name => $name, output => $output, type => $type, value => $value };
}

sub typed_value {
    my ($self, $type) = @_;
    if ($type == 0x26) {    # INTN
        my $size = $self->number('C', 1);
        my $integer = $INTEGER{$size} or die "an integer of $size bytes\n";
        my $length = $self->number('C', 1);
        return ($integer->[0], undef) if $length == 0;
        die "an integer of $length bytes, not $size\n" if $length != $size;
        return ($integer->[0], $self->number($integer->[1], $size));
    } elsif ($type == 0x68) {    # BITN
        $self->bytes(1);
        my $length = $self->number('C', 1);
        return ('bit', $length ? $self->number('C', 1) : undef);
    } elsif ($type == 0x63 || $type == 0x22) {    # NTEXT, IMAGE
        $self->bytes($type == 0x63 ? 4 + 5 : 4);
        my $length = $self->number('l<', 4);
        my $bytes = $length < 0 ? undef : $self->bytes($length);
        return ('varbinary', $bytes) if $type == 0x22;
        return ('nvarchar', defined $bytes ? decode_text($bytes) : undef);
    } elsif ($type == 0xe7 || $type == 0xa5) {    # NVARCHAR, VARBINARY
        my $size = $self->number('v', 2);
        $self->bytes(5) if $type == 0xe7;
        my $bytes = $size == 0xffff ? $self->partly : $self->short_value;
        return ('varbinary', $bytes) if $type == 0xa5;
        return ('nvarchar', defined $bytes ? decode_text($bytes) : undef);
    }
    die sprintf "a parameter of the type 0x%02x\n", $type;
}

sub short_value {
    my ($self) = @_;
    my $length = $self->number('v', 2);
    return $length == 0xffff ? undef : $self->bytes($length);
}

# Partially length-prefixed bytes ([MS-TDS] 2.2.5.2.3).
sub partly {
    my ($self) = @_;
    my $total = $self->number('Q<', 8);
    return if $total == 0xffff_ffff_ffff_ffff;
    my $bytes = '';
    while (my $length = $self->number('V', 4)) {
        $bytes .= $self->bytes($length);
    }
    die "a value whose parts do not add up\n" if $total != 0xffff_ffff_ffff_fffe && $total != length $bytes;
    return $bytes;
}

1;

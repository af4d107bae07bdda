package Pg2any::FrameReader;

# Change frames read without our C code, from docs/FRAMES.md alone: splitting a stream into frames,
# reading their fields, and what a committed stream makes of tables. The other opinion in tests of
# damaged and cut streams. Knows no value's meaning: everything is text or bytes.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);

our @EXPORT_OK = qw(read_frames split_frames frame_fields committed_states version_1);

# The content of a file, as bytes.
sub read_frames {
    my ($file) = @_;
    open my $fh, '<:raw', $file or croak "$file: $!";
    local $/ = undef;
    my $bytes = <$fh>;
    close $fh or croak "$file: $!";
    return $bytes;
}

# The whole frames of a stream: [type, offset, offset of the end] each.
sub split_frames {
    my ($bytes) = @_;
    my @frames;
    my $at = 0;
    while (length($bytes) - $at >= 6) {
        my ($mark, $length, $type) = unpack 'C N a', substr $bytes, $at, 6;
        croak "no frame at byte $at" if $mark != 0xc9;
        my $end = $at + 6 + $length;
        last if $end > length $bytes;
        push @frames, [$type, $at, $end];
        $at = $end;
    }
    return @frames;
}

# The fields of a frame. An array is an array reference, an unchanged value a reference to 'u'.
sub frame_fields {
    my ($bytes, $frame) = @_;
    my $body = substr $bytes, $frame->[1] + 6, $frame->[2] - $frame->[1] - 6;
    my $at = 0;
    my @fields;
    push @fields, object(\$body, \$at) while $at < length $body;
    return @fields;
}

sub take {
    my ($body, $at, $n) = @_;
    croak 'a body that ends too soon' if $$at + $n > length $$body;
    $$at += $n;
    return substr $$body, $$at - $n, $n;
}

# One msgpack object (github.com/msgpack/msgpack, spec.md).
sub object {
    my ($body, $at) = @_;
    my $c = ord take($body, $at, 1);
    return $c if $c < 0x80;
    return $c - 256 if $c >= 0xe0;
    return take($body, $at, $c & 0x1f) if ($c & 0xe0) == 0xa0;
    return [map { object($body, $at) } 1 .. ($c & 0x0f)] if ($c & 0xf0) == 0x90;
    my %number = (
        0xcc => [1, 'C'],
        0xcd => [2, 'n'],
        0xce => [4, 'N'],
        0xcf => [8, 'Q>'],
        0xd0 => [1, 'c'],
        0xd1 => [2, 's>'],
        0xd2 => [4, 'l>'],
        0xd3 => [8, 'q>']);
    if (my $form = $number{$c}) {
        return unpack $form->[1], take($body, $at, $form->[0]);
    }
    my %length = (
        0xd9 => [1, 'C'],
        0xda => [2, 'n'],
        0xdb => [4, 'N'],
        0xc4 => [1, 'C'],
        0xc5 => [2, 'n'],
        0xc6 => [4, 'N']);
    if (my $form = $length{$c}) {
        return take($body, $at, unpack $form->[1], take($body, $at, $form->[0]));
    }
    if ($c == 0xdc || $c == 0xdd) {
        my $n = $c == 0xdc ? unpack 'n', take($body, $at, 2) : unpack 'N', take($body, $at, 4);
        return [map { object($body, $at) } 1 .. $n];
    }
    return undef if $c == 0xc0;    ## no critic: part of a list
    return 0 if $c == 0xc2;
    return 1 if $c == 0xc3;
    return \take($body, $at, 2) if $c == 0xc7;
    croak sprintf 'unexpected byte %02x', $c;
}

# A stream as one of version 1, which has no checksums: for tests that make frames of their own.
sub version_1 {
    my ($bytes) = @_;
    return $bytes if $bytes =~ /\A\xc9.{4}H\x01/s;
    my %added = ((map { $_ => 9 } qw(R B C E A P p K r k x Z)), H => 18, c => 18);
    my $out = '';
    for my $frame (split_frames($bytes)) {
        my ($type, $at, $end) = @$frame;
        my $body = substr $bytes, $at + 6, $end - $at - 6 - ($added{$type} // 0);
        $body =~ s/\A\x02/\x01/ or croak 'no stream of version 2' if $type eq 'H';
        $out .= pack('C N a', 0xc9, length $body, $type) . $body;
    }
    return $out;
}

# What a committed stream has made of its tables after each commit: a list of
#   {end => offset behind the commit frame, lsn => its end LSN, rows => {table => {key => row}}}
# the first of them before any transaction. Rows are found by the primary key, which each table must
# have; a row is its values joined by ',', a table is created with its first change.
sub committed_states {
    my ($bytes) = @_;
    my (%relation, %rows);
    my @states = ({ end => 0, rows => {} });
    for my $frame (split_frames($bytes)) {
        my ($type, @f) = ($frame->[0], frame_fields($bytes, $frame));
        if ($type eq 'R') {
            croak "$f[2] has no primary key" if !@{ $f[5] };
            $relation{ $f[0] } = { name => $f[2], key => $f[5] };
        } elsif ($type =~ /[IUD]/) {
            my $relation = $relation{ $f[1] };
            my $table = $rows{ $relation->{name} } //= {};
            my $key = sub {
                join ',', map { $_[0][$_] } @{ $relation->{key} };
            };
            my ($old, $new) = @f[3, 4];
            my $was = delete $table->{ $key->($old // $new) };
            if ($new) {
                $table->{ $key->($new) } =
                    [map { ref $new->[$_] ? $was->[$_] : $new->[$_] } 0 .. $#$new];
            }
        } elsif ($type eq 'T') {
            $rows{ $relation{$_}{name} } = {} for @{ $f[1] };
        } elsif ($type eq 'C') {
            my %copy = map {
                my $t = $rows{$_};
                $_ => {
                    map {
                        $_ => join ',', map { $_ // 'NULL' } @{ $t->{$_} }
                    } keys %$t }
            } keys %rows;
            push @states, { end => $frame->[2], lsn => $f[2], rows => \%copy };
        }
    }
    return @states;
}

1;

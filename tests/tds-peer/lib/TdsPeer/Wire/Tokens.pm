package TdsPeer::Wire::Tokens;

# The tokens of a response ([MS-TDS] 2.2.7), collected into one message. It is the sink that
# TdsPeer::Session reports to.
#
# Results have the types int, bit, float, text and bytes; a value of another type comes as its text.

use strict;
use warnings;
no warnings qw(portable);    # numbers of 64 bits
use Encode ();

use constant {
    DONE => 0xfd,
    DONEPROC => 0xfe,
    DONEINPROC => 0xff,
    MORE => 1,
    FAILED => 2,
    IN_TRANSACTION => 4,
    COUNT => 0x10,
    ATTENTION => 0x20,
};

# SQL_Latin1_General_CP1_CI_AS: sort id 52.
my $COLLATION = pack 'H*', '0904d00034';
my $SERVER = 'tds-peer';

# new(session, rpc => 1)
sub new {
    my ($class, %arg) = @_;
    return bless { session => $arg{session}, out => '', done => $arg{rpc} ? DONEINPROC : DONE, rpc => $arg{rpc} }, $class;
}

sub wide { return Encode::encode('UTF-16LE', $_[0]) }

# A text whose length is in one byte, in two.
sub short_text { my ($text) = @_; return pack('C', length(wide($text)) / 2) . wide($text) }
sub long_text { my ($text) = @_; return pack('v', length(wide($text)) / 2) . wide($text) }

sub message {
    my ($self, $token, $m) = @_;
    my $body = pack('VCC', $m->{number}, $m->{state} // 1, $m->{severity} // 0) . long_text(substr $m->{message} // '', 0, 2000)
        . short_text($SERVER) . short_text($m->{procedure} // '') . pack('V', $m->{line} // 1);
    $self->{out} .= pack('Cv', $token, length $body) . $body;
    return;
}

sub error {
    my ($self, $m) = @_;
    $self->message(0xaa, $m);
    $self->{failed} = 1;
    return;
}

sub info { my ($self, $m) = @_; return $self->message(0xab, $m) }

my %CHANGE = (database => 1, language => 2, packet_size => 4, collation => 7, begin => 8, commit => 9, rollback => 10);

sub environment {
    my ($self, $e) = @_;
    my $kind = $e->{kind};
    my $body = pack 'C', $CHANGE{$kind};
    if ($kind =~ /\A(?:begin|commit|rollback)\z/) {
        my ($new, $old) = map { $_ ? pack('CQ<', 8, $_) : pack 'C', 0 } @$e{qw(new old)};
        $body .= $new . $old;
    } elsif ($kind eq 'collation') {
        $body .= pack('C', length $COLLATION) . $COLLATION . pack 'C', 0;
    } else {
        $body .= short_text($e->{new} // '') . short_text($e->{old} // '');
    }
    $self->{out} .= pack('Cv', 0xe3, length $body) . $body;
    return;
}

# --- rows

my %INTEGER = (tinyint => [1, 'C'], smallint => [2, 's<'], int => [4, 'l<'], bigint => [8, 'q<']);

sub type_info {
    my ($column) = @_;
    my ($type, $size) = @$column{qw(type size)};
    return pack 'CC', 0x26, $INTEGER{$type}[0] if $INTEGER{$type};
    return pack 'CC', 0x68, 1 if $type eq 'bit';
    return pack 'CC', 0x6d, $type eq 'real' ? 4 : 8 if $type =~ /\A(?:real|float)\z/;
    if ($type eq 'varbinary') {
        return pack 'Cv', 0xa5, $size < 0 ? 0xffff : $size;
    }
    if ($type eq 'varchar') {
        return pack('Cv', 0xa7, $size < 0 ? 0xffff : $size) . $COLLATION;
    }
    return pack('Cv', 0xe7, $type eq 'nvarchar' && $size > 0 ? 2 * $size : $type eq 'nvarchar' ? 0xffff : 200) . $COLLATION;
}

sub columns {
    my ($self, $columns) = @_;
    $self->{columns} = $columns;
    $self->{out} .= pack 'Cv', 0x81, scalar @$columns;
    for my $column (@$columns) {
        $self->{out} .= pack('Vv', 0, $column->{nullable} ? 1 : 0) . type_info($column) . short_text($column->{name});
    }
    return;
}

sub value {
    my ($column, $value) = @_;
    my ($type, $size) = @$column{qw(type size)};
    if (my $integer = $INTEGER{$type}) {
        return defined $value ? pack "C$integer->[1]", $integer->[0], $value : "\0";
    } elsif ($type eq 'bit') {
        return defined $value ? pack 'CC', 1, $value : "\0";
    } elsif ($type eq 'real' || $type eq 'float') {
        return defined $value ? pack $type eq 'real' ? 'Cf<' : 'Cd<', $type eq 'real' ? 4 : 8, $value : "\0";
    }
    my $bytes = !defined $value ? undef : $type eq 'varbinary' ? $value
        : $type eq 'varchar' ? Encode::encode('cp1252', $value) : wide($value);
    if ($type =~ /\A(?:n?varchar|varbinary)\z/ && $size < 0) {
        return pack 'Q<', 0xffff_ffff_ffff_ffff if !defined $bytes;
        return pack('Q<', length $bytes) . (length $bytes ? pack('V', length $bytes) . $bytes : '') . pack 'V', 0;
    }
    return defined $bytes ? pack('v', length $bytes) . $bytes : pack 'v', 0xffff;
}

sub row {
    my ($self, $values) = @_;
    my $columns = $self->{columns};
    $self->{out} .= "\xd1" . join '', map { value($columns->[$_], $values->[$_]) } 0 .. $#$columns;
    return;
}

# --- ends

# The end of a statement; whether more follows is known with the next one.
sub done {
    my ($self, $d) = @_;
    $self->flush_done(MORE);
    $self->{waiting} = [defined $d->{count} ? COUNT : 0, $d->{count} // 0, $self->{failed} ? FAILED : 0];
    $self->{failed} = 0;
    return;
}

sub flush_done {
    my ($self, $more) = @_;
    my $waiting = delete $self->{waiting} or return;
    $self->put_done($self->{done}, $waiting->[0] | $waiting->[2] | $more, $waiting->[1]);
    return;
}

sub put_done {
    my ($self, $token, $status, $count) = @_;
    $status |= IN_TRANSACTION if $self->{session} && $self->{session}->transaction_count;
    $self->{out} .= pack 'CvvQ<', $token, $status, 0, $count;
    return;
}

# The whole response; outputs are those of an RPC.
sub finish {
    my ($self, $outputs) = @_;
    if (!$self->{rpc}) {
        if ($self->{waiting} && !$self->{failed}) {
            $self->flush_done(0);
        } else {
            $self->flush_done(MORE);
            $self->put_done(DONE, $self->{failed} ? FAILED : 0, 0);
        }
        return $self->{out};
    }
    $self->flush_done(MORE);
    $self->{out} .= pack 'Cl<', 0x79, $outputs ? 0 : 1;
    my $ordinal = 0;
    for my $output (@{ $outputs // [] }) {
        my %column = (type => $output->{type}{name}, size => $output->{type}{size} // -1);
        $self->{out} .= pack('Cv', 0xac, $ordinal++) . short_text($output->{name}) . pack('CVv', 1, 0, 0) . type_info(\%column)
            . value(\%column, $output->{value});
    }
    $self->put_done(DONEPROC, $self->{failed} ? FAILED : 0, 0);
    return $self->{out};
}

sub attention_done {
    my ($self) = @_;
    $self->put_done(DONE, ATTENTION, 0);
    return $self->{out};
}

sub login_acknowledged {
    my ($self, $version) = @_;
    my $name = wide('Microsoft SQL Server');
    my @number = split /\./, $version;
    my $body = pack('CN', 1, 0x74000004) . pack('C', length($name) / 2) . $name . pack 'CCn', @number[0 .. 2];
    $self->{out} .= pack('Cv', 0xad, length $body) . $body;
    return;
}

1;

package TdsPeer::Type;

# SQL Server's data types: their ids, sizes and precedence (Microsoft, "Data types", "sys.types",
# "Data type precedence", "Precision, scale, and length"). A type is a hash, one for each distinct
# type, so that types compare by reference:
#   name       int, nvarchar, …; numeric is its own name, sysname is nvarchar(128)
#   length     characters of char types in their units, bytes of binary ones; -1 is max
#   precision, scale
#   key        its text

use strict;
use warnings;
use Exporter qw(import);
use TdsPeer::Error qw(fail);

our @EXPORT_OK = qw(type_of);

# name => [system_type_id, bytes, precision, scale, precedence, family]
my %TYPE = (
    sql_variant => [98, 8016, 0, 0, 30, 'variant'],
    datetimeoffset => [43, 10, 34, 7, 28, 'time'],
    datetime2 => [42, 8, 27, 7, 27, 'time'],
    datetime => [61, 8, 23, 3, 26, 'time'],
    smalldatetime => [58, 4, 16, 0, 25, 'time'],
    date => [40, 3, 10, 0, 24, 'time'],
    time => [41, 5, 16, 7, 23, 'time'],
    float => [62, 8, 53, 0, 22, 'float'],
    real => [59, 4, 24, 0, 21, 'float'],
    decimal => [106, 17, 38, 38, 20, 'decimal'],
    numeric => [108, 17, 38, 38, 20, 'decimal'],
    money => [60, 8, 19, 4, 19, 'decimal'],
    smallmoney => [122, 4, 10, 4, 18, 'decimal'],
    bigint => [127, 8, 19, 0, 17, 'integer'],
    int => [56, 4, 10, 0, 16, 'integer'],
    smallint => [52, 2, 5, 0, 15, 'integer'],
    tinyint => [48, 1, 3, 0, 14, 'integer'],
    bit => [104, 1, 1, 0, 13, 'integer'],
    ntext => [99, 16, 0, 0, 12, 'string'],
    text => [35, 16, 0, 0, 11, 'string'],
    image => [34, 16, 0, 0, 10, 'binary'],
    rowversion => [189, 8, 0, 0, 9, 'binary'],
    uniqueidentifier => [36, 16, 0, 0, 8, 'guid'],
    nvarchar => [231, 8000, 0, 0, 7, 'string'],
    nchar => [239, 8000, 0, 0, 6, 'string'],
    varchar => [167, 8000, 0, 0, 5, 'string'],
    char => [175, 8000, 0, 0, 4, 'string'],
    varbinary => [165, 8000, 0, 0, 3, 'binary'],
    binary => [173, 8000, 0, 0, 2, 'binary'],
    xml => [241, -1, 0, 0, 29, 'xml'],
    null => [56, 4, 10, 0, 0, 'null'],
);

my %ALIAS = (integer => 'int', dec => 'decimal', character => 'char', timestamp => 'rowversion');

# The rows of sys.types: name, system_type_id, user_type_id, max_length, precision, scale.
sub catalog_rows {
    my @rows = map { [$_ eq 'rowversion' ? 'timestamp' : $_, $TYPE{$_}[0], $TYPE{$_}[0],
        @{ $TYPE{$_} }[1 .. 3]] } grep { $_ ne 'null' } sort keys %TYPE;
    return @rows, ['sysname', 231, 256, 256, 0, 0];
}

my %known;

# type_of('nvarchar', 20), type_of('decimal', undef, 10, 2)
sub type_of {
    my ($name, $length, $precision, $scale) = @_;
    my ($id, $bytes, $own_precision, $own_scale, $rank, $family) =
        @{ $TYPE{$name} // die "no type $name" };
    if ($family eq 'string' && $name !~ /text\z/ || $name =~ /binary\z/) {
        $length //= -1;
    } else {
        undef $length;
    }
    if ($name eq 'decimal' || $name eq 'numeric') {
        $precision //= 18;
        $scale //= 0;
    } elsif ($name =~ /\A(?:time|datetime2|datetimeoffset)\z/) {
        $scale //= 7;
        $precision = $own_precision - ($scale == 7 ? 0 : $scale == 0 ? 8 : 7 - $scale);
    } else {
        ($precision, $scale) = ($own_precision, $own_scale);
    }
    my $key = defined $length ? "$name($length)" : "$name($precision,$scale)";
    return $known{$key} //= bless { name => $name, id => $id, length => $length, key => $key,
        precision => $precision, scale => $scale, rank => $rank, family => $family,
        bytes => storage($name, $bytes, $length, $precision, $scale) }, 'TdsPeer::Type';
}

# sys.columns.max_length
sub storage {
    my ($name, $bytes, $length, $precision, $scale) = @_;
    if (defined $length) {
        return $length < 0 ? -1 : $name =~ /\An/ ? 2 * $length : $length;
    } elsif ($name eq 'decimal' || $name eq 'numeric') {
        return $precision <= 9 ? 5 : $precision <= 19 ? 9 : $precision <= 28 ? 13 : 17;
    } elsif ($name =~ /\A(?:time|datetime2|datetimeoffset)\z/) {
        return ($scale <= 2 ? 3 : $scale <= 4 ? 4 : 5)
            + ($name eq 'time' ? 0 : $name eq 'datetime2' ? 3 : 5);
    }
    return $bytes;
}

# The type of a declaration as the parser gives it. In CAST a missing length is 30, else 1.
sub resolve {
    my ($parsed, %option) = @_;
    my @argument = @{ $parsed->{arguments} };
    my $name = $ALIAS{ $parsed->{name} } // $parsed->{name};
    my $number = $option{number} // 1;
    if ($name eq 'sysname') {
        return type_of('nvarchar', 128);
    }
    fail(2715, $number, $parsed->{name}) if !$TYPE{$name} || $name eq 'null';
    if ($name =~ /\A(?:n?(?:var)?char|(?:var)?binary)\z/) {
        fail(102, ',') if @argument > 1;
        my $most = $name =~ /\An/ ? 4000 : 8000;
        my $length = $argument[0] // ($option{cast} ? 30 : 1);
        if ($length eq 'max') {
            fail(102, 'max') if $name !~ /var/;
            return type_of($name, -1);
        }
        fail(1001, $parsed->{line} // 1, $length) if $length < 1;
        if ($length > $most) {
            fail($option{column} ? (131, $length, $option{column}, $most)
                : (131, $length, $name, $most)) if $length > 8000;
            fail(2717, $length, $option{kind} // 'column', $option{column} // $name, $most);
        }
        return type_of($name, $length);
    } elsif ($name eq 'decimal' || $name eq 'numeric') {
        my ($precision, $scale) = ($argument[0] // 18, $argument[1] // 0);
        fail(102, 'max') if "$precision $scale" =~ /max/;
        fail(1001, $parsed->{line} // 1, $precision) if $precision < 1;
        fail(2750, $number, $precision, 38) if $precision > 38;
        fail(2751, $number, $scale, $precision) if $scale > $precision;
        return type_of($name, undef, $precision, $scale);
    } elsif ($name =~ /\A(?:time|datetime2|datetimeoffset)\z/) {
        my $scale = $argument[0] // 7;
        fail(1002, $parsed->{line} // 1, $scale) if @argument > 1 || $scale !~ /\A[0-7]\z/;
        return type_of($name, undef, undef, $scale);
    } elsif ($name eq 'float') {
        my $bits = $argument[0] // 53;
        fail(2750, $number, $bits, 53) if $bits !~ /\A\d+\z/ || $bits < 1 || $bits > 53;
        return type_of($bits <= 24 ? 'real' : 'float');
    }
    fail(2716, $number, $parsed->{name}) if @argument;
    return type_of($name);
}

sub is_string { return $_[0]{family} eq 'string' }
sub is_unicode { return $_[0]{name} =~ /\A(?:n|xml)/ ? 1 : 0 }
sub is_max { return defined $_[0]{length} && $_[0]{length} < 0 || $_[0]{name} =~ /\A(?:n?text|image|xml)\z/ }

# As an error shows it.
sub shown {
    my ($self) = @_;
    my $name = $self->{name} eq 'rowversion' ? 'timestamp' : $self->{name};
    return defined $self->{length} && $self->{length} < 0 ? "$name(max)" : $name;
}

# The type two operands are brought to: the one of higher precedence, wide enough for both.
sub common {
    my ($x, $y) = @_;
    return $x if $x == $y || $y->{name} eq 'null';
    return $y if $x->{name} eq 'null';
    my ($high, $low) = $x->{rank} >= $y->{rank} ? ($x, $y) : ($y, $x);
    if (defined $high->{length} && defined $low->{length}) {
        my $most = $high->{name} =~ /\An/ ? 4000 : 8000;
        my $length = $high->{length} < 0 || $low->{length} < 0 ? -1
            : $high->{length} > $low->{length} ? $high->{length} : $low->{length};
        $length = $most if $length > $most;
        my $name = $high->{name};
        # One of them varying makes the result so.
        $name =~ s/char/varchar/ if $name =~ /\An?char\z/ && $low->{name} =~ /var/;
        $name = 'varbinary' if $name eq 'binary' && $low->{name} eq 'varbinary';
        return type_of($name, $length);
    } elsif ($high->{family} eq 'decimal' && $high->{name} !~ /money/
        && $low->{family} =~ /\A(?:decimal|integer)\z/) {
        my $digits = max($high->{precision} - $high->{scale}, $low->{precision} - $low->{scale});
        my $scale = max($high->{scale}, $low->{scale});
        return fitted($high->{name}, $digits + $scale, $scale);
    } elsif ($high->{name} =~ /\A(?:time|datetime2|datetimeoffset)\z/ && $low->{family} eq 'time'
        && $low->{scale} > $high->{scale}) {
        return type_of($high->{name}, undef, undef, $low->{scale});
    }
    return $high;
}

# A decimal of the page "Precision, scale, and length": more than 38 digits cost scale.
sub fitted {
    my ($name, $precision, $scale) = @_;
    if ($precision > 38) {
        my $integral = $precision - $scale;
        my $least = $scale < 6 ? $scale : 6;
        $scale = max(38 - $integral, $least);
        $scale = 38 if $scale > 38;
        $precision = 38;
    }
    return type_of($name, undef, $precision, $scale);
}

sub max { return $_[0] > $_[1] ? $_[0] : $_[1] }

1;

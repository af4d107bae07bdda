package TdsPeer::Types;

# Data types and conversions between them (Microsoft, "Data types", "CAST and CONVERT", "Precision,
# scale, and length"). A type is a hash {name, size, precision, scale}: size is in characters of
# char and nchar types and in bytes of binary ones, -1 for max. Values are in the form in which the
# peer stores them (README.md).

use strict;
use warnings;
use Encode ();
use Exporter qw(import);
use Math::BigInt;
use POSIX ();
use TdsPeer::Error qw(fail);

our @EXPORT_OK = qw(type_of type_text converter is_string is_number is_exact is_time type_id max_length
    wider utf16_units);

# name => [number in sys.types, bytes]
my %TYPE = (
    image => [34, 16], text => [35, 16], uniqueidentifier => [36, 16], date => [40, 3], time => [41, 5],
    datetime2 => [42, 8], datetimeoffset => [43, 10], tinyint => [48, 1], smallint => [52, 2],
    int => [56, 4], smalldatetime => [58, 4], real => [59, 4], money => [60, 8], datetime => [61, 8],
    float => [62, 8], sql_variant => [98, 8016], ntext => [99, 16], bit => [104, 1],
    decimal => [106, 17], numeric => [108, 17], bigint => [127, 8], varbinary => [165, 8000],
    varchar => [167, 8000], binary => [173, 8000], char => [175, 8000], timestamp => [189, 8],
    nvarchar => [231, 8000], nchar => [239, 8000], xml => [241, -1],
);
my %ALIAS = (integer => 'int', dec => 'decimal', rowversion => 'timestamp', character => 'char');
my %RANGE = (tinyint => [0, 255], smallint => [-32768, 32767], int => [-2147483648, 2147483647],
    bigint => ['-9223372036854775808', '9223372036854775807']);

sub type_names { return sort keys %TYPE }
sub type_id { return $TYPE{ $_[0]{name} }[0] }

# A type as it was written: {name, arguments}. Lengths that are not given are 1 in a declaration, 30
# in CONVERT and CAST.
sub type_of {
    my ($written, $length) = @_;
    my $name = $ALIAS{ $written->{name} } // $written->{name};
    $TYPE{$name} or fail(2715, 0, $written->{name});
    my @arguments = @{ $written->{arguments} };
    my %type = (name => $name);
    if ($name =~ /\A(?:n?(?:var)?char|(?:var)?binary)\z/) {
        my $size = $arguments[0] // $length // 1;
        my $limit = $name =~ /\An/ ? 4000 : 8000;
        if ($size eq 'max') {
            fail(291, $name) if $name !~ /var/;
            $size = -1;
        } elsif ($size < 1 || $size > $limit) {
            fail(131, $size, $name, 8000);
        }
        $type{size} = $size;
    } elsif ($name =~ /\A(?:decimal|numeric)\z/) {
        my ($precision, $scale) = ($arguments[0] // 18, $arguments[1] // 0);
        fail(2750, 0, $precision, 38) if $precision > 38 || $precision < 1;
        fail(2751, 0, $scale) if $scale > $precision;
        @type{qw(precision scale)} = ($precision, $scale);
    } elsif ($name =~ /\A(?:time|datetime2|datetimeoffset)\z/) {
        my $scale = $arguments[0] // 7;
        fail(1002, $scale) if $scale > 7;
        $type{scale} = $scale;
    } elsif ($name eq 'float' && ($arguments[0] // 53) <= 24) {
        $type{name} = 'real';
    }
    return \%type;
}

sub type_text {
    my ($type) = @_;
    my $size = defined $type->{size} ? $type->{size} < 0 ? '(max)' : "($type->{size})" : '';
    $size = "($type->{precision},$type->{scale})" if defined $type->{precision};
    $size = "($type->{scale})" if $type->{name} =~ /\A(?:time|datetime2|datetimeoffset)\z/;
    return $type->{name} . $size;
}

# sys.columns: max_length, precision, scale.
sub max_length {
    my ($type) = @_;
    return $type->{size} < 0 ? -1 : $type->{name} =~ /\An/ ? 2 * $type->{size} : $type->{size}
        if defined $type->{size};
    return $TYPE{ $type->{name} }[1];
}

sub is_string { return $_[0]{name} =~ /\A(?:n?(?:var)?char|n?text|xml)\z/ }
sub is_binary { return $_[0]{name} =~ /\A(?:(?:var)?binary|image|timestamp)\z/ }
sub is_integer { return $_[0]{name} =~ /\A(?:bit|tinyint|smallint|int|bigint)\z/ }
sub is_exact { return $_[0]{name} =~ /\A(?:decimal|numeric|money)\z/ }
sub is_float { return $_[0]{name} =~ /\A(?:real|float)\z/ }
sub is_number { return is_integer($_[0]) || is_exact($_[0]) || is_float($_[0]) }
sub is_time { return $_[0]{name} =~ /\A(?:date|time|datetime|smalldatetime|datetime2|datetimeoffset)\z/ }

# Of two types the one of higher precedence (Microsoft, "Data type precedence").
my $rank = 0;
my %RANK = map { $_ => $rank++ } qw(null binary varbinary timestamp char varchar nchar nvarchar uniqueidentifier
    text ntext image bit tinyint smallint int bigint money numeric decimal real float xml time date
    smalldatetime datetime datetime2 datetimeoffset sql_variant);

sub wider {
    my ($x, $y) = @_;
    if ($x->{name} eq $y->{name}) {
        my %wide = %$x;
        for my $part (grep { defined $x->{$_} } qw(size precision scale)) {
            $wide{$part} = $y->{$part}
                if ($y->{$part} < 0 ? 1e9 : $y->{$part}) > ($x->{$part} < 0 ? 1e9 : $x->{$part});
        }
        return \%wide;
    }
    my ($low, $high) = $RANK{ $x->{name} } < $RANK{ $y->{name} } ? ($x, $y) : ($y, $x);
    # A nvarchar that meets a longer varchar is as long.
    if (is_string($low) && is_string($high)) {
        my $size = $low->{size} < 0 || $high->{size} < 0 ? -1
            : $low->{size} > $high->{size} ? $low->{size} : $high->{size};
        return { %$high, size => $size };
    }
    return $high;
}

sub utf16_units {
    my ($text) = @_;
    my $wide = () = $text =~ /[\x{10000}-\x{10ffff}]/g;
    return length($text) + $wide;
}

# --- converting

my %cache;

# What converts a value that is not NULL from one type to another; it throws errors. `how`:
#   assign   into a column: text that is too long is an error; {column, table} for its message
#   convert  by CAST or CONVERT: text is cut
#   style    of CONVERT
sub converter {
    my ($from, $to, %how) = @_;
    my $key = join "\0", type_text($from), type_text($to), map { "$_=" . ($how{$_} // '') } sort keys %how;
    return $cache{$key} //= make_converter($from, $to, \%how);
}

sub same { my ($value) = @_; return $value }

sub make_converter {
    my ($from, $to, $how) = @_;
    if ($from->{name} eq 'null') {
        return \&same;
    }
    check_allowed($from, $to, $how);
    return to_string($from, $to, $how) if is_string($to);
    return to_binary($from, $to, $how) if is_binary($to);
    return to_bit($from) if $to->{name} eq 'bit';
    return to_integer($from, $to) if is_integer($to);
    return to_exact($from, $to) if is_exact($to);
    return to_float($from, $to) if is_float($to);
    return to_uniqueidentifier($from) if $to->{name} eq 'uniqueidentifier';
    return to_time($from, $to) if is_time($to);
    return \&same if $to->{name} eq 'sql_variant';
    return fail(529, $from->{name}, $to->{name});
}

# The table of "CAST and CONVERT", "Implicit conversions", as far as the peer has types.
sub check_allowed {
    my ($from, $to, $how) = @_;
    my $explicit = !$how->{assign};
    my $never
        = (is_number($from) && $to->{name} =~ /\A(?:date|time|datetime2|datetimeoffset|uniqueidentifier|image)\z/)
        || (is_time($from) && (is_number($to) || $to->{name} eq 'uniqueidentifier'))
        || ($from->{name} eq 'uniqueidentifier' && (is_number($to) || is_time($to)))
        || (is_float($to) && is_binary($from))
        || (is_time($to) && $from->{name} eq 'date' && $to->{name} eq 'time');
    fail($explicit ? 529 : 206, $from->{name}, $to->{name}) if $never;
    my $asked
        = (is_string($from) && is_binary($to)) || (is_binary($from) && is_string($to) && $from->{name} ne 'varbinary')
        || $from->{name} eq 'sql_variant';
    fail(257, $from->{name}, $to->{name}) if $asked && !$explicit;
    return;
}

sub to_string {
    my ($from, $to, $how) = @_;
    my $wide = $to->{name} =~ /\A(?:n|xml)/;
    my $size = $to->{size} // -1;
    my $text = is_binary($from) ? binary_text($how->{style} // 0, $wide)
        : $from->{name} eq 'real' ? sub { sprintf '%.7g', $_[0] }
        : $from->{name} eq 'float' ? sub { sprintf '%.15g', $_[0] }
        : sub { "$_[0]" };
    my $blanks = $to->{name} =~ /\An?char\z/;
    return sub {
        my $value = $text->($_[0]);
        $value =~ s/[^\x00-\xff]/?/g if !$wide;
        my $units = $wide ? utf16_units($value) : length $value;
        if ($size >= 0 && $units > $size) {
            # Blanks at the end do not count.
            my $cut = cut($value, $size, $wide);
            if ($how->{assign} && substr($value, length $cut) =~ /[^ ]/) {
                die TdsPeer::Error->new(2628, $how->{table} // '', $how->{column} // '', $cut);
            }
            fail(8115, $from->{name}, $to->{name}) if is_number($from);
            $value = $cut;
        }
        $value .= ' ' x ($size - $units) if $blanks && $units < $size;
        return $value;
    };
}

# The first units of a text; half of a pair is not kept.
sub cut {
    my ($value, $size, $wide) = @_;
    my $cut = substr $value, 0, $size;
    while ($wide && utf16_units($cut) > $size) {
        chop $cut;
    }
    return $cut;
}

sub binary_text {
    my ($style, $wide) = @_;
    return sub { '0x' . uc unpack 'H*', $_[0] } if $style == 1;
    return sub { uc unpack 'H*', $_[0] } if $style == 2;
    return $wide ? sub { Encode::decode('UTF-16LE', $_[0]) } : sub { Encode::decode('latin1', $_[0]) };
}

sub to_binary {
    my ($from, $to, $how) = @_;
    my $style = $how->{style} // 0;
    my $size = $to->{size} // -1;
    my $bytes = is_binary($from) ? \&same
        : is_string($from) && $style
        ? sub {
            my ($text) = @_;
            $text =~ s/\A0x// or fail(8114, $from->{name}, $to->{name}) if $style == 1;
            fail(8114, $from->{name}, $to->{name}) if $text !~ /\A(?:[0-9A-Fa-f]{2})*\z/;
            return pack 'H*', $text;
        }
        : is_string($from) ? sub { Encode::encode($from->{name} =~ /\An/ ? 'UTF-16LE' : 'latin1', $_[0]) }
        : is_integer($from) ? sub { substr pack('q>', $_[0]), -$TYPE{ $from->{name} }[1] }
        : fail(529, $from->{name}, $to->{name});
    return sub {
        my $value = $bytes->($_[0]);
        if ($size >= 0 && length $value > $size) {
            if ($how->{assign} && substr($value, $size) =~ /[^\0]/) {
                die TdsPeer::Error->new(2628, $how->{table} // '', $how->{column} // '', '');
            }
            $value = substr $value, 0, $size;
        }
        $value .= "\0" x ($size - length $value) if $to->{name} eq 'binary' && length $value < $size;
        return $value;
    };
}

sub to_bit {
    my ($from) = @_;
    if (is_string($from)) {
        return sub {
            my ($text) = @_;
            return 1 if $text =~ /\A\s*true\s*\z/i;
            return 0 if $text =~ /\A\s*(?:false)?\s*\z/i;
            fail(245, $from->{name}, $text, 'bit') if $text !~ /\A\s*[-+]?\d+\s*\z/;
            return $text =~ /[1-9]/ ? 1 : 0;
        };
    }
    return sub { $_[0] != 0 ? 1 : 0 };
}

sub to_integer {
    my ($from, $to) = @_;
    my ($low, $high) = @{ $RANGE{ $to->{name} } };
    my $surely = { tinyint => 2, smallint => 4, int => 9, bigint => 15 }->{ $to->{name} };    # digits
    my $check = sub {
        my ($number, $given) = @_;
        if ($to->{name} eq 'bigint') {
            my $big = Math::BigInt->new($number);
            fail(8115, 'expression', 'bigint') if $big->bcmp($low) < 0 || $big->bcmp($high) > 0;
            return $big->numify;
        }
        if ($number < $low || $number > $high) {
            fail($to->{name} eq 'int' ? 248 : 244, $from->{name}, $given, $to->{name} eq 'smallint' ? 'INT2' : 'INT1')
                if is_string($from);
            fail($to->{name} eq 'int' ? 8115 : 220, $to->{name} eq 'int' ? 'expression' : $to->{name},
                $to->{name} eq 'int' ? 'int' : $given);
        }
        return 0 + $number;
    };
    if (is_string($from)) {
        return sub {
            my ($text) = @_;
            return 0 if $text =~ /\A\s*\z/;
            my ($number) = $text =~ /\A\s*([-+]?\d+)\s*\z/;
            if (!defined $number) {
                fail($to->{name} eq 'bigint' ? (8114, $from->{name}, 'bigint')
                    : (245, $from->{name}, $text, $to->{name}));
            }
            return 0 + $number if length $number <= $surely;
            return $check->($number =~ s/\A\+//r, $text);
        };
    }
    return sub {
        my ($number) = @_;
        # What comes after the point is cut off.
        my ($whole) = $number =~ /\A([-+]?\d+)(?:\.\d*)?\z/;
        return $check->($whole // int $number, $number);
    };
}

# Digits before and after the point, rounded to a scale; as text.
sub round_decimal {
    my ($text, $scale) = @_;
    my ($sign, $whole, $fraction) = $text =~ /\A([-+]?)(\d*)(?:\.(\d*))?\z/ or return;
    $fraction //= '';
    return if "$whole$fraction" eq '';
    my $up = length $fraction > $scale && substr($fraction, $scale, 1) >= 5;
    my $digits = ($whole eq '' ? '0' : $whole) . substr $fraction . '0' x $scale, 0, $scale;
    $digits = Math::BigInt->new($digits)->binc->bstr if $up;
    $digits =~ s/\A0+(?=\d)//;
    $digits = '0' x ($scale + 1 - length $digits) . $digits if length $digits <= $scale;
    $digits =~ s/(\d{$scale})\z/.$1/ if $scale > 0;
    $sign = '' if $sign eq '+' || $digits !~ /[1-9]/;
    return $sign . $digits;
}

sub plain_digits {
    my ($number) = @_;
    return $number =~ /e/i ? sprintf '%.20f', $number : "$number";
}

sub to_exact {
    my ($from, $to) = @_;
    my ($precision, $scale) = $to->{name} eq 'money' ? (19, 4) : @$to{qw(precision scale)};
    return sub {
        my ($text) = @_;
        $text =~ s/\A\s+|\s+\z//g;
        $text = plain_digits($text) if is_float($from);
        $text =~ s/[\$,]//g if $to->{name} eq 'money';
        my $value = round_decimal($text, $scale);
        if (!defined $value) {
            fail(8114, $from->{name}, $to->{name}) if $to->{name} ne 'money';
            fail(235);
        }
        my $digits = $value =~ tr/0-9//cdr;
        $digits =~ s/\A0+//;
        fail(8115, $from->{name}, 'numeric') if length $digits > $precision;
        return $value;
    };
}

sub to_float {
    my ($from, $to) = @_;
    my $single = $to->{name} eq 'real';
    return sub {
        my ($text) = @_;
        if (is_string($from)) {
            return 0 if $text =~ /\A\s*\z/;
            fail(8114, $from->{name}, $to->{name})
                if $text !~ /\A\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*\z/i;
        }
        my ($number) = is_string($from) ? POSIX::strtod($text) : 0 + $text;
        fail(232, $to->{name}, $text) if $number * 0 != 0;
        return $number if !$single;
        my $narrow = unpack 'f', pack 'f', $number;
        fail(232, 'real', $text) if $narrow * 0 != 0;
        return $narrow;
    };
}

sub to_uniqueidentifier {
    my ($from) = @_;
    return \&same if $from->{name} eq 'uniqueidentifier';
    return sub {
        # What comes after the first 36 characters is cut off silently.
        my $text = uc substr $_[0] =~ s/\A\{(.*)\}\z/$1/r, 0, 36;
        fail(8169) if $text !~ /\A[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}\z/;
        return $text;
    };
}

# --- dates and times

my @DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);

sub days_of {
    my ($year, $month) = @_;
    return $month == 2 && ($year % 4 == 0 && $year % 100 != 0 || $year % 400 == 0) ? 29 : $DAYS[$month];
}

# ISO 8601 text: {date, seconds of the day with their fraction as text, offset in minutes}.
sub read_time {
    my ($text) = @_;
    $text =~ s/\A\s+|\s+\z//g;
    my ($year, $month, $day, $time) = $text =~ /\A(?:(\d{4})-(\d\d)-(\d\d))?(?:(?:\A|[T ]+)(\d.*))?\z/
        or return;
    return if !defined $year && !defined $time;
    if (defined $year) {
        return if $year < 1 || $month < 1 || $month > 12 || $day < 1 || $day > days_of($year, $month);
    } else {
        ($year, $month, $day) = (1900, 1, 1);
    }
    my ($hour, $minute, $second, $fraction, $offset) = (0, 0, 0, '', 0);
    if (defined $time) {
        my ($h, $m, $s, $f, $sign, $oh, $om)
            = $time =~ /\A(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?(?:\s*([-+])(\d\d):(\d\d)|\s*Z)?\z/ or return;
        ($hour, $minute, $second, $fraction) = ($h, $m, $s // 0, $f // '');
        return if $hour > 23 || $minute > 59 || $second > 59;
        if (defined $sign) {
            return if $oh * 60 + $om > 840;
            $offset = ($oh * 60 + $om) * ($sign eq '-' ? -1 : 1);
        }
    }
    return { year => $year, month => $month, day => $day, hour => $hour, minute => $minute,
        second => $second, fraction => $fraction, offset => $offset };
}

# Seconds to `scale` digits, rounded; the rest is carried.
sub round_time {
    my ($t, $scale) = @_;
    my $digits = substr $t->{fraction} . '0' x 8, 0, 8;
    my $kept = substr $digits, 0, $scale;
    if (substr($digits, $scale, 1) >= 5) {
        $kept = $scale ? sprintf '%0*d', $scale, $kept + 1 : '';
        my $carry = $scale ? length $kept > $scale : 1;
        if ($carry) {
            $kept = '0' x $scale;
            carry($t);
        }
    }
    $t->{fraction} = $kept;
    return;
}

sub carry {
    my ($t) = @_;
    for my $part (['second', 60], ['minute', 60], ['hour', 24]) {
        my ($name, $limit) = @$part;
        $t->{$name}++;
        return if $t->{$name} < $limit;
        $t->{$name} = 0;
    }
    $t->{day}++;
    return if $t->{day} <= days_of(@$t{qw(year month)});
    $t->{day} = 1;
    return if ++$t->{month} <= 12;
    $t->{month} = 1;
    fail(8115, 'expression', 'datetime2') if ++$t->{year} > 9999;
    return;
}

sub to_time {
    my ($from, $to) = @_;
    my $name = $to->{name};
    my $scale = $to->{scale} // ($name eq 'datetime' ? 3 : 0);
    return sub {
        my $t = read_time($_[0]) or fail($name eq 'smalldatetime' ? 295 : 241);
        if ($name eq 'datetime' && $t->{year} < 1753 || $name eq 'smalldatetime' && $t->{year} < 1900) {
            fail(242, $from->{name}, $name);
        }
        my $date = sub { sprintf '%04d-%02d-%02d', @$t{qw(year month day)} };
        return $date->() if $name eq 'date';
        if ($name eq 'time') {
            my %day = %$t;
            round_time($t, $scale);
            # The last moment of a day is not the first of the next.
            ($t->{hour}, $t->{minute}, $t->{second}) = (23, 59, 59), $t->{fraction} = '9' x $scale
                if $t->{day} != $day{day};
        } else {
            round_time($t, $scale);
        }
        my $time = sprintf('%02d:%02d:%02d', @$t{qw(hour minute second)})
            . ($scale ? ".$t->{fraction}" : '');
        return $time if $name eq 'time';
        return $date->() . " $time" if $name ne 'datetimeoffset';
        my $minutes = abs $t->{offset};
        return $date->() . " $time " . sprintf '%s%02d:%02d', $t->{offset} < 0 ? '-' : '+', int($minutes / 60),
            $minutes % 60;
    };
}

1;

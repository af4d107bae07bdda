package TdsPeer::Convert;

# From one type to another, value by value (Microsoft, "CAST and CONVERT", "Data type conversion").
# Values are as they are stored: integers as integers, decimals and dates as texts of one form,
# floats as numbers, strings as characters, binaries as bytes.
#
# converter($from, $to, mode => explicit | assign | implicit, style => n, where => [table, column])
# gives the function that converts, or nothing when the value stays as it is. `assign` is what a
# column or variable gets: a string too long for a column is an error (2628), in CAST it is cut.

use strict;
use warnings;
use Encode ();
use DBI ();
use Math::BigFloat;
use Math::BigInt;
use TdsPeer::Convert::Time;
use TdsPeer::Error qw(fail);
use TdsPeer::Type;

# SET ANSI_WARNINGS of the session: when it is OFF, strings are cut without a word.
our $ansi_warnings = 1;

my %RANGE = (bit => [0, 1], tinyint => [0, 255], smallint => [-32768, 32767],
    int => [-2147483648, 2147483647], bigint => ['-9223372036854775808', '9223372036854775807']);

# UTF-16 code units of a string.
sub units { return length($_[0]) + ($_[0] =~ tr/\x{10000}-\x{10FFFF}//) }

# The first n UTF-16 code units; a pair is not split.
sub cut_units {
    my ($value, $n) = @_;
    return $value if length($value) * 2 <= $n || units($value) <= $n;
    my $short = substr $value, 0, $n;
    chop $short while units($short) > $n;
    return $short;
}

# What a char type of code page 1252 makes of other characters; UTF-8 collations keep them.
my $code_page = Encode::find_encoding('cp1252');

sub to_code_page {
    my ($value) = @_;
    return $value if $value !~ /[^\x00-\x7F]/;
    my $bytes = $code_page->encode($value, sub { '?' });
    return $code_page->decode($bytes);
}

sub converter {
    my ($from, $to, %option) = @_;
    my ($f, $t) = ($from->{family}, $to->{family});
    return if $from == $to && !($t eq 'string' && ($option{from_utf8} || $option{code_page}));
    return if $f eq 'null';
    if ($t eq 'variant') {
        return;
    } elsif ($f eq 'variant') {
        return variant_converter($to, %option);
    }
    my $implicit = ($option{mode} // 'explicit') ne 'explicit';
    my $make = {
        string => \&to_string, binary => \&to_binary, integer => \&to_integer,
        decimal => \&to_decimal, float => \&to_float, guid => \&to_guid, xml => \&to_xml,
        time => \&TdsPeer::Convert::Time::to_time,
    }->{$t} // die "no conversion to $t";
    check_allowed($from, $to, $implicit);
    return $make->($from, $to, %option);
}

# The chart of the page "CAST and CONVERT".
sub check_allowed {
    my ($from, $to, $implicit) = @_;
    my ($f, $t) = ($from->{family}, $to->{family});
    my ($fn, $tn) = ($from->{name}, $to->{name});
    my $not = sub { fail(@_, $from->shown, $to->shown) };
    my $pair = "$f>$t";
    if ($pair =~ /\A(?:binary>(?:float)|float>(?:guid|time)|integer>guid|decimal>guid|time>guid|guid>(?:integer|decimal|float|time)|xml>(?:integer|decimal|float|guid|time))\z/) {
        $not->($implicit ? 206 : 529);
    }
    if ($pair =~ /\A(?:integer|decimal)>time\z/ || $pair =~ /\Atime>(?:integer|decimal|float)\z/) {
        my $other = $f eq 'time' ? $fn : $tn;
        $not->($implicit ? 206 : 529) if $other !~ /\A(?:small)?datetime\z/;
        $not->(257) if $implicit && $f eq 'time';
    }
    if ($implicit) {
        $not->(257) if $pair =~ /\Astring>binary\z/ && $fn !~ /text/ || $pair =~ /\Atime>binary\z/
            || $pair eq 'float>binary' || $pair eq 'xml>string' || $pair eq 'xml>binary'
            || $pair eq 'binary>time' && $tn !~ /\A(?:small)?datetime\z/;
        $not->(206) if $tn =~ /\A(?:n?text|image)\z/ && $f !~ /\A(?:string|binary)\z/;
    }
    $not->(206) if $fn =~ /\An?text\z/ && $t !~ /\A(?:string|xml)\z/;
    $not->(206) if $tn =~ /\An?text\z/ && $f eq 'binary' || $tn eq 'image' && $f eq 'string' && $implicit;
    return;
}

sub variant_converter {
    my ($to, %option) = @_;
    my ($integer, $string) = map { scalar converter($_, $to, %option, mode => 'explicit') // sub { $_[0] } }
        TdsPeer::Type::type_of('int'), TdsPeer::Type::type_of('nvarchar', 4000);
    return sub { return $_[0] =~ /\A-?\d+\z/ && $_[0] !~ /\A0\d/ ? $integer->($_[0]) : $string->($_[0]) };
}

# --- strings

sub to_string {
    my ($from, $to, %option) = @_;
    my $render = renderer($from, $to, %option);
    my $limit = $to->{length} // -1;
    my $unicode = $to->is_unicode;
    my $code_page = !$unicode && !$option{utf8} ? 1 : 0;
    my $utf8 = !$unicode && $option{utf8};
    my $assign = ($option{mode} // '') eq 'assign' ? $option{where} : undef;
    my $fixed = $to->{name} =~ /\An?char\z/ && $limit > 0;
    my $numeric = $from->{family} =~ /\A(?:integer|decimal|float|guid)\z/;
    # Nothing to do: a string of the same code page that fits.
    if ($from->is_string && !$fixed && !($code_page && ($from->is_unicode || $option{from_utf8}))) {
        my $room = $limit < 0 ? 1 : ($from->{length} // -1) > 0 && $from->{length} <= $limit
            && !($utf8 && $from->is_unicode);
        return if $room;
    }
    my $size = $unicode ? \&units : $utf8 ? sub { length Encode::encode_utf8($_[0]) } : sub { length $_[0] };
    my $cut = $unicode ? \&cut_units : $utf8 ? \&cut_bytes : sub { substr $_[0], 0, $_[1] };
    my $no_space = $option{mode} && $option{mode} eq 'assign' || $from->{family} ne 'integer';
    return sub {
        my ($value) = @_;
        $value = $render->($value) if $render;
        $value = to_code_page($value) if $code_page;
        if ($limit >= 0 && length($value) * ($unicode ? 2 : $utf8 ? 4 : 1) > $limit && $size->($value) > $limit) {
            if ($numeric) {
                fail(8170) if $from->{family} eq 'guid';
                # An integer that does not fit in char types is an asterisk (CAST and CONVERT).
                return '*' if $from->{family} eq 'integer' && !$unicode && $from->{name} ne 'bigint';
                fail(8115, $from->shown, $to->{name} =~ s/(?:var)?char/varchar/r);
            }
            my $short = $cut->($value, $limit);
            if ($assign && $ansi_warnings && substr($value, length $short) =~ /[^ ]/) {
                fail(2628, @$assign, $cut->($short, 100));
            }
            $value = $short;
        }
        if ($fixed && (my $missing = $limit - $size->($value)) > 0) {
            $value .= ' ' x $missing;
        }
        return $value;
    };
}

sub cut_bytes {
    my ($value, $n) = @_;
    my $short = substr $value, 0, $n;
    chop $short while length Encode::encode_utf8($short) > $n;
    return $short;
}

# How a value becomes text, or nothing for a string.
sub renderer {
    my ($from, $to, %option) = @_;
    my $family = $from->{family};
    my $style = $option{style} // 0;
    return if $family eq 'string' || $family eq 'xml';
    return sub { "$_[0]" } if $family eq 'integer' || $family eq 'guid';
    if ($from->{name} =~ /money/) {
        return $style == 2 || $style == 126 ? sub { $_[0] } : sub { round_decimal($_[0], 2) };
    }
    return sub { $_[0] } if $family eq 'decimal';
    return sub { float_text($_[0], $style) } if $family eq 'float';
    if ($family eq 'binary') {
        return sub { '0x' . uc unpack 'H*', $_[0] } if $style == 1;
        return sub { uc unpack 'H*', $_[0] } if $style == 2;
        return $to->is_unicode ? sub { Encode::decode('UTF-16LE', $_[0] . (length($_[0]) % 2 ? "\0" : '')) }
            : sub { $code_page->decode($_[0]) };
    }
    return TdsPeer::Convert::Time::renderer($from, %option);
}

# Style 0 has at most six digits, 1 has eight, 2 has sixteen, 3 has seventeen.
sub float_text {
    my ($value, $style) = @_;
    if ($style == 3) {
        return float_text($value, 2) =~ s/\A.*\z/sprintf '%.16e', $value/er =~ s/e([+-])(\d\d)\z/e${1}0$2/r;
    } elsif ($style == 1 || $style == 2) {
        my $text = sprintf $style == 1 ? '%.7e' : '%.15e', $value;
        return $text =~ s/e([+-])(\d\d)\z/e${1}0$2/r;
    }
    my $text = sprintf '%.6g', $value;
    return $text =~ s/e([+-])(\d\d)\z/e${1}0$2/r;
}

# --- binaries

sub to_binary {
    my ($from, $to, %option) = @_;
    my $style = $option{style} // 0;
    my $family = $from->{family};
    my $limit = $to->{name} eq 'rowversion' ? 8 : $to->{length} // -1;
    my $assign = ($option{mode} // '') eq 'assign' ? $option{where} : undef;
    my $make = $family eq 'string' ? string_bytes($from, $to, $style)
        : $family eq 'integer' ? integer_bytes($from)
        : $family eq 'guid' ? \&guid_bytes
        : $family eq 'xml' ? sub { "\xFF\xFE" . Encode::encode('UTF-16LE', $_[0]) } : undef;
    if (!$make && $family ne 'binary') {
        fail(529, $from->shown, $to->shown);
    }
    my $right = $family eq 'integer';
    my $fixed = $to->{name} eq 'binary' || $to->{name} eq 'rowversion';
    return if !$make && !$fixed && ($limit < 0 || ($from->{length} // -1) > 0 && $from->{length} <= $limit);
    return sub {
        my ($value) = @_;
        $value = $make->($value) if $make;
        my $size = length $value;
        if ($limit >= 0 && $size > $limit) {
            if ($assign && $ansi_warnings && substr($value, $limit) =~ /[^\0]/) {
                fail(2628, @$assign, '0x' . uc unpack 'H*', substr $value, 0, 50);
            }
            # Numbers are cut and filled on the left, strings on the right.
            $value = $right ? substr $value, -$limit : substr $value, 0, $limit;
        } elsif ($fixed && $size < $limit) {
            $value = $right ? "\0" x ($limit - $size) . $value : $value . "\0" x ($limit - $size);
        }
        return [$value, DBI::SQL_BLOB()];
    };
}

sub string_bytes {
    my ($from, $to, $style) = @_;
    if ($style == 1 || $style == 2) {
        # "If the style is 1 … characters 0x … must be the first two; every character is a
        # hexadecimal digit, and their number is even" (CAST and CONVERT, binary styles).
        my $pattern = $style == 1 ? qr/\A0[xX]((?:[0-9a-fA-F]{2})*)\z/ : qr/\A((?:[0-9a-fA-F]{2})*)\z/;
        return sub {
            my ($digits) = $_[0] =~ $pattern or fail(8114, $from->{name}, $to->{name});
            return pack 'H*', $digits;
        };
    }
    return sub { Encode::encode('UTF-16LE', $_[0]) } if $from->is_unicode;
    return sub { $code_page->encode($_[0], sub { '?' }) };
}

sub integer_bytes {
    my ($from) = @_;
    my $pack = { bit => 'C', tinyint => 'C', smallint => 's>', int => 'l>', bigint => 'q>' }->{ $from->{name} };
    return sub { pack $pack, $_[0] };
}

# The first three groups are little endian.
sub guid_bytes {
    my @part = split /-/, $_[0];
    return pack 'VvvH4H12', (map { hex } @part[0 .. 2]), @part[3, 4];
}

sub guid_text {
    my ($a, $b, $c, $d, $e) = unpack 'VvvH4H12', $_[0];
    return uc sprintf '%08x-%04x-%04x-%s-%s', $a, $b, $c, $d, $e;
}

# --- numbers

sub to_integer {
    my ($from, $to, %option) = @_;
    my $name = $to->{name};
    my ($low, $high) = @{ $RANGE{$name} };
    my $family = $from->{family};
    my $small = $name ne 'bigint';
    if ($name eq 'bit') {
        return to_bit($from);
    }
    if ($family eq 'integer') {
        my ($own_low, $own_high) = @{ $RANGE{ $from->{name} } };
        return if $name eq 'bigint' || $own_low >= $low && $own_high <= $high;
        return sub {
            return $_[0] if $_[0] >= $low && $_[0] <= $high;
            fail($name eq 'int' ? (8115, 'expression', $name) : (220, $name, $_[0]));
        };
    } elsif ($family eq 'string') {
        return sub {
            my ($value) = @_;
            my ($digits) = $value =~ /\A\s*([-+]?\s*\d*)\s*\z/;
            $digits =~ s/\s+//g if defined $digits;
            return 0 if defined $digits && $digits eq '';
            if (!defined $digits || $digits !~ /\d/) {
                return 0 if defined $digits;
                # bigint has another error number than the smaller types.
                fail($small ? (245, $from->{name}, $value, $name) : (8114, $from->{name}, $name));
            }
            my ($sign, $bare) = $digits =~ /\A([-+]?)0*(\d*)\z/;
            $bare = 0 if $bare eq '';
            my $number = ($sign eq '-' && $bare ne '0' ? '-' : '') . $bare;
            if (length $bare > 19 || length $bare == 19 && !fits_bigint($number)
                || $small && ($number < $low || $number > $high)) {
                if ($name eq 'bigint') {
                    fail(8115, 'expression', 'bigint') if length $bare <= 38;
                    fail(8114, $from->{name}, $name);
                }
                fail($name eq 'int' ? (248, $from->{name}, $value)
                    : (244, $from->{name}, $value, $name eq 'tinyint' ? 'INT1' : 'INT2'));
            }
            return 0 + $number;
        };
    } elsif ($family eq 'decimal') {
        my $shown = $from->{name} =~ /money/ ? 'expression' : 'numeric';
        return sub {
            my $number = $_[0] =~ s/\..*//sr;
            $number = 0 if $number eq '-0' || $number eq '' || $number eq '-';
            # money rounds, decimals are cut
            $number = round_decimal($_[0], 0) if $from->{name} =~ /money/;
            fail(8115, $shown, $name) if length($number) > 20 || !fits_bigint($number)
                || $number < $low || $number > $high;
            return 0 + $number;
        };
    } elsif ($family eq 'float') {
        return sub {
            my $number = int $_[0];
            fail($name =~ /\A(?:tiny|small)int\z/ ? (232, $name, sprintf '%f', $_[0])
                : (8115, 'expression', $name)) if $number < $low || $number > $high
                || $name eq 'bigint' && $number >= 9223372036854775807;
            return 0 + sprintf '%.0f', $number;
        };
    } elsif ($family eq 'binary') {
        my ($size, $unpack) = @{ { tinyint => [1, 'C'], smallint => [2, 's>'], int => [4, 'l>'],
            bigint => [8, 'q>'] }->{$name} };
        return sub { unpack $unpack, substr "\0" x $size . $_[0], -$size };
    } elsif ($family eq 'time') {
        return sub { TdsPeer::Convert::Time::days_since_1900($_[0]) };
    }
    fail(206, $from->shown, $to->shown);
}

sub fits_bigint {
    my ($text) = @_;
    my ($sign, $digits) = $text =~ /\A(-?)0*(\d*)\z/;
    return 1 if length $digits < 19;
    return 0 if length $digits > 19;
    return $digits le ($sign ? '9223372036854775808' : '9223372036854775807');
}

sub to_bit {
    my ($from) = @_;
    my $family = $from->{family};
    return sub { $_[0] == 0 ? 0 : 1 } if $family eq 'integer' || $family eq 'float';
    return sub { $_[0] =~ /[1-9]/ ? 1 : 0 } if $family eq 'decimal';
    return sub { $_[0] =~ /[^\0]/ ? 1 : 0 } if $family eq 'binary';
    fail(206, $from->shown, 'bit') if $family ne 'string';
    return sub {
        my ($value) = @_;
        my $bare = $value =~ s/\A\s+|\s+\z//gr;
        return 1 if lc $bare eq 'true';
        return 0 if lc $bare eq 'false' || $bare eq '';
        fail(245, $from->{name}, $value, 'bit') if $bare !~ /\A[-+]?\d+\z/;
        return $bare =~ /[1-9]/ ? 1 : 0;
    };
}

# Decimal text to this scale, half away from zero.
sub round_decimal {
    my ($text, $scale) = @_;
    my ($sign, $whole, $part) = $text =~ /\A(-?)(\d*)(?:\.(\d*))?\z/;
    $part //= '';
    $whole = '0' if $whole eq '';
    if (length $part > $scale) {
        my $up = substr($part, $scale, 1) >= 5;
        $part = substr $part, 0, $scale;
        if ($up) {
            my $all = Math::BigInt->new("$whole$part" eq '' ? 0 : "$whole$part")->badd(1)->bstr;
            $all = '0' x ($scale + 1 - length $all) . $all if length $all <= $scale;
            $whole = $scale ? substr $all, 0, -$scale : $all;
            $part = $scale ? substr $all, -$scale : '';
        }
    }
    $part .= '0' x ($scale - length $part);
    $whole =~ s/\A0+(?=\d)//;
    $sign = '' if "$whole$part" !~ /[1-9]/;
    return $sign . $whole . ($scale ? ".$part" : '');
}

sub to_decimal {
    my ($from, $to, %option) = @_;
    my ($name, $family) = ($to->{name}, $from->{family});
    my ($precision, $scale) = @$to{qw(precision scale)};
    my $money = $name =~ /money/;
    my $shown = $name =~ /\A(?:decimal|numeric)\z/ ? 'numeric' : $name;
    # What the error calls the source.
    my $source = $family eq 'decimal' && !($from->{name} =~ /money/) ? 'numeric'
        : $family eq 'integer' && $from->{name} eq 'bigint' ? 'expression' : $from->{name};
    my $fit = sub {
        my ($text) = @_;
        my $rounded = round_decimal($text, $scale);
        my ($digits) = $rounded =~ /\A-?(\d+)/;
        fail(8115, $source, $shown) if $digits ne '0' && length $digits > $precision - $scale;
        if ($money) {
            my $raw = $rounded =~ s/\.//r;
            fail(8115, $source, $shown) if $name eq 'money' ? !fits_bigint($raw)
                : $raw < -2147483648 || $raw > 2147483647;
        }
        return $rounded;
    };
    if ($family eq 'string') {
        return sub {
            my $value = $_[0] =~ s/\A\s+|\s+\z//gr;
            if ($money) {
                $value =~ s/\A([-+]?)\s*[\$\x{A3}\x{20AC}\x{A5}]/$1/;
                $value =~ tr/,//d;
                return $fit->('0') if $value eq '';
            }
            # No exponent in decimal text.
            my ($sign, $number) = $value =~ /\A([-+]?)\s*(\d+\.?\d*|\.\d+)\z/
                or fail($money ? (235) : (8114, $from->{name}, $shown));
            return $fit->(($sign eq '-' ? '-' : '') . $number);
        };
    } elsif ($family eq 'integer' || $family eq 'decimal') {
        return sub { $fit->($_[0]) };
    } elsif ($family eq 'float') {
        return sub {
            my $text = sprintf '%.40f', $_[0];
            # A float has 17 digits that mean something; what is printed beyond them is noise.
            if ($_[0] != 0) {
                my $digits = sprintf '%.16e', $_[0];
                $text = Math::BigFloat->new($digits)->bstr;
            }
            return $fit->($text);
        };
    } elsif ($family eq 'binary') {
        fail($option{mode} && $option{mode} eq 'explicit' ? 529 : 257, $from->shown, $to->shown);
    }
    fail(206, $from->shown, $to->shown);
}

sub to_float {
    my ($from, $to, %option) = @_;
    my ($name, $family) = ($to->{name}, $from->{family});
    my $real = $name eq 'real';
    my $fit = sub {
        my ($number) = @_;
        if ($real) {
            my $single = unpack 'f', pack 'f', $number;
            fail(232, 'real', sprintf '%f', $number) if abs $single == 9**9**9 && abs $number < 9**9**9;
            return $single == 0 ? 0.0 : $single;
        }
        return $number;
    };
    if ($family eq 'float') {
        return $real ? sub { [$fit->($_[0]), DBI::SQL_DOUBLE()] } : undef;
    } elsif ($family eq 'integer' || $family eq 'decimal') {
        return sub { [$fit->(0 + $_[0]), DBI::SQL_DOUBLE()] };
    } elsif ($family eq 'string') {
        return sub {
            my $value = $_[0] =~ s/\A\s+|\s+\z//gr;
            return [0, DBI::SQL_DOUBLE()] if $value eq '';
            fail(8114, $from->{name}, $name)
                if $value !~ /\A[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d*)?\z/;
            my $number = 0 + ($value =~ tr/dD/ee/r =~ s/[eE][-+]?\z//r);
            # Too large for a double.
            fail(8115, 'expression', 'float') if abs $number == 9**9**9;
            # Below the smallest normal double SQL Server stores zero.
            $number = 0 if $number != 0 && abs $number < 2.2250738585072014e-308;
            return [$fit->($number), DBI::SQL_DOUBLE()];
        };
    }
    fail(206, $from->shown, $to->shown);
}

# --- uniqueidentifier, xml

sub to_guid {
    my ($from, $to) = @_;
    my $family = $from->{family};
    if ($family eq 'string') {
        return sub {
            # Of a longer text the first 36 characters count ("uniqueidentifier").
            my $text = $_[0] =~ s/\A\{(.{36})\}.*\z/$1/sr;
            $text = substr $text, 0, 36;
            fail(8169) if $text !~ /\A[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z/;
            return uc $text;
        };
    } elsif ($family eq 'binary') {
        return sub { guid_text(substr $_[0] . "\0" x 16, 0, 16) };
    }
    fail(206, $from->shown, $to->shown);
}

sub to_xml {
    my ($from, $to) = @_;
    fail(206, $from->shown, 'xml') if $from->{family} ne 'string';
    return;
}

1;

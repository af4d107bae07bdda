package TdsPeer::Convert::Time;

# Dates and times (Microsoft, "Date and time data types", "CAST and CONVERT", date styles).

use strict;
use warnings;
use TdsPeer::Error qw(fail);

my @DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);
my %MONTH;
@MONTH{qw(jan feb mar apr may jun jul aug sep oct nov dec)} = 1 .. 12;

sub leap { my ($y) = @_; return $y % 4 == 0 && ($y % 100 != 0 || $y % 400 == 0) }

sub valid_date {
    my ($y, $m, $d) = @_;
    return $y >= 1 && $y <= 9999 && $m >= 1 && $m <= 12 && $d >= 1
        && $d <= $DAYS[$m - 1] + ($m == 2 && leap($y) ? 1 : 0);
}

# Days since 0001-01-01, which is day 0.
sub day_number {
    my ($y, $m, $d) = @_;
    my $before = $y - 1;
    my $days = $before * 365 + int($before / 4) - int($before / 100) + int($before / 400) + $d - 1;
    $days += $DAYS[$_ - 1] + ($_ == 2 && leap($y) ? 1 : 0) for 1 .. $m - 1;
    return $days;
}

sub date_of {
    my ($days) = @_;
    my $y = int($days / 365.2425) + 1;
    $y-- while $y > 1 && day_number($y, 1, 1) > $days;
    $y++ while day_number($y + 1, 1, 1) <= $days;
    my $left = $days - day_number($y, 1, 1);
    my $m = 1;
    while ((my $length = $DAYS[$m - 1] + ($m == 2 && leap($y) ? 1 : 0)) <= $left) {
        $left -= $length;
        $m++;
    }
    return ($y, $m, $left + 1);
}

use constant DAY_1900 => 693_595;

sub days_since_1900 {
    my ($text) = @_;
    my ($day, $ticks) = @{ parse_stored($text) };
    return $day - DAY_1900 + ($ticks >= 432_000_000_000 ? 1 : 0);
}

# A moment is [day number, 100 ns ticks of the day, offset in minutes], local.
sub parse_stored {
    my ($text) = @_;
    my ($y, $mo, $d, $h, $mi, $s, $f, $sign, $oh, $om) =
        $text =~ /\A(?:(\d{4})-(\d\d)-(\d\d))? ?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(?: ([-+])(\d\d):(\d\d))?\z/
        or die "not a stored time: $text";
    my $day = defined $y ? day_number($y, $mo, $d) : DAY_1900;
    my $ticks = defined $h ? ticks($h, $mi, $s, $f) : 0;
    my $offset = defined $sign ? ($sign eq '-' ? -1 : 1) * ($oh * 60 + $om) : 0;
    return [$day, $ticks, $offset];
}

sub ticks {
    my ($h, $m, $s, $f) = @_;
    return (($h * 60 + $m) * 60 + $s) * 10_000_000 + substr(($f // '') . '0000000', 0, 7);
}

# The moment of a character string: ISO forms and those of CONVERT's styles 120, 121, 126, 127;
# others are refused, the server's language would have a say in them.
sub parse_string {
    my ($text, $from, $to) = @_;
    my $name = $to->{name};
    my $bad = sub { fail($name eq 'smalldatetime' ? 295 : 241) };
    my $value = $text =~ s/\A\s+|\s+\z//gr;
    return [DAY_1900, 0, 0] if $value eq '';
    my ($day, $rest) = (DAY_1900, $value);
    my ($y, $m, $d);
    if ($value =~ /\A(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]\s*(?=\S)|\z|(?=Z\z))(.*)\z/s) {
        ($y, $m, $d, $rest) = ($1, $2, $3, $4);
    } elsif ($value =~ /\A(\d{4})(\d\d)(\d\d)(?:\s+(?=\S)|\z)(.*)\z/s) {
        ($y, $m, $d, $rest) = ($1, $2, $3, $4);
    } elsif ($value !~ /\A\d\d?:/) {
        $bad->();
    }
    if (defined $y) {
        if (!valid_date($y, $m, $d)) {
            fail(242, $from->{name}, $name) if $name eq 'datetime' && $y >= 1 && $m >= 1;
            $bad->();
        }
        $day = day_number($y, $m, $d);
    }
    my ($ticks, $offset, $carry) = (0, 0, 0);
    if ($rest ne '') {
        my ($h, $mi, $s, $f, $half, $zone) =
            $rest =~ /\A(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.:](\d+))?)?\s*([AaPp][Mm])?\s*(Z|[-+]\d\d:\d\d)?\z/ or $bad->();
        $bad->() if $h > 23 || $mi > 59 || ($s // 0) > 59;
        if (defined $half) {
            $bad->() if $h > 12 || $h < 1;
            $h = $h % 12 + (lc $half eq 'pm' ? 12 : 0);
        }
        # More digits than the type has: datetime takes three, the newer types up to nine.
        $f //= '';
        $bad->() if length $f > ($name =~ /\A(?:small)?datetime\z/ ? 3 : 9);
        my $fraction = substr $f . '000000000', 0, 9;
        $ticks = ticks($h, $mi, $s // 0, '') + int(($fraction + 50) / 100);
        if (defined $zone && $zone ne 'Z') {
            my ($sign, $oh, $om) = $zone =~ /\A([-+])(\d\d):(\d\d)\z/;
            $bad->() if $om > 59 || $oh * 60 + $om > 840;
            $offset = ($sign eq '-' ? -1 : 1) * ($oh * 60 + $om);
        }
        $bad->() if defined $zone && $name =~ /\A(?:small)?datetime\z/ && $zone ne 'Z';
    }
    return [$day, $ticks, $offset];
}

my @UNIT = map { 10**(7 - $_) } 0 .. 7;

# A moment as a type stores it. `strict`: what is out of the range is 242 or 241, else 8115.
sub store {
    my ($moment, $to, $from) = @_;
    my ($day, $ticks, $offset) = @$moment;
    my ($name, $scale) = @$to{qw(name scale)};
    my $out = sub {
        fail($name eq 'smalldatetime' ? (296, $from->{name}) : (242, $from->{name}, $name));
    };
    if ($name eq 'date') {
        return sprintf '%04d-%02d-%02d', date_of($day);
    } elsif ($name eq 'datetime') {
        # 1/300 s, shown in milliseconds .000, .003, .007
        my $units = int($ticks * 3 / 100_000 + 0.5);
        if ($units >= 25_920_000) { $units -= 25_920_000; $day++; }
        $out->() if $day < 639_905 || $day > 3_652_058;
        my $ms = int($units * 10 / 3 + 0.5);
        return text($day, $ms * 10_000, 3);
    } elsif ($name eq 'smalldatetime') {
        # 29.998 s and less round down
        my $minutes = int(int(($ticks + 5000) / 10_000) / 60_000 + 0.5);
        $minutes = int($ticks / 600_000_000) if $ticks % 600_000_000 < 299_985_000;
        if ($minutes >= 1440) { $minutes -= 1440; $day++; }
        $out->() if $day < DAY_1900 || $day > DAY_1900 + 65_535;
        return text($day, $minutes * 600_000_000, 0);
    }
    my $unit = $UNIT[$scale];
    $ticks = int(($ticks + $unit / 2) / $unit) * $unit if $unit > 1;
    if ($ticks >= 864_000_000_000) {
        $ticks -= 864_000_000_000;
        $day++;
    }
    return text(undef, $ticks, $scale) if $name eq 'time';
    # Rounding up past the end of 9999: SQL Server cuts there.
    ($day, $ticks) = (3_652_058, 864_000_000_000 - $unit) if $day > 3_652_058;
    my $plain = text($day, $ticks, $scale);
    return $plain if $name eq 'datetime2';
    my $utc = $day * 1440 + int($ticks / 600_000_000) - $offset;
    fail(8115, $from->{name}, $name) if $utc < 0 || $utc >= 3_652_059 * 1440;
    return sprintf '%s %s%02d:%02d', $plain, $offset < 0 ? '-' : '+', int(abs($offset) / 60), abs($offset) % 60;
}

sub text {
    my ($day, $ticks, $scale) = @_;
    my $s = int($ticks / 10_000_000);
    my $text = sprintf '%02d:%02d:%02d', int($s / 3600), int($s / 60) % 60, $s % 60;
    $text .= '.' . substr(sprintf('%07d', $ticks % 10_000_000), 0, $scale) if $scale;
    return defined $day ? sprintf('%04d-%02d-%02d', date_of($day)) . " $text" : $text;
}

sub to_time {
    my ($from, $to, %option) = @_;
    my ($f, $name) = @$from{qw(family name)};
    if ($f eq 'string') {
        # The form that is stored, as is, when it is of the right length.
        if ($to->{name} eq 'date') {
            return sub {
                return $_[0] if $_[0] =~ /\A(\d{4})-(\d\d)-(\d\d)\z/ && valid_date($1, $2, $3);
                return store(parse_string($_[0], $from, $to), $to, $from);
            };
        }
        return sub { store(parse_string($_[0], $from, $to), $to, $from) };
    } elsif ($f eq 'time') {
        fail(206, $from->shown, $to->shown) if $name eq 'date' && $to->{name} eq 'time'
            || $name eq 'time' && $to->{name} eq 'date';
        return sub {
            my $moment = parse_stored($_[0]);
            return store($moment, $to, $from);
        };
    } elsif ($f eq 'integer' || $f eq 'decimal' || $f eq 'float') {
        return sub {
            my $day = int $_[0];
            $day-- if $day > $_[0];
            fail(8115, 'expression', $to->{name}) if abs $day > 4_000_000;
            return store([DAY_1900 + $day, int(($_[0] - $day) * 864_000_000_000), 0], $to, $from);
        };
    }
    fail($option{mode} && $option{mode} ne 'explicit' ? 257 : 529, $from->shown, $to->shown);
}

my @NAME = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);

# As text, by style: 0 (the default of the old types), 120/121/126/127, 23 and 112.
sub renderer {
    my ($from, %option) = @_;
    my $name = $from->{name};
    my $style = $option{style};
    my $old = $name =~ /\A(?:small)?datetime\z/;
    $style //= $old ? 0 : 121;
    if ($style == 0 || $style == 100) {
        return sub {
            my ($day, $ticks) = @{ parse_stored($_[0]) };
            my ($y, $m, $d) = date_of($day);
            my $minutes = int($ticks / 600_000_000);
            my $h = int($minutes / 60);
            my $date = sprintf '%s %2d %04d', $NAME[$m - 1], $d, $y;
            my $time = sprintf '%2d:%02d%s', $h % 12 || 12, $minutes % 60, $h < 12 ? 'AM' : 'PM';
            return $name eq 'date' ? $date : $name eq 'time' ? $time =~ s/\A //r : "$date $time";
        };
    } elsif ($style == 126 || $style == 127) {
        return sub {
            my $text = $_[0] =~ s/(?<=\d) (?=\d)/T/r =~ s/ (?=[-+])//r;
            # No fraction when it is zero, for the old types.
            $text =~ s/\.000\z// if $old;
            return $text;
        };
    } elsif ($style == 20 || $style == 120) {
        return sub { $_[0] =~ s/\.\d+//r };
    } elsif ($style == 21 || $style == 25 || $style == 121) {
        return sub { $name eq 'smalldatetime' ? "$_[0].000" : $_[0] };
    } elsif ($style == 23) {
        return sub { substr $_[0], 0, 10 };
    } elsif ($style == 112) {
        return sub { substr($_[0], 0, 10) =~ tr/-//dr };
    }
    fail(281, $style);
}

# A datetimeoffset as the moment it is: what it compares by.
sub utc_key {
    my ($day, $ticks, $offset) = @{ parse_stored($_[0]) };
    my $minutes = $day * 1440 - $offset;
    return sprintf '%019d', $minutes * 600_000_000 + $ticks;
}

1;

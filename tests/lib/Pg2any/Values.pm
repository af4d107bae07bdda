package Pg2any::Values;

# What values of PostgreSQL look like in targets that store them by their types: pieces of the rules
# of Pg2any::Target's modules.

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(numeric_size single six_digits);

# Precision and scale that a decimal needs for a numeric of that typmod, or nothing where it has no
# limit: the precision is in the upper half of the typmod, the scale, which may be negative, in the
# lower 11 bits.
sub numeric_size {
    my ($typmod) = @_;
    return if $typmod < 4;
    my ($precision, $scale) = ($typmod - 4 >> 16 & 0xffff, ($typmod - 4 & 0x7ff ^ 1024) - 1024);
    if ($scale < 0) {
        $precision -= $scale;
        $scale = 0;
    }
    $precision = $scale if $precision < $scale;
    return ($precision, $scale);
}

# In single precision, what lies beyond its largest value by less than half a step too.
sub single {
    my ($x) = @_;
    my $single = unpack 'f', pack 'f', $x;
    my $largest = 3.4028234663852886e38;
    my $rounds_down = abs $x < 3.4028235677973366e38;
    return abs $single > $largest && $rounds_down ? $largest * ($x <=> 0) : $single;
}

# Seconds with six digits.
sub six_digits {
    my ($time) = @_;
    my ($whole, $fraction) = $time =~ /\A(.*:\d\d)(?:\.(\d+))?\z/ or return $time;
    return $whole . '.' . substr(($fraction // '') . '000000', 0, 6);
}

1;

package Pg2any::LSN;

# LSNs as PostgreSQL writes them, %X/%X, and as numbers that compare.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);

our @EXPORT_OK = qw(lsn_number);

sub lsn_number {
    my ($text) = @_;
    my ($high, $low) = $text =~ m{\A([0-9A-F]{1,8})/([0-9A-F]{1,8})\z}i or croak "no LSN: '$text'";
    return hex($high) << 32 | hex $low;
}

1;

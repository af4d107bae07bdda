package Pg2any::Wait;

# Waiting for a condition, with a limit, or for time to pass. Nothing else in the tests naps.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(wait_for let_pass now);

# Seconds on a clock that never steps.
sub now { return clock_gettime(CLOCK_MONOTONIC) }

# wait_for(\&condition, $limit_s, $what): what the condition returned once it was true. Dies with
# $what when $limit_s seconds have passed.
sub wait_for {
    my ($condition, $limit, $what) = @_;
    my $end = now() + $limit;
    my $nap = 0.005;
    while (1) {
        my $result = $condition->();
        return $result if $result;
        croak "waited $limit s in vain for $what" if now() > $end;
        select undef, undef, undef, $nap;
        $nap = $nap * 1.5 if $nap < 0.1;
    }
}

# Where time itself is what is tested, or a load has to be paced: let that many seconds go by.
sub let_pass {
    my ($seconds) = @_;
    my $end = now() + $seconds;
    while ((my $left = $end - now()) > 0) {
        select undef, undef, undef, $left;
    }
    return;
}

1;

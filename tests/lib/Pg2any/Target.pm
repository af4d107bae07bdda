package Pg2any::Target;

# The kinds of target there are, by name. Each is a module with the methods of
# Pg2any::Target::SQLite.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Pg2any::Target::MySQL;
use Pg2any::Target::SQLite;

our @EXPORT_OK = qw(new_target);

my %CLASS = (mysql => 'Pg2any::Target::MySQL', sqlite => 'Pg2any::Target::SQLite');

# new_target(kind => 'sqlite', and what its new() takes). TARGET in the environment is the default
# kind, so that the same tests run on each.
sub new_target {
    my (%arg) = @_;
    my $kind = lc(delete $arg{kind} // $ENV{TARGET} // 'sqlite');
    my $class = $CLASS{$kind}
        // croak "no target '$kind': there are " . join ', ', sort keys %CLASS;
    return $class->new(%arg);
}

1;

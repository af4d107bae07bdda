package Pg2any::Target;

# The kinds of target there are, by name. Each is a module with the methods of
# Pg2any::Target::SQLite.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);

our @EXPORT_OK = qw(new_target);

my %CLASS = (
    mssql => 'Pg2any::Target::MSSQL',
    mysql => 'Pg2any::Target::MySQL',
    sqlite => 'Pg2any::Target::SQLite',
    text => 'Pg2any::Target::Text',
);

# new_target(kind => 'sqlite', and what its new() takes). TARGET in the environment is the default
# kind, so that the same tests run on each.
sub new_target {
    my (%arg) = @_;
    my $kind = lc(delete $arg{kind} // $ENV{TARGET} // 'sqlite');
    my $class = $CLASS{$kind}
        // croak "no target '$kind': there are " . join ', ', sort keys %CLASS;
    require($class =~ s{::}{/}gr . '.pm');
    return $class->new(%arg);
}

1;

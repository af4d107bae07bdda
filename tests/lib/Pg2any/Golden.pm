package Pg2any::Golden;

# The captured streams under tests/frames and what they make of a target.

use strict;
use warnings;
use Cwd ();
use Exporter qw(import);
use File::Basename ();

our @EXPORT_OK = qw(golden_file golden_names dump_tables);

my $dir = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../frames');

# The path of a golden file: golden_file('small', 'raw.frames').
sub golden_file { my ($name, $kind) = @_; return "$dir/$name.$kind" }

sub golden_names {
    return map {m{([^/]+)\.raw\.frames\z}} sort glob "$dir/*.raw.frames";
}

# All tables of a SQLite target but our own, as text: columns, then the rows in order, each value
# with its storage class and as an SQL literal.
sub dump_tables {
    my ($target) = @_;
    my $text = '';
    for my $table (
        map { $_->[0] } $target->rows(
            q{select name from sqlite_master where type = 'table' and name not like 'pg2any%'
                order by name}
        )
    ) {
        my @columns = $target->column_names($table);
        $text .= "$table: @columns\n";
        my $select = join ', ',
            map { my $c = $target->dbh->quote_identifier($_); "typeof($c) || ' ' || quote($c)" }
            @columns;
        my $order = join ', ', 1 .. @columns;
        for my $row (
            $target->rows(
                      'select '
                    . $select
                    . ' from '
                    . $target->dbh->quote_identifier($table)
                    . " order by $order")
        ) {
            $text .=
                '  ' . join(' | ', map { s/\\/\\\\/gr =~ s/\n/\\n/gr =~ s/\r/\\r/gr } @$row) . "\n";
        }
    }
    $target->disconnect;
    return $text;
}

1;

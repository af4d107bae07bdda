package Pg2any::Compare;

# The oracle: is the content of the target that of the source? Every row and every value of both,
# in the same order, one row at a time, so that tables larger than memory can be compared. What a
# value must look like in the target is the target module's say.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Pg2any::Target::SQLite;

our @EXPORT_OK = qw(compare_tables);

my $FETCH = 5000;
my $cursors = 0;

# compare_tables($pg_dbh, $target, [tables], %options): the differences, as text; none: equal.
#   $target         a target object or the path of a SQLite file
#   tables          'name', 'schema.name'
#   limit           no more differences than these are looked for in a table (10)
#   target_table    {source name => name in the target}
#   generated       also compare stored generated columns (published from PostgreSQL 18 on)
#   ignore          {table => [columns]}: not compared
#   extra_columns   the target may have columns that the source has not
#   rows            a reference to a number that grows by the rows compared
sub compare_tables {
    my ($pg, $target, $tables, %option) = @_;
    $target = Pg2any::Target::SQLite->new(file => $target) if !ref $target;

    # A session of our own, pinned as pg-capture pins its: one snapshot for all the tables.
    my $dbh = $pg->clone({ AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0,
        pg_enable_utf8 => 1, pg_server_prepare => 0 });
    $dbh->{pg_expand_array} = 0;
    $dbh->do("set $_") for q{datestyle = 'ISO'}, q{timezone = 'UTC'}, q{intervalstyle = postgres},
        q{bytea_output = hex}, q{extra_float_digits = 3}, q{lc_monetary = 'C'};
    $dbh->do('begin isolation level repeatable read read only');
    my @differences = map { compare_table($dbh, $target, $_, \%option) } @$tables;
    $dbh->do('rollback');
    $dbh->disconnect;
    $target->disconnect;
    return @differences;
}

sub compare_table {
    my ($dbh, $target, $name, $option) = @_;
    my ($schema, $table) = $name =~ /\A(?:([^.]+)\.)?(.+)\z/s;
    $schema //= 'public';
    my $source = $dbh->quote_identifier($schema) . '.' . $dbh->quote_identifier($table);
    my $there = $option->{target_table}{$name} // $target->table_name($schema, $table);

    my @columns = source_columns($dbh, $source, $option->{generated});
    my %ignore = map { $_ => 1 } @{ $option->{ignore}{$name} // [] };
    @columns = grep { !$ignore{ $_->{name} } } @columns;
    $_->{rule} = $target->rule($_->{type}, $_->{typmod}) for @columns;

    if (!$target->dbh || !$target->has_table($there)) {
        # Tables come with their first change; nothing is there where nothing was sent.
        my ($some) = $dbh->selectrow_array("select exists (select from $source)");
        return $some ? "$name: the target has no table $there" : ();
    }
    my %has = map { $_ => 1 } $target->column_names($there);
    my @missing = grep { !$has{$_} } map { $_->{name} } @columns;
    return "$name: the target lacks the columns @missing" if @missing;
    if (!$option->{extra_columns}) {
        delete @has{ (map { $_->{name} } @columns), keys %ignore };
        return "$name: the target has columns that the source has not: " . join ' ', sort keys %has
            if %has;
    }

    my @order = grep { defined $_->{key} } @columns;
    @order = @order ? sort { $a->{key} <=> $b->{key} } @order : @columns;
    return compare_rows($dbh, $target, $name, $source, $there, \@columns, \@order, $option);
}

# Name, base type, typmod and, in the primary key, the place in it. Generated columns only where
# asked for.
sub source_columns {
    my ($dbh, $source, $generated) = @_;
    my $rows = $dbh->selectall_arrayref(<<'SQL', { Slice => {} }, $source, $generated ? 's' : '');
with recursive base (attrelid, attnum, name, typid, typmod) as (
    select attrelid, attnum, attname, atttypid, atttypmod from pg_attribute
    where attrelid = ?::regclass and attnum > 0 and not attisdropped
        and attgenerated::text in ('', ?)
    union all
    select b.attrelid, b.attnum, b.name, t.typbasetype, t.typtypmod
    from base b join pg_type t on t.oid = b.typid where t.typtype = 'd'
)
select b.name, t.typname as type, b.typmod,
    (select array_position(i.indkey::int2[], b.attnum) from pg_index i
     where i.indrelid = b.attrelid and i.indisprimary) as key
from base b join pg_type t on t.oid = b.typid
where t.typtype <> 'd' order by b.attnum
SQL
    croak "no columns in $source" if !@$rows;
    return @$rows;
}

sub source_rows {
    my ($dbh, $source, $columns, $order) = @_;
    my @select = map { $dbh->quote_identifier($_->{name}) } @$columns;
    my @sort = map { sprintf($_->{rule}{sort}, $dbh->quote_identifier($_->{name}))
        . ' nulls first' } @$order;
    # Closed by the end of the transaction.
    my $cursor = 'pg2any_compare_' . ++$cursors;
    $dbh->do("declare $cursor no scroll cursor for select @{[join ', ', @select]}"
        . " from $source order by @{[join ', ', @sort]}");
    my $fetch = $dbh->prepare("fetch $FETCH from $cursor");
    my @batch;
    my $done;
    return sub {
        if (!@batch && !$done) {
            $fetch->execute;
            @batch = @{ $fetch->fetchall_arrayref };
            $done = @batch < $FETCH;
        }
        return shift @batch;
    };
}

# The quick test, for rows that are equal. NaN is not equal to itself here: order_of() has the last
# word about rows that look different.
sub same_row {
    my ($want, $got, $numeric) = @_;
    no warnings qw(numeric);
    for my $i (0 .. $#$want) {
        my ($x, $y) = ($want->[$i], $got->[$i]);
        if (!defined $x || !defined $y) {
            return 0 if defined $x || defined $y;
        } elsif (($numeric->[$i] // 'exact') ne 'exact' ? $x != $y : $x ne $y) {
            return 0;
        }
    }
    return 1;
}

# Numbers compare as numbers where both are, exact ones by their digits too; anything else as text.
sub order_of {
    my ($numeric, $x, $y) = @_;
    if (!defined $x || !defined $y) {
        return (defined $x ? 1 : 0) <=> (defined $y ? 1 : 0);
    }
    # Floats are compared as they are: as text they would lose digits.
    if ($numeric && $x =~ /\A-?[0-9.]/ && $y =~ /\A-?[0-9.]/) {
        return $x <=> $y || ($numeric eq 'exact' ? $x cmp $y : 0);
    }
    return $x cmp $y;
}

sub compare_rows {
    my ($dbh, $target, $name, $source, $there, $columns, $order, $option) = @_;
    my $limit = $option->{limit} // 10;
    my @differences;
    for my $wrong ($target->misplaced($there, map { $_->{name} => $_->{rule} } @$columns)) {
        push @differences, sprintf '%s.%s: %d values of the wrong storage class; there are %s',
            $name, @$wrong[0, 2, 1];
    }

    my @numeric = map { $_->{rule}{numeric} } @$columns;
    my @expect = map { $columns->[$_]{rule}{expect} ? [$_, $columns->[$_]{rule}{expect}] : () }
        0 .. $#$columns;
    my %place = map { $columns->[$_]{name} => $_ } 0 .. $#$columns;
    my @key = map { $place{ $_->{name} } } @$order;
    my $describe = sub {
        my ($row) = @_;
        return join ', ', map { "$columns->[$_]{name}=" . printable($row->[$_]) } @key;
    };

    my $left = source_rows($dbh, $source, $columns, $order);
    my $right = $target->ordered_rows($there, [map { $_->{name} } @$columns],
        [map { $_->{name} } @$order]);
    my $next_left = sub {
        my $row = $left->();
        return undef if !$row;    ## no critic: part of a list
        for my $expect (@expect) {
            my ($i, $convert) = @$expect;
            $row->[$i] = $convert->($row->[$i]) if defined $row->[$i];
        }
        return $row;
    };
    my ($want, $got) = ($next_left->(), $right->());
    my $rows = 0;
    while ($want || $got) {
        if (@differences >= $limit) {
            push @differences, "$name: and perhaps more";
            last;
        }
        if ($want && $got && same_row($want, $got, \@numeric)) {
            $rows++;
            ($want, $got) = ($next_left->(), $right->());
            next;
        }
        my $order_of_rows = !$want ? 1 : !$got ? -1 : 0;
        if ($want && $got) {
            for my $i (@key) {
                $order_of_rows = order_of($numeric[$i], $want->[$i], $got->[$i]) and last;
            }
        }
        if ($order_of_rows < 0) {
            push @differences, "$name: missing in the target: " . $describe->($want);
            $want = $next_left->();
        } elsif ($order_of_rows > 0) {
            push @differences, "$name: in the target only: " . $describe->($got);
            $got = $right->();
        } else {
            for my $i (0 .. $#$columns) {
                if (order_of($numeric[$i], $want->[$i], $got->[$i]) != 0) {
                    push @differences, sprintf '%s: %s: %s is %s, must be %s', $name,
                        $describe->($want), $columns->[$i]{name}, printable($got->[$i]),
                        printable($want->[$i]);
                }
            }
            $rows++;
            ($want, $got) = ($next_left->(), $right->());
        }
    }
    ${ $option->{rows} } += $rows if $option->{rows};
    return @differences;
}

sub printable {
    my ($value) = @_;
    return 'NULL' if !defined $value;
    my $length = length $value;
    my $text = substr $value, 0, 60;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x{%x}', ord $1/ge;
    return $length > 60 ? "'$text'… ($length long)" : "'$text'";
}

1;

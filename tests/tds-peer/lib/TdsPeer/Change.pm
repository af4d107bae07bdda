package TdsPeer::Change;

# INSERT, UPDATE, DELETE and TRUNCATE TABLE on the SQLite file. What a statement changes is first
# collected in a temporary table and then written, so that a row is changed once and no row sees
# what another one of the same statement has become.

use strict;
use warnings;
use TdsPeer::Catalog;
use TdsPeer::Error qw(fail);
use TdsPeer::Translate;
use TdsPeer::Types qw(type_of is_string);

sub quoted { return TdsPeer::Translate::quoted(TdsPeer::Translate::bytes($_[0])) }

sub shown { my ($table) = @_; return "$table->{db}.$table->{schema}.$table->{name}" }

# SQLite's number of a row, by a name that no column has.
sub row_number {
    my ($table) = @_;
    my ($name) = grep { !$table->{column}{$_} } qw(rowid oid _rowid_) or die "columns with all of SQLite's names for a row\n";
    return $name;
}

# The table that a statement names.
sub target {
    my ($session, $parts) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $parts);
    return TdsPeer::Catalog::table($session->{dbh}, $db, $schema, $name)
        // fail(208, join '.', map { $_ // '' } @$parts);
}

# The value of an expression as it is stored in a column.
sub stored {
    my ($translate, $x, $column, $table) = @_;
    my $sql = $translate->as_type($x, $column->{type}, assign => 1, column => $column->{name}, table => shown($table));
    return $sql if $column->{nullable};
    return "coalesce($sql, peer_null(" . TdsPeer::Translate::literal($column->{name}) . ', '
        . TdsPeer::Translate::literal(shown($table)) . '))';
}

sub is_rowversion { return $_[0]{type}{name} eq 'timestamp' }

# --- INSERT

sub insert {
    my ($session, $s) = @_;
    my $table = target($session, $s->{table});
    my $translate = TdsPeer::Translate->new(session => $session);
    my @columns = $s->{defaults} ? () : $s->{columns} ? map { named($table, $_) } @{ $s->{columns} }
        : grep { !$_->{computed} && !is_rowversion($_) && !$_->{identity} } @{ $table->{columns} };
    check_insert_columns($session, $table, $s, @columns);
    my ($sql, @x) = insert_source($translate, $s, scalar @columns);
    my %given = map { $columns[$_]{name} => stored($translate, $x[$_], $columns[$_], $table) } 0 .. $#columns;
    my (@names, @values);
    for my $column (grep { !defined $_->{computed} } @{ $table->{columns} }) {
        push @names, quoted($column->{name});
        push @values, $given{ $column->{name} }
            // ($column->{identity} ? 'peer_next_identity(' . $column->{object_id} . ')'
            : is_rowversion($column) ? 'peer_rowversion()'
            : defined $column->{default_text} ? default_sql($translate, $column, $table)
            : stored($translate, { sql => 'null', type => { name => 'null' } }, $column, $table));
    }
    my $ignoring = grep { $_->{kind} eq 'ignoring' } @{ $table->{indexes} };
    my $insert = 'insert ' . ($ignoring ? 'or ignore ' : '') . 'into ' . quoted($table->{file_name}) . ' (' . join(', ', @names) . ') select '
        . join(', ', @values) . " from ($sql)";
    return $session->change($insert, $translate, $table, 'INSERT');
}

sub named {
    my ($table, $name) = @_;
    return $table->{column}{ lc $name } // fail(207, $name);
}

sub check_insert_columns {
    my ($session, $table, $s, @columns) = @_;
    my %seen;
    for my $column (@columns) {
        fail(264, $column->{name}) if $seen{ $column->{name} }++;
        fail(271, $column->{name}) if defined $column->{computed};
        fail(273) if is_rowversion($column);
    }
    my ($identity) = grep { $_->{identity} } @{ $table->{columns} };
    return if !$identity;
    my $on = ($session->{identity_insert} // '') eq $table->{object_id};
    fail(544, $table->{name}) if $seen{ $identity->{name} } && !$on;
    fail(8101, shown($table)) if $on && !$s->{columns};
    fail(545, $table->{name}) if !$seen{ $identity->{name} } && $on;
    return;
}

# The rows to insert as a query, and its columns.
sub insert_source {
    my ($translate, $s, $n) = @_;
    return 'select 1' if $s->{defaults};
    my ($sql, @columns);
    if ($s->{query}) {
        my $query = $translate->query($s->{query});
        $sql = $query->{sql};
        @columns = @{ $query->{columns} };
        fail(120) if @columns < $n;
        fail(121) if @columns > $n;
        # Each column of the query by a name of its own.
        $sql = 'select ' . join(', ', map { "s.c$_" } 0 .. $#columns) . ' from (' . renamed($sql, scalar @columns) . ') as s';
    } else {
        my $rows = $s->{rows};
        fail(213) if !$s->{columns} && grep { @$_ != $n } @$rows;
        fail(110) if grep { @$_ > $n } @$rows;
        fail(109) if grep { @$_ < $n } @$rows;
        # A row by itself keeps the types of its literals.
        my @x = map { [map { $_->{k} eq 'default' ? fail(102, 'DEFAULT') : $translate->expression($_) } @$_] } @$rows;
        my @types = map { my $c = $_; $translate->common_type(map { $_->[$c] } @x) } 0 .. $n - 1;
        $sql = join ' union all ', map {
            my $row = $_;
            'select ' . join ', ', map { $translate->as_type($row->[$_], $types[$_]) . " as c$_" } 0 .. $n - 1
        } @x;
        @columns = map { my $c = $_; my ($typed) = grep { $_->[$c]{type}{name} ne 'null' } @x; { type => $typed ? $types[$c] : { name => 'null' } } } 0 .. $n - 1;
    }
    return ($sql, map { +{ %{ $columns[$_] }, sql => "c$_" } } 0 .. $#columns);
}

sub renamed {
    my ($sql, $n) = @_;
    return 'with s(' . join(', ', map { "c$_" } 0 .. $n - 1) . ") as ($sql) select * from s";
}

sub default_sql {
    my ($translate, $column, $table) = @_;
    my $x = $translate->expression(TdsPeer::Parser->expression_of($column->{default_text}));
    return stored($translate, $x, $column, $table);
}

# --- UPDATE, DELETE

# Where a statement's rows come from: the alias of the target, its table, the SQL of FROM and WHERE.
sub rows_of {
    my ($session, $translate, $s) = @_;
    push @{ $translate->{scopes} }, [];
    my @parts = @{ $s->{table} };
    my $from = $s->{from} ? $translate->source($s->{from})
        : $translate->source({ k => 'table', parts => $s->{table} });
    my ($source) = grep { $_->{table} && lc $_->{alias} eq lc $parts[-1] } @{ $translate->{scopes}[-1] };
    if (!$source) {
        my $wanted = target($session, $s->{table});
        ($source) = grep { $_->{table} && $_->{table}{object_id} == $wanted->{object_id} } @{ $translate->{scopes}[-1] };
        fail(8154, $parts[-1]) if !$source;
    }
    my $where = $s->{where} ? ' where ' . $translate->condition($s->{where}) : '';
    my $limit = $s->{top} ? ' limit ' . $translate->expression($s->{top})->{sql} : '';
    return ($source, $from . $where, $limit);
}

sub update {
    my ($session, $s) = @_;
    my $translate = TdsPeer::Translate->new(session => $session);
    my ($source, $from, $limit) = rows_of($session, $translate, $s);
    my $table = $source->{table};
    my (%seen, @columns, @values);
    for my $set (@{ $s->{set} }) {
        my $column = named($table, $set->{column});
        fail(264, $column->{name}) if $seen{ $column->{name} }++;
        fail(271, $column->{name}) if defined $column->{computed};
        fail(272) if is_rowversion($column);
        fail(8102, $column->{name}) if $column->{identity};
        push @columns, $column;
        push @values, stored($translate, $translate->expression($set->{value}), $column, $table);
    }
    my $n = 0;
    my $collect = 'select ' . quoted($source->{alias}) . '.' . row_number($table) . ' as r, '
        . join(', ', map { "$_ as v" . $n++ } @values) . " from $from$limit";
    return $session->change_collected($translate, $table, 'UPDATE', $collect, [map { $_->{name} } @columns]);
}

sub remove {
    my ($session, $s) = @_;
    my $translate = TdsPeer::Translate->new(session => $session);
    my ($source, $from, $limit) = rows_of($session, $translate, $s);
    my $collect = 'select ' . quoted($source->{alias}) . '.' . row_number($source->{table}) . " as r from $from$limit";
    return $session->change_collected($translate, $source->{table}, 'DELETE', $collect, []);
}

sub truncate_table {
    my ($session, $s) = @_;
    my $table = target($session, $s->{table});
    fail(4712, $table->{name}) if grep { $_->{to} == $table->{object_id} && $_->{parent} != $table->{object_id} } @{ $table->{foreign} };
    $session->write_lock;
    $session->{dbh}->do('delete from ' . quoted($table->{file_name}));
    return;
}

# --- what SQL Server checks after a statement

# Foreign keys: an error, or what a cascade does.
sub check_foreign_keys {
    my ($session, $table, $what) = @_;
    my $dbh = $session->{dbh};
    for my $key (grep { !$_->{disabled} } @{ $table->{foreign} }) {
        my ($child, $parent) = map {
            TdsPeer::Catalog::with_columns($dbh,
                TdsPeer::Catalog::row_hash($dbh, 'select * from peer_objects where object_id = ?', $_))
        } $key->{parent}, $key->{to};
        my @pairs = map {
            my ($from, $to) = (named($child, $key->{columns}[$_]), named($parent, $key->{to_columns}[$_]));
            'p.' . quoted($to->{name}) . ' = c.' . quoted($from->{name})
        } 0 .. $#{ $key->{columns} };
        my $orphans = 'from ' . quoted($child->{file_name}) . ' as c where '
            . join(' and ', (map { 'c.' . quoted($_) . ' is not null' } @{ $key->{columns} }),
                'not exists (select 1 from ' . quoted($parent->{file_name}) . ' as p where ' . join(' and ', @pairs) . ')');
        my ($some) = $dbh->selectrow_array("select 1 $orphans limit 1");
        next if !$some;
        if ($what eq 'DELETE' && ($key->{delete} // '') eq 'CASCADE' && $key->{to} == $table->{object_id}) {
            my $number = row_number($child);
            $dbh->do('delete from ' . quoted($child->{file_name}) . " where $number in (select c.$number $orphans)");
            check_foreign_keys($session, $child, $what);
            next;
        }
        fail(547, $what, $key->{parent} == $table->{object_id} && $what ne 'DELETE' ? 'FOREIGN KEY' : 'REFERENCE', $key->{name},
            $table->{db}, "$child->{schema}.$child->{name}", '');
    }
    return;
}

1;

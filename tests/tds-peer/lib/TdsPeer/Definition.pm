package TdsPeer::Definition;

# Data definition on the SQLite file: tables, columns, keys, indexes, schemas, databases, sp_rename.
# All of it is part of the open transaction, as in SQL Server.

use strict;
use warnings;
use TdsPeer::Catalog;
use TdsPeer::Change;
use TdsPeer::Error qw(fail);
use TdsPeer::Translate;
use TdsPeer::Types qw(type_of type_text max_length is_string);

my $MAX_COLUMNS = 1024;
my %KEY_BYTES = (1 => 900, 0 => 1700);

sub quoted { return TdsPeer::Change::quoted($_[0]) }

# --- tables

sub create_table {
    my ($session, $s) = @_;
    my $dbh = $session->{dbh};
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $s->{table});
    TdsPeer::Catalog::database($dbh, $db) or fail(911, $db);
    my $there = TdsPeer::Catalog::schema($dbh, $db, $schema) or fail(2760, $schema);
    fail(1702, $name, $MAX_COLUMNS) if @{ $s->{columns} } > $MAX_COLUMNS;
    $session->write_lock;
    my $id = TdsPeer::Catalog::add_object($dbh, db => $db, schema => $there->{name}, name => $name, type => 'U');
    my %seen;
    my @constraints = map { +{ %$_ } } @{ $s->{constraints} };
    my %key = map { lc $_->{name} => 1 } map { @{ $_->{columns} } } grep { $_->{k} eq 'primary' } @constraints,
        map { @{ $_->{constraints} } } @{ $s->{columns} };
    for my $column (@{ $s->{columns} }) {
        fail(2705, $column->{name}, $name) if $seen{ lc $column->{name} }++;
        my %c = column($session, $column);
        if ($key{ lc $column->{name} }) {
            fail(8111, $name) if $column->{null};
            $c{nullable} = 0;
        }
        TdsPeer::Catalog::add_column($dbh, $id, \%c);
        push @constraints, map { +{ %$_ } } @{ $column->{constraints} };
    }
    my @stored = map { quoted($_->{name}) } grep { !defined $_->{computed} } @{ $s->{columns} };
    fail(1750) if !@stored;
    $dbh->do('create table ' . quoted("$db.$there->{name}.$name") . ' (' . join(', ', @stored) . ')');
    my @parts = ($db, $there->{name}, $name);
    add_constraint($session, \@parts, $_) for @constraints;
    return;
}

# A column as it was defined, for the catalog.
sub column {
    my ($session, $column) = @_;
    my %c = (name => $column->{name});
    if ($column->{computed}) {
        return (%c, type => type_of({ name => 'int', arguments => [] }), nullable => 1, computed => $column->{definition});
    }
    $c{type} = type_of($column->{type});
    $c{nullable} = $column->{null} // 1;
    $c{nullable} = 0 if $column->{identity} || $c{type}{name} eq 'timestamp';
    if (is_string($c{type})) {
        $c{collation} = TdsPeer::Translate::check_collation($column->{collation} // $session->default_collation);
        $c{collation} = $session->default_collation if lc $c{collation} eq 'database_default';
    } elsif (defined $column->{collation}) {
        fail(452);
    }
    $c{identity} = $column->{identity};
    if ($column->{default}) {
        $c{default_text} = $column->{default}{text};
        $c{default_name} = $column->{default}{name} // "DF__$column->{name}";
    }
    return %c;
}

sub table {
    my ($session, $parts) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $parts);
    return TdsPeer::Catalog::table($session->{dbh}, $db, $schema, $name)
        // fail(4902, join '.', map { $_ // '' } @$parts);
}

sub drop_table {
    my ($session, $s) = @_;
    for my $parts (@{ $s->{tables} }) {
        my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $parts);
        my $table = TdsPeer::Catalog::table($session->{dbh}, $db, $schema, $name);
        if (!$table) {
            next if $s->{if_exists};
            fail(3701, 'drop', 'table', join '.', map { $_ // '' } @$parts);
        }
        fail(3726, $name) if grep { $_->{to} == $table->{object_id} && $_->{parent} != $table->{object_id} } @{ $table->{foreign} };
        $session->write_lock;
        my $dbh = $session->{dbh};
        $dbh->do('drop table ' . quoted($table->{file_name}));
        TdsPeer::Catalog::write($dbh, 'delete from peer_objects where object_id = ? or parent = ?', ($table->{object_id}) x 2);
        TdsPeer::Catalog::write($dbh, "delete from $_ where object_id = ?", $table->{object_id}) for qw(peer_columns peer_indexes peer_index_columns);
    }
    return;
}

# --- keys and indexes

sub add_constraint {
    my ($session, $parts, $constraint) = @_;
    my $table = table($session, $parts);
    return add_foreign_key($session, $table, $constraint) if $constraint->{k} eq 'foreign';
    my $primary = $constraint->{k} eq 'primary';
    my @columns = map { TdsPeer::Change::named($table, $_->{name}) } @{ $constraint->{columns} };
    my $clustered = $constraint->{clustered} // $primary;
    fail(1779, $table->{name}) if $primary && grep { $_->{kind} eq 'primary' } @{ $table->{indexes} };
    fail(8111, $table->{name}) if $primary && grep { $_->{nullable} } @columns;
    my $name = $constraint->{name} // sprintf '%s__%s__%08X', $primary ? 'PK' : 'UQ', substr($table->{name}, 0, 9),
        $table->{object_id} * 2654435761 % 4294967296;
    TdsPeer::Catalog::add_object($session->{dbh}, db => $table->{db}, schema => $table->{schema}, name => $name,
        type => $primary ? 'PK' : 'UQ', parent => $table->{object_id});
    return make_index($session, $table, $name, $clustered, 1, $constraint->{k}, [], @columns);
}

sub create_index {
    my ($session, $s) = @_;
    my $table = table($session, $s->{table});
    fail(1913, $s->{name}, $table->{name}) if grep { lc $_->{name} eq lc $s->{name} } @{ $table->{indexes} };
    my @columns = map { TdsPeer::Change::named($table, $_->{name}) } @{ $s->{columns} };
    $session->write_lock;
    return make_index($session, $table, $s->{name}, $s->{clustered}, $s->{unique},
        $s->{ignore} ? 'ignoring' : $s->{filter} ? 'filtered' : 'index',
        [map { TdsPeer::Change::named($table, $_) } @{ $s->{filter} // [] }], @columns);
}

# What an index compares of a column; NULLs are equal in a unique one.
sub index_key {
    my ($column, $unique) = @_;
    my $key = TdsPeer::Translate::key_sql(quoted($column->{name}), $column->{type}, $column->{collation} // '');
    return $unique && $column->{nullable} ? 'ifnull(' . ($key =~ s/ collate nocase//r) . ", x'00')" . ($key =~ / collate nocase/ ? ' collate nocase' : '') : $key;
}

sub make_index {
    my ($session, $table, $name, $clustered, $unique, $kind, $filter, @columns) = @_;
    my $dbh = $session->{dbh};
    fail(1902, $table->{name}, $name) if $clustered && grep { $_->{clustered} } @{ $table->{indexes} };
    my $bytes = 0;
    for my $column (@columns) {
        my $length = max_length($column->{type});
        fail(1919, $column->{name}, $table->{name}) if $length < 0 || $column->{type}{name} =~ /\A(?:n?text|image|xml)\z/;
        $bytes += $length;
    }
    $session->warn_of_index($name, $KEY_BYTES{ $clustered ? 1 : 0 }, $bytes) if $bytes > $KEY_BYTES{ $clustered ? 1 : 0 };
    my $n = @{ $table->{indexes} } ? $table->{indexes}[-1]{index_id} + 1 : $clustered ? 1 : 2;
    my $file_name = "$table->{file_name}.$name.$table->{object_id}";    # the table may get another name
    TdsPeer::Catalog::write($dbh, 'insert into peer_indexes values (?, ?, ?, ?, ?, ?, ?)', $table->{object_id}, $n, $name,
        $clustered ? 1 : 0, $unique ? 1 : 0, $kind, $file_name);
    my $ordinal = 0;
    TdsPeer::Catalog::write($dbh, 'insert into peer_index_columns values (?, ?, ?, ?)', $table->{object_id}, $n, ++$ordinal, $_->{column_id}) for @columns;
    $session->run_sql('create ' . ($unique ? 'unique ' : '') . 'index ' . quoted($file_name) . ' on ' . quoted($table->{file_name})
        . ' (' . join(', ', map { index_key($_, $unique) } @columns) . ')'
        . (@$filter ? ' where ' . join(' and ', map { quoted($_->{name}) . ' is not null' } @$filter) : ''), { %$table, indexes => [@{ $table->{indexes} },
            { name => $name, kind => $kind, file_name => $file_name, creating => 1 }] });
    return;
}

sub drop_index_of {
    my ($session, $table, $index) = @_;
    my $dbh = $session->{dbh};
    $dbh->do('drop index ' . quoted($index->{file_name}));
    TdsPeer::Catalog::write($dbh, "delete from $_ where object_id = ? and index_id = ?", @$index{qw(object_id index_id)}) for qw(peer_indexes peer_index_columns);
    return;
}

sub drop_index {
    my ($session, $s) = @_;
    for my $drop (@{ $s->{indexes} }) {
        my $table = table($session, $drop->{table});
        my ($index) = grep { lc $_->{name} eq lc $drop->{name} } @{ $table->{indexes} };
        next if !$index && $s->{if_exists};
        fail(3701, 'drop', 'index', "$table->{name}.$drop->{name}") if !$index;
        fail(3723, "$table->{name}.$drop->{name}", $index->{kind} eq 'primary' ? 'PRIMARY KEY' : 'UNIQUE KEY') if $index->{kind} =~ /\A(?:primary|unique)\z/;
        $session->write_lock;
        drop_index_of($session, $table, $index);
    }
    return;
}

sub add_foreign_key {
    my ($session, $table, $constraint) = @_;
    my $to = table($session, $constraint->{to});
    my @columns = map { ref $_ ? $_->{name} : $_ } @{ $constraint->{columns} };
    my @to = $constraint->{to_columns} ? @{ $constraint->{to_columns} }
        : map { $_->{name} } map { @{ $_->{columns} } } grep { $_->{kind} eq 'primary' } @{ $to->{indexes} };
    fail(1773, $constraint->{name} // '', $to->{name}) if !@to || @to != @columns;
    TdsPeer::Catalog::add_object($session->{dbh}, db => $table->{db}, schema => $table->{schema},
        name => $constraint->{name} // sprintf('FK__%s__%s__%X', @$table{qw(name)}, $to->{name}, $table->{object_id}),
        type => 'F', parent => $table->{object_id},
        more => { to => 0 + $to->{object_id}, columns => \@columns, to_columns => \@to,
            delete => $constraint->{delete}, update => $constraint->{update} });
    TdsPeer::Change::check_foreign_keys($session, table($session, [@$table{qw(db schema name)}]), 'ALTER TABLE');
    return;
}

# --- what is in the catalog, and does nothing: triggers, views

sub create_trigger {
    my ($session, $s) = @_;
    my $table = table($session, $s->{table});
    $session->write_lock;
    TdsPeer::Catalog::add_object($session->{dbh}, db => $table->{db}, schema => $table->{schema}, name => $s->{name}[-1],
        type => 'TR', parent => $table->{object_id});
    return;
}

sub create_view {
    my ($session, $s) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $s->{name});
    $session->write_lock;
    TdsPeer::Catalog::add_object($session->{dbh}, db => $db, schema => $schema, name => $name, type => 'V');
    return;
}

sub disable_trigger {
    my ($session, $s) = @_;
    my $table = table($session, $s->{table});
    return set_disabled($session, [@$table{qw(db schema)}, $s->{name}[-1]]);
}

# A trigger, or a foreign key.
sub set_disabled {
    my ($session, $parts) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $parts);
    my $object = TdsPeer::Catalog::object($session->{dbh}, $db, $schema, $name) or fail(3728, $name);
    $session->write_lock;
    TdsPeer::Catalog::write($session->{dbh}, q{update peer_objects set more = json_set(coalesce(more, '{}'), '$.disabled', 1) where object_id = ?},
        $object->{object_id});
    return;
}

sub drop_object {
    my ($session, $s) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($session->{database}, $s->{name});
    my $object = TdsPeer::Catalog::object($session->{dbh}, $db, $schema, $name) or fail(3701, 'drop', 'object', $name);
    $session->write_lock;
    TdsPeer::Catalog::write($session->{dbh}, 'delete from peer_objects where object_id = ?', $object->{object_id});
    return;
}

# --- ALTER TABLE

sub alter_table {
    my ($session, $s) = @_;
    my $table = table($session, $s->{table});
    $session->write_lock;
    return add($session, $table, $s) if $s->{action} eq 'add';
    return set_disabled($session, [@$table{qw(db schema)}, $s->{name}]) if $s->{action} eq 'nocheck';
    return drop($session, $table, $s) if $s->{action} eq 'drop';
    return alter_column($session, $table, $s->{column});
}

sub add {
    my ($session, $table, $s) = @_;
    my $dbh = $session->{dbh};
    for my $column (@{ $s->{columns} // [] }) {
        fail(2705, $column->{name}, $table->{name}) if $table->{column}{ lc $column->{name} };
        my %c = column($session, $column);
        my ($some) = $dbh->selectrow_array('select 1 from ' . quoted($table->{file_name}) . ' limit 1');
        fail(4901, $column->{name}, $table->{name}) if !$c{nullable} && !defined $c{default_text} && $some;
        TdsPeer::Catalog::add_column($dbh, $table->{object_id}, \%c);
        if (!defined $c{computed}) {
            $dbh->do('alter table ' . quoted($table->{file_name}) . ' add column ' . quoted($c{name}));
            if (defined $c{default_text} && !$c{nullable}) {
                my $translate = TdsPeer::Translate->new(session => $session);
                $dbh->do('update ' . quoted($table->{file_name}) . ' set ' . quoted($c{name}) . ' = '
                    . TdsPeer::Change::default_sql($translate, \%c, $table));
            }
        }
    }
    add_constraint($session, [@$table{qw(db schema name)}], $_) for @{ $s->{constraints} // [] };
    add_constraint($session, [@$table{qw(db schema name)}], $_) for map { @{ $_->{constraints} } } @{ $s->{columns} // [] };
    return;
}

# What keeps a column from being dropped or altered.
sub dependent {
    my ($table, $column) = @_;
    my ($index) = grep { grep { $_->{column_id} == $column->{column_id} } @{ $_->{columns} } } @{ $table->{indexes} };
    return ($index->{kind} =~ /\A(?:primary|unique)\z/ ? 'object' : 'index', $index->{name}) if $index;
    return ('object', $column->{default_name}) if defined $column->{default_name};
    return;
}

sub refuse_dependent {
    my ($table, $column, $verb) = @_;
    my ($kind, $name) = dependent($table, $column) or return;
    die TdsPeer::Error->new(4922, $verb, $column->{name})->preceded_by(TdsPeer::Error->new(5074, $kind, $name, 'column', $column->{name}));
}

sub drop {
    my ($session, $table, $s) = @_;
    my $dbh = $session->{dbh};
    for my $drop (@{ $s->{drops} }) {
        if ($drop->{kind} eq 'CONSTRAINT') {
            my $object = TdsPeer::Catalog::object($dbh, @$table{qw(db schema)}, $drop->{name});
            my ($index) = grep { lc $_->{name} eq lc $drop->{name} } @{ $table->{indexes} };
            my ($column) = grep { lc($_->{default_name} // '') eq lc $drop->{name} } @{ $table->{columns} };
            fail(3728, $drop->{name}) if !$object && !$column;
            drop_index_of($session, $table, $index) if $index;
            TdsPeer::Catalog::write($dbh, 'delete from peer_objects where object_id = ?', $object->{object_id}) if $object;
            $dbh->do('update peer_columns set default_text = null, default_name = null where object_id = ? and column_id = ?',
                undef, @$column{qw(object_id column_id)}) if $column;
            next;
        }
        my $column = $table->{column}{ lc $drop->{name} } or fail(4924, 'DROP COLUMN', $drop->{name}, $table->{name});
        refuse_dependent($table, $column, 'DROP COLUMN');
        fail(4923, $column->{name}) if @{ $table->{columns} } == 1;
        $dbh->do('alter table ' . quoted($table->{file_name}) . ' drop column ' . quoted($column->{name})) if !defined $column->{computed};
        TdsPeer::Catalog::write($dbh, 'delete from peer_columns where object_id = ? and column_id = ?', @$column{qw(object_id column_id)});
    }
    return;
}

sub alter_column {
    my ($session, $table, $c) = @_;
    my $dbh = $session->{dbh};
    my $column = $table->{column}{ lc $c->{name} } or fail(4924, 'ALTER COLUMN', $c->{name}, $table->{name});
    my %new = column($session, $c);
    $new{collation} = $column->{collation} if is_string($new{type}) && !defined $c->{collation};
    # A longer string may stay in an index.
    my $longer = $new{type}{name} eq $column->{type}{name} && defined $new{type}{size}
        && (max_length($new{type}) >= max_length($column->{type})) && ($new{collation} // '') eq ($column->{collation} // '') && max_length($new{type}) > 0;
    refuse_dependent($table, $column, 'ALTER COLUMN') if !$longer;
    my $translate = TdsPeer::Translate->new(session => $session);
    my $name = quoted($column->{name});
    my $value = $translate->as_type({ sql => $name, type => $column->{type} }, $new{type}, assign => 1, column => $column->{name},
        table => TdsPeer::Change::shown($table));
    $session->run_sql('update ' . quoted($table->{file_name}) . " set $name = $value", $table);
    my ($null) = $dbh->selectrow_array('select 1 from ' . quoted($table->{file_name}) . " where $name is null limit 1");
    fail(515, $column->{name}, TdsPeer::Change::shown($table), 'UPDATE') if $null && !$new{nullable};
    TdsPeer::Catalog::change_column($dbh, $table->{object_id}, $column->{name}, \%new);
    return;
}

# --- schemas and databases

sub create_schema {
    my ($session, $s) = @_;
    $session->write_lock;
    TdsPeer::Catalog::create_schema($session->{dbh}, $session->{database}, $s->{name});
    return;
}

sub drop_schema {
    my ($session, $s) = @_;
    my $dbh = $session->{dbh};
    TdsPeer::Catalog::schema($dbh, $session->{database}, $s->{name}) or return $s->{if_exists} ? undef : fail(15151, 'drop', 'schema', $s->{name});
    my ($object) = TdsPeer::Catalog::row($dbh, 'select name from peer_objects where db = ? and schema = ?', $session->{database}, $s->{name});
    fail(3729, $s->{name}, $object) if defined $object;
    $session->write_lock;
    TdsPeer::Catalog::write($dbh, 'delete from peer_schemas where db = ? and name = ?', $session->{database}, $s->{name});
    return;
}

sub create_database {
    my ($session, $s) = @_;
    fail(226, 'CREATE DATABASE') if $session->{transaction_count};
    fail(1801, $s->{name}) if TdsPeer::Catalog::database($session->{dbh}, $s->{name});
    TdsPeer::Catalog::create_database($session->{dbh}, $s->{name}, collation => $s->{collation},
        compatibility_level => $session->{default_level});
    return;
}

my %DURABILITY = (DISABLED => 0, ALLOWED => 1, FORCED => 2);

sub alter_database {
    my ($session, $s) = @_;
    my $name = $s->{name} // $session->{database};
    my $dbh = $session->{dbh};
    TdsPeer::Catalog::database($dbh, $name) or fail(911, $name);
    my ($column, $value) = @{ {
        COMPATIBILITY_LEVEL => ['compatibility_level', $s->{value}],
        DELAYED_DURABILITY => ['delayed_durability', $DURABILITY{ $s->{value} // '' }],
        READ_ONLY => ['is_read_only', 1], READ_WRITE => ['is_read_only', 0],
        READ_COMMITTED_SNAPSHOT => ['is_read_committed_snapshot_on', $s->{value}],
    }->{ $s->{option} } // return };
    TdsPeer::Catalog::write($dbh, "update peer_databases set $column = ? where name = ?", $value, $name);
    return;
}

# --- names

# Moves a table in the file and in the catalog.
sub move {
    my ($session, $table, $schema, $name) = @_;
    my $dbh = $session->{dbh};
    my $to = "$table->{db}.$schema.$name";
    fail(15335, $name, 'object') if TdsPeer::Catalog::object($dbh, $table->{db}, $schema, $name)
        && lc $to ne lc $table->{file_name};
    $session->write_lock;
    # By way of another name: SQLite takes two names that differ in case for one.
    $dbh->do('alter table ' . quoted($table->{file_name}) . ' rename to "peer_moving"');
    $dbh->do('alter table "peer_moving" rename to ' . quoted($to));
    TdsPeer::Catalog::write($dbh, 'update peer_objects set schema = ?, name = ? where object_id = ?', $schema, $name, $table->{object_id});
    TdsPeer::Catalog::write($dbh, 'update peer_objects set schema = ? where parent = ?', $schema, $table->{object_id});
    return;
}

sub transfer {
    my ($session, $s) = @_;
    my $table = table($session, $s->{object});
    my $schema = TdsPeer::Catalog::schema($session->{dbh}, $session->{database}, $s->{schema})
        or fail(15151, 'alter', 'schema', $s->{schema});
    return move($session, $table, $schema->{name}, $table->{name});
}

# sp_rename 'object', 'new name', 'OBJECT' | 'COLUMN'
sub rename {    ## no critic: the procedure's name
    my ($session, $db, $object, $to, $kind) = @_;
    $kind = uc($kind // 'OBJECT');
    fail(15249, $kind) if $kind !~ /\A(?:OBJECT|COLUMN)\z/;
    my $parser = TdsPeer::Parser->of($object, quoted_identifier => 1);
    my $parts = $parser->object_name;
    my $column = $kind eq 'COLUMN' ? pop @$parts : undef;
    my ($own, $schema, $name) = TdsPeer::Catalog::full_name($db, $parts);
    my $table = TdsPeer::Catalog::table($session->{dbh}, $db, $schema, $name) or fail(15225, $object, $db, $kind);
    if (!defined $column) {
        move($session, $table, $table->{schema}, $to);
    } else {
        my $there = $table->{column}{ lc $column } or fail(15248, $kind);
        fail(15335, $to, 'COLUMN') if $table->{column}{ lc $to } && lc $to ne lc $column;
        $session->write_lock;
        $session->{dbh}->do('alter table ' . quoted($table->{file_name}) . ' rename column ' . quoted($there->{name}) . ' to ' . quoted($to));
        TdsPeer::Catalog::write($session->{dbh}, 'update peer_columns set name = ? where object_id = ? and column_id = ?', $to, @$there{qw(object_id column_id)});
    }
    $session->caution;
    return;
}

1;

package Pg2any::Target::MySQL;

# A database of a MariaDB or MySQL server as the target of a test, and what is peculiar to it.
# Written from the type table in the documentation, not from the applier's code: it is the other
# opinion. The methods are those of Pg2any::Target::SQLite.
#
# Tables are called by their name, or `database`.`table` where they are in another database than
# the target's own.

use strict;
use warnings;
use Carp qw(croak);
use DBI;
use Pg2any::MySQL;
use Pg2any::Values qw(numeric_size six_digits);

# The errors of a connection that is gone, and of a server that is away or on its way down.
my %GONE = map { $_ => 1 } 1053, 1077, 1927, 2002, 2003, 2006, 2013, 2055;
my $NO_DATABASE = 1049;

my $server;
my $databases = 0;

# The server of all targets that do not bring one.
sub shared_server {
    $server //= Pg2any::MySQL->new(fast => 1);
    return $server;
}

# Pg2any::Target::MySQL->new(
#     server     => a Pg2any::MySQL,         # default: one for all targets of the test program
#     database   => 'name',                  # default: a new one; the applier makes it
#     origin     => 'cdc_slot',
#     uri        => [options of the server's uri()],
#     schema_map => {schema => 'database'},  # what the test tells the applier as well
# )
sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        server => $arg{server} // shared_server(),
        database => $arg{database} // 'target_' . ++$databases,
        origin => $arg{origin} // 'cdc_slot',
        uri => $arg{uri} // [],
        schema_map => $arg{schema_map} // {},
    }, $class;
    return $self;
}

sub kind { return 'mysql' }
sub applier { return 'apply-mysql' }
sub applier_args { return () }
sub server { return $_[0]{server} }
sub database { return $_[0]{database} }
sub dest { return $_[0]{server}->uri(db => $_[0]{database}, @{ $_[0]{uri} }) }

# For people: how to look at the target, and what --dest may be.
sub shell_hint {
    my ($self) = @_;
    return "mariadb -S $self->{server}{socket} -u root $self->{database}"
        . q{ -e 'select * from pg2any_checkpoint'};
}
sub example_dest { return 'mysql://user@host/database' }

# Remove what an earlier run left.
sub drop {
    my ($self) = @_;
    $self->disconnect;
    $self->{server}->do('drop database if exists ' . quoted($self->{database}));
    return;
}

# An empty target, for tables made by hand; a connection to it.
sub make {
    my ($self) = @_;
    $self->{server}->do('create database if not exists ' . quoted($self->{database}));
    return $self->dbh;
}

sub quoted { return '`' . $_[0] =~ s/`/``/gr . '`' }

# A connection; undef while the server is away or has no such database.
sub dbh {
    my ($self) = @_;
    if ($self->{dbh} && !$self->{dbh}->ping) {
        $self->disconnect;
    }
    if (!$self->{dbh} && !eval { $self->{dbh} = $self->new_dbh; 1 }) {
        my $number = $DBI::err // 0;
        croak $@ if !$GONE{$number} && $number != $NO_DATABASE;
    }
    return $self->{dbh};
}

# Another connection, for a session that does something beside.
sub new_dbh {
    my ($self) = @_;
    return $self->{server}->connect(db => $self->{database});
}

sub disconnect {
    my ($self) = @_;
    if (my $dbh = delete $self->{dbh}) {
        eval { $dbh->disconnect };
    }
    return;
}

# The first column of the first row; undef too when the database or the row is not there.
sub value {
    my ($self, $query, @bind) = @_;
    my $dbh = $self->dbh or return;
    return scalar $dbh->selectrow_array($query, undef, @bind);
}

sub rows {
    my ($self, $query, @bind) = @_;
    my $dbh = $self->dbh or return;
    return @{ $dbh->selectall_arrayref($query, undef, @bind) };
}

# Database and table of a table's name here.
sub name_parts {
    my ($self, $name) = @_;
    if ($name =~ /\A`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`\z/) {
        return map { s/``/`/gr } $1, $2;
    }
    return ($self->{database}, $name);
}

sub quoted_name {
    my ($self, $name) = @_;
    return join '.', map { quoted($_) } $self->name_parts($name);
}

# Names in information_schema compare without case, tables are told apart by it.
sub has_table {
    my ($self, $table) = @_;
    return $self->value('select count(*) from information_schema.tables where table_schema = ?'
        . ' and table_name = ? and cast(table_name as binary) = cast(? as binary)',
        ($self->name_parts($table))[0, 1, 1]);
}

# The checkpoint row as a hash: origin, remote_lsn, commit_time, system_identifier, timeline.
# undef while there is none, or while the server is away.
sub checkpoint {
    my ($self) = @_;
    my $row = eval {
        $self->has_table('pg2any_checkpoint') && $self->dbh->selectrow_hashref(
            'select * from pg2any_checkpoint where origin = ?', undef, $self->{origin});
    };
    croak $@ if $@ && !$GONE{ $DBI::err // 0 };
    return $row || undef;
}

# What schema.table is called here: a mapping says which database it is in.
sub table_name {
    my ($self, $schema, $table) = @_;
    my $database = $self->{schema_map}{$schema} // return $table;
    return quoted($database) . '.' . quoted($table);
}

# The same as SQL has it.
sub sql_name {
    my ($self, $schema, $table) = @_;
    return $self->quoted_name($self->{schema_map}{$schema} ? $self->table_name($schema, $table) : $table);
}

# [name, type, length of text, digits of a number] of each column, in order.
sub columns {
    my ($self, $table) = @_;
    return $self->rows('select column_name, data_type, character_maximum_length, numeric_precision'
        . ' from information_schema.columns where table_schema = ? and table_name = ?'
        . ' and cast(table_name as binary) = cast(? as binary) order by ordinal_position',
        ($self->name_parts($table))[0, 1, 1]);
}

sub column_names {
    my ($self, $table) = @_;
    return map { $_->[0] } $self->columns($table);
}

# The columns of the primary key, in the order of the key.
sub primary_key {
    my ($self, $table) = @_;
    return map { $_->[0] } $self->rows('select column_name from information_schema.statistics'
        . q{ where table_schema = ? and table_name = ? and index_name = 'PRIMARY'}
        . ' order by seq_in_index', $self->name_parts($table));
}

# Its other indexes: 'unique a,b', 'plain c', in no particular order.
sub other_indexes {
    my ($self, $table) = @_;
    return map { $_->[0] } $self->rows(q{select concat(if(min(non_unique) = 0, 'unique ', 'plain '),}
        . q{ group_concat(column_name order by seq_in_index)) from information_schema.statistics}
        . q{ where table_schema = ? and table_name = ? and index_name <> 'PRIMARY' group by index_name},
        $self->name_parts($table));
}

# Values that are odd to PostgreSQL and can be held here, as it writes them.
sub odd_values {
    return (
        latest => '9999-12-31 23:59:59.999999+00', earliest => '1000-01-01 00:00:00+00',
        far => '8192-12-31 23:59:59.999999+00', ancient => '1066-10-14 12:00+00',
        largest => '1.7976931348623157e308', smallest => '-1.7976931348623157e307',
        trailing => 'a ', blank => ' ', zero => '\x00', no_bytes => '',
    );
}

# The whole type of a column as the server says it, with its collation if it has one: 'int(11)',
# 'varchar(10) utf8mb4_bin'. Oracle's server does not tell the width of an int.
sub column_type {
    my ($self, $table, $column) = @_;
    my ($row) = $self->rows('select column_type, collation_name from information_schema.columns'
        . ' where table_schema = ? and table_name = ? and column_name = ?',
        $self->name_parts($table), $column);
    return if !$row;
    return join ' ', grep { defined } @$row;
}

# Precision and scale of the DECIMAL for that numeric, or nothing where there is none.
sub decimal_of {
    my ($typmod) = @_;
    my ($precision, $scale) = numeric_size($typmod) or return;
    return if $precision > 65 || $scale > 30;
    return ($precision, $scale);
}

# For a column of that base type (pg_type's name) and typmod:
#   sort     SQL over PostgreSQL's column (%s) that sorts as the target's values do
#   numeric  values are compared as numbers; exact: and must have the same digits
#   expect   from what DBD::Pg returns to what must be here; absent where it is the same
sub rule {
    my ($self, $type, $typmod) = @_;
    if ($type =~ /\A(?:bool|int2|int4|int8|oid|float4|float8)\z/) {
        return { sort => '%s', numeric => 1 };
    }
    if ($type eq 'numeric' && decimal_of($typmod)) {
        return { sort => '%s', numeric => 'exact' };
    }
    if ($type eq 'money') {
        return { sort => '%s', numeric => 'exact', expect => sub { $_[0] =~ tr/$,//dr } };
    }
    if ($type =~ /\A(?:bytea|date|uuid)\z/ || $type eq 'bit' && $typmod >= 1 && $typmod <= 64) {
        return { sort => '%s' };
    }
    if ($type =~ /\A(?:time|timestamp)\z/) {
        return { sort => '%s', expect => \&six_digits };
    }
    if ($type eq 'timestamptz') {
        return { sort => '%s', expect => sub { six_digits($_[0] =~ s/\+00\z//r) } };
    }
    if ($type =~ /\A(?:text|varchar)\z/) {
        return { sort => '%s collate "C"' };
    }
    # The output function's text. A cast to text would strip the blanks of char(n).
    return { sort => q{case when %1$s is null then null else format('%%s', %1$s) end collate "C"} };
}

# A column holds values of its type only.
sub misplaced { return }

# How to read a column, by what it is here: exactly, and always in the same form.
sub reading {
    my ($type, $digits, $name) = @_;
    return "$name + 0e0" if $type eq 'float';
    return "lpad(conv(hex($name), 16, 2), $digits, '0')" if $type eq 'bit';
    return "cast($name as datetime(6))" if $type =~ /\A(?:datetime|timestamp)\z/;
    return "cast($name as time(6))" if $type eq 'time';
    return $name;
}

# An iterator over a table's rows, each an array of the columns asked for, in the order of @$order
# (NULLs first, text by its bytes). One row at a time is in memory. On a connection of its own,
# which can do nothing else meanwhile.
sub ordered_rows {
    my ($self, $table, $columns, $order) = @_;
    my %column = map { $_->[0] => $_ } $self->columns($table);
    my @select = map {
        my (undef, $type, undef, $digits) = @{ $column{$_} };
        reading($type, $digits, quoted($_));
    } @$columns;
    my @sort = map {
        my (undef, $type, $length) = @{ $column{$_} };
        defined $length ? 'cast(' . quoted($_) . ' as binary)' : quoted($_);
    } @$order;
    my $dbh = $self->new_dbh;
    # Text that differs behind its first 1,024 bytes only would come in any order otherwise.
    $dbh->do('set max_sort_length = 8192, sort_buffer_size = 33554432');
    $dbh->do('set sql_mode = ?', undef, 'PAD_CHAR_TO_FULL_LENGTH');
    my $sth = $dbh->prepare('select ' . join(', ', @select) . ' from ' . $self->quoted_name($table)
        . (@sort ? ' order by ' . join(', ', @sort) : ''), { mysql_use_result => 1 });
    $sth->execute;
    return sub {
        my $row = $dbh && $sth->fetchrow_arrayref;
        if (!$row && $dbh) {
            $sth->finish;
            $dbh->disconnect;
            undef $dbh;
        }
        return $row;
    };
}

1;

package Pg2any::Target::MSSQL;

# A database of the TDS peer as the target of a test, and what is peculiar to SQL Server. Written
# from the type table in the documentation, not from the applier's code: it is the other opinion. The
# methods are those of Pg2any::Target::SQLite.
#
# What is in the target is read from the peer's SQLite file, whose form tests/tds-peer/README.md
# describes, without the peer; what a test changes goes through the peer, as T-SQL.

use strict;
use warnings;
use Carp qw(croak);
use DBD::SQLite::Constants qw(:file_open DBD_SQLITE_STRING_MODE_UNICODE_STRICT);
use DBI;
use Math::BigFloat;
use Pg2any::MSSQL;
use Pg2any::Values qw(numeric_size single six_digits);

my $server;
my $databases = 0;

# The server of all targets that do not bring one.
sub shared_server {
    $server //= Pg2any::MSSQL->new(fast => 1);
    return $server;
}

# Pg2any::Target::MSSQL->new(
#     server     => a Pg2any::MSSQL,         # default: one for all targets of the test program
#     database   => 'name',                  # default: a new one
#     origin     => 'cdc_slot',
#     uri        => [options of the server's uri()],   # default: without TLS
#     schema_map => {schema => 'schema'},    # default: public is dbo
# )
sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        server => $arg{server} // shared_server(),
        database => $arg{database} // 'target_' . ++$databases,
        origin => $arg{origin} // 'cdc_slot',
        uri => $arg{uri} // [parameters => { encrypt => 'no' }],
        schema_map => $arg{schema_map} // { public => 'dbo' },
    }, $class;
    $self->make if $self->{server}->running;
    return $self;
}

sub kind { return 'mssql' }
sub applier { return 'apply-mssql' }
sub server { return $_[0]{server} }
sub database { return $_[0]{database} }
sub dest { return $_[0]{server}->uri(db => $_[0]{database}, @{ $_[0]{uri} }) }

sub applier_args {
    my ($self) = @_;
    my $map = $self->{schema_map};
    return %$map ? ('--schema-map', join ',', map { "$_:$map->{$_}" } sort keys %$map) : ();
}

# For people: how to look at the target, and what --dest may be.
sub shell_hint {
    my ($self) = @_;
    return "sqlite3 $self->{server}{dir}/peer.db"
        . qq{ 'select * from "$self->{database}.dbo.pg2any_checkpoint"'};
}
sub example_dest { return 'sqlserver://user:password@host/database --schema-map public:dbo' }

sub quoted { return '[' . $_[0] =~ s/\]/]]/gr . ']' }

# Remove what an earlier run left: the server itself is of this run.
sub drop { $_[0]->disconnect; return }

# The database, empty, for tables made by hand; what runs T-SQL in it.
sub make {
    my ($self) = @_;
    my ($there) = $self->{server}->rows(
        "select name from sys.databases where name = N'$self->{database}'");
    $self->{server}->do('create database ' . quoted($self->{database})) if !$there;
    return $self->dbh;
}

# What runs T-SQL in the target.
sub dbh { return Pg2any::Target::MSSQL::Session->new($_[0]) }

sub tsql_rows {
    my ($self, $query) = @_;
    return $self->{server}->rows($query, db => $self->{database});
}

# ---- reading the file ----

# In their own order: decimals are text in the file.
sub by_number { return Math::BigFloat->new($_[0])->bcmp(Math::BigFloat->new($_[1])) }

sub file_dbh {
    my ($self) = @_;
    my $file = $self->{server}->db_file;
    return if !-s $file;
    if (!$self->{file_dbh}) {
        my $dbh = DBI->connect("dbi:SQLite:dbname=$file", '', '', {
            RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, AutoInactiveDestroy => 1,
            sqlite_open_flags => SQLITE_OPEN_READWRITE,
            sqlite_string_mode => DBD_SQLITE_STRING_MODE_UNICODE_STRICT,
        });
        $dbh->sqlite_busy_timeout(10_000);
        {
            # It looks for a collation of that name that there was before.
            no warnings qw(uninitialized);
            $dbh->sqlite_create_collation('by_number', \&by_number);
        }
        $self->{file_dbh} = $dbh;
    }
    return $self->{file_dbh};
}

sub disconnect {
    my ($self) = @_;
    if (my $dbh = delete $self->{file_dbh}) {
        $dbh->disconnect;
    }
    return;
}

# "database.schema.table" of a table's name here: 'table' is in dbo, 'schema.table' in its schema.
sub file_table {
    my ($self, $name) = @_;
    return $name =~ /\0/ ? "$self->{database}." . $name =~ s/\0/./r : "$self->{database}.dbo.$name";
}

sub file_tables {
    my ($self) = @_;
    my $dbh = $self->file_dbh or return;
    return @{
        $dbh->selectcol_arrayref(
            q{select name from sqlite_master where type = 'table' and name like ? escape '\\'},
            undef, ($self->{database} =~ s/([_%\\])/\\$1/gr) . '.%')
    };
}

# Queries of tests name a table of dbo by its name alone: views do.
sub with_views {
    my ($self) = @_;
    my $dbh = $self->file_dbh or return;
    my $has = $dbh->selectcol_arrayref(q{select name from sqlite_temp_master where type = 'view'});
    $dbh->do('drop view temp.' . $dbh->quote_identifier($_)) for @$has;
    for my $table ($self->file_tables) {
        my ($name) = $table =~ /\A\Q$self->{database}\E\.dbo\.(.+)\z/s or next;
        $dbh->do('create temp view ' . $dbh->quote_identifier($name) . ' as select * from main.'
            . $dbh->quote_identifier($table));
    }
    return $dbh;
}

# The first column of the first row; undef too when the file or the row is not there.
sub value {
    my ($self, $query, @bind) = @_;
    my $dbh = $self->with_views or return;
    return scalar $dbh->selectrow_array($query, undef, @bind);
}

sub rows {
    my ($self, $query, @bind) = @_;
    my $dbh = $self->with_views or return;
    return @{ $dbh->selectall_arrayref($query, undef, @bind) };
}

sub has_table {
    my ($self, $table) = @_;
    my $wanted = $self->file_table($table);
    return scalar grep { $_ eq $wanted } $self->file_tables;
}

# The checkpoint row as a hash: origin, remote_lsn, commit_time, system_identifier, timeline.
# undef while there is none.
sub checkpoint {
    my ($self) = @_;
    return if !$self->has_table('pg2any_checkpoint');
    my $dbh = $self->file_dbh;
    return $dbh->selectrow_hashref(
        'select * from ' . $dbh->quote_identifier($self->file_table('pg2any_checkpoint'))
            . ' where origin = ?', undef, $self->{origin});
}

# What schema.table is called here.
sub table_name {
    my ($self, $schema, $table) = @_;
    my $there = $self->{schema_map}{$schema} // $schema;
    return $there eq 'dbo' ? $table : "$there\0$table";
}

sub tsql_name {
    my ($self, $name) = @_;
    my ($schema, $table) = $name =~ /\A(.*)\0(.*)\z/s ? ($1, $2) : ('dbo', $name);
    return quoted($schema) . '.' . quoted($table);
}

# The same as SQL has it.
sub sql_name {
    my ($self, $schema, $table) = @_;
    return $self->tsql_name($schema eq 'public' ? $table : $self->table_name($schema, $table));
}

sub literal { return q{N'} . $_[0] =~ s/'/''/gr . q{'} }

# [name, type, max_length, precision, scale, collation] of each column, in order.
sub columns {
    my ($self, $table) = @_;
    my $id = 'object_id(' . literal($self->tsql_name($table)) . ')';
    return $self->tsql_rows('select c.name, t.name, c.max_length, c.precision, c.scale,'
        . ' c.collation_name from sys.columns as c inner join sys.types as t'
        . " on t.user_type_id = c.user_type_id where c.object_id = $id order by c.column_id");
}

sub column_names {
    my ($self, $table) = @_;
    my $dbh = $self->file_dbh or return;
    return map { $_->[0] } @{
        $dbh->selectall_arrayref('select name from pragma_table_info(?) order by cid', undef,
            $self->file_table($table))
    };
}

# The whole type of a column: 'nvarchar(40) Latin1_General_100_BIN2', 'decimal(10,2)', 'int'.
sub column_type {
    my ($self, $table, $column) = @_;
    my ($c) = grep { $_->[0] eq $column } $self->columns($table) or return;
    my (undef, $type, $bytes, $precision, $scale, $collation) = @$c;
    my $size
        = $type =~ /\A(?:nvarchar|nchar)\z/ ? ($bytes < 0 ? 'max' : $bytes / 2)
        : $type =~ /\A(?:varbinary|varchar)\z/ ? ($bytes < 0 ? 'max' : $bytes)
        : $type eq 'decimal' ? "$precision,$scale"
        : $type =~ /\A(?:time|datetime2|datetimeoffset)\z/ ? $scale
        : undef;
    return $type . (defined $size ? "($size)" : '') . (defined $collation ? " $collation" : '');
}

# The columns of the primary key, in the order of the key.
sub primary_key {
    my ($self, $table) = @_;
    my $id = 'object_id(' . literal($self->tsql_name($table)) . ')';
    return map { $_->[0] } $self->tsql_rows('select c.name from sys.indexes as i'
        . ' inner join sys.index_columns as k on k.object_id = i.object_id and k.index_id = i.index_id'
        . ' inner join sys.columns as c on c.object_id = k.object_id and c.column_id = k.column_id'
        . " where i.object_id = $id and i.is_primary_key = 1 order by k.key_ordinal");
}

# Its other indexes: 'unique a,b', 'plain c', in no particular order.
sub other_indexes {
    my ($self, $table) = @_;
    my $id = 'object_id(' . literal($self->tsql_name($table)) . ')';
    my (%columns, %unique);
    for my $row ($self->tsql_rows('select i.name, i.is_unique, c.name from sys.indexes as i'
        . ' inner join sys.index_columns as k on k.object_id = i.object_id and k.index_id = i.index_id'
        . ' inner join sys.columns as c on c.object_id = k.object_id and c.column_id = k.column_id'
        . " where i.object_id = $id and i.is_primary_key = 0 order by i.name, k.key_ordinal")) {
        push @{ $columns{$row->[0]} }, $row->[2];
        $unique{$row->[0]} = $row->[1];
    }
    return map { ($unique{$_} ? 'unique ' : 'plain ') . join ',', @{ $columns{$_} } } keys %columns;
}

# ---- values ----

# Values that are odd to PostgreSQL and can be held here, as it writes them. SQL Server takes keys
# for equal that differ in trailing blanks or zero bytes.
sub odd_values {
    return (
        latest => '9999-12-31 23:59:59.999999+00', earliest => '0001-01-01 00:00:00+00',
        far => '8192-12-31 23:59:59.999999+00', ancient => '1066-10-14 12:00+00',
        largest => '1.7976931348623157e308', smallest => '-1.7976931348623157e307',
        trailing => 'a_', blank => '_', zero => '\xfe01', no_bytes => '\xff01',
    );
}

sub is_decimal {
    my ($typmod) = @_;
    my ($precision) = numeric_size($typmod);
    return defined $precision && $precision <= 38;
}

# For a column of that base type (pg_type's name) and typmod:
#   sort     SQL over PostgreSQL's column (%s) that sorts as the target's values do
#   numeric  values are compared as numbers; exact: and must have the same digits
#   expect   from what DBD::Pg returns to what must be here; absent where it is the same
sub rule {
    my ($self, $type, $typmod) = @_;
    if ($type =~ /\A(?:bool|int2|int4|int8|oid|float8)\z/) {
        return { sort => '%s', numeric => 1 };
    }
    if ($type eq 'float4') {
        # Single precision as a double, not the shortest text that reads back.
        return { sort => '%s', numeric => 1, expect => \&single };
    }
    if ($type eq 'numeric' && is_decimal($typmod)) {
        return { sort => '%s', numeric => 'exact' };
    }
    if ($type eq 'money') {
        return { sort => '%s', numeric => 'exact', expect => sub { $_[0] =~ tr/$,//dr } };
    }
    if ($type =~ /\A(?:bytea|date)\z/) {
        return { sort => '%s' };
    }
    if ($type eq 'uuid') {
        return { sort => '%s', expect => sub { uc $_[0] } };
    }
    if ($type =~ /\A(?:time|timestamp)\z/) {
        return { sort => '%s', expect => \&six_digits };
    }
    if ($type eq 'timestamptz') {
        return { sort => '%s', expect => sub { six_digits($_[0] =~ s/\+00\z//r) . ' +00:00' } };
    }
    if ($type =~ /\A(?:text|varchar)\z/) {
        return { sort => '%s collate "C"' };
    }
    # The output function's text. A cast to text would strip the blanks of char(n).
    return { sort => q{case when %1$s is null then null else format('%%s', %1$s) end collate "C"} };
}

# A column holds values of its type only.
sub misplaced { return }

# An iterator over a table's rows, each an array of the columns asked for, in the order of @$order
# (NULLs first). One row at a time is in memory.
sub ordered_rows {
    my ($self, $table, $columns, $order) = @_;
    my %type = map { $_->[0] => $_->[1] } $self->columns($table);
    my $dbh = $self->file_dbh;
    my @sort = map {
        $dbh->quote_identifier($_)
            . ($type{$_} =~ /\A(?:decimal|money)\z/ ? ' collate by_number' : ' collate binary')
    } @$order;
    my $sth = $dbh->prepare('select ' . join(', ', map { $dbh->quote_identifier($_) } @$columns)
        . ' from ' . $dbh->quote_identifier($self->file_table($table))
        . (@sort ? ' order by ' . join(', ', @sort) : ''));
    $sth->execute;
    return sub { return $sth->fetchrow_arrayref };
}

package Pg2any::Target::MSSQL::Session;

# What a test does to the target: T-SQL through the peer.

use strict;
use warnings;

sub new {
    my ($class, $target) = @_;
    return bless { target => $target }, $class;
}

sub do {    ## no critic: DBI's name for it
    my ($self, @statements) = @_;
    my $target = $self->{target};
    return $target->server->do(@statements, { db => $target->database });
}

sub disconnect { return }

1;

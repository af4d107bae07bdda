package TdsPeer::Catalog;

# What the peer knows of databases, schemas, tables, columns, indexes and keys: tables of its own
# in the SQLite file, and the catalog views over them (Microsoft, "System catalog views"). Names are
# compared without case, as under the default collation of a database.

use strict;
use warnings;
use DBD::SQLite::Constants qw(DBD_SQLITE_STRING_MODE_UNICODE_STRICT);
use JSON::PP ();
use TdsPeer::Error qw(fail);
use TdsPeer::Types qw(type_of type_text max_length is_string is_exact);

our $DEFAULT_COLLATION = 'SQL_Latin1_General_CP1_CI_AS';

my @SCHEMA = (
    'create table if not exists peer_databases (database_id integer primary key, name text collate'
        . ' nocase unique, compatibility_level int, collation_name text, is_read_only int,'
        . ' delayed_durability int, is_read_committed_snapshot_on int)',
    'create table if not exists peer_schemas (schema_id integer primary key, db text collate nocase,'
        . ' name text collate nocase, unique (db, name))',
    'create table if not exists peer_objects (object_id integer primary key, db text collate nocase,'
        . ' schema text collate nocase, name text collate nocase, type text, parent int, more text,'
        . ' unique (db, schema, name))',
    'create table if not exists peer_columns (object_id int, column_id int, name text collate nocase,'
        . ' type text, nullable int, collation text, identity text, default_text text,'
        . ' default_name text, computed text, primary key (object_id, column_id), unique (object_id, name))',
    'create table if not exists peer_indexes (object_id int, index_id int, name text collate nocase,'
        . ' clustered int, is_unique int, kind text, file_name text, primary key (object_id, index_id))',
    'create table if not exists peer_index_columns (object_id int, index_id int, key_ordinal int,'
        . ' column_id int)',
);
my $json = JSON::PP->new->canonical;

# The rest of the peer handles text as bytes; the catalog's names are characters.
sub write {    ## no critic: of a catalog
    my ($dbh, $sql, @values) = @_;
    local $dbh->{sqlite_string_mode} = DBD_SQLITE_STRING_MODE_UNICODE_STRICT;
    return $dbh->do($sql, undef, @values);
}

sub row {
    my ($dbh, $sql, @values) = @_;
    local $dbh->{sqlite_string_mode} = DBD_SQLITE_STRING_MODE_UNICODE_STRICT;
    return $dbh->selectrow_array($sql, undef, @values);
}

sub row_hash {
    my ($dbh, $sql, @values) = @_;
    local $dbh->{sqlite_string_mode} = DBD_SQLITE_STRING_MODE_UNICODE_STRICT;
    return $dbh->selectrow_hashref($sql, undef, @values);
}

sub row_hashes {
    my ($dbh, $sql, @values) = @_;
    local $dbh->{sqlite_string_mode} = DBD_SQLITE_STRING_MODE_UNICODE_STRICT;
    return $dbh->selectall_arrayref($sql, { Slice => {} }, @values);
}

sub install {
    my ($dbh) = @_;
    $dbh->do($_) for @SCHEMA;
    return;
}

sub create_database {
    my ($dbh, $name, %option) = @_;
    TdsPeer::Catalog::write($dbh, 'insert into peer_databases (name, compatibility_level, collation_name, is_read_only,'
        . ' delayed_durability, is_read_committed_snapshot_on) values (?, ?, ?, 0, 0, 0)', $name, $option{compatibility_level} // 160, $option{collation} // $DEFAULT_COLLATION);
    for my $schema (qw(dbo guest sys INFORMATION_SCHEMA)) {
        create_schema($dbh, $name, $schema);
    }
    return;
}

sub database {
    my ($dbh, $name) = @_;
    return row_hash($dbh, 'select * from peer_databases where name = ?', $name);
}

sub create_schema {
    my ($dbh, $db, $name) = @_;
    fail(2714, $name) if schema($dbh, $db, $name);
    TdsPeer::Catalog::write($dbh, 'insert into peer_schemas (db, name) values (?, ?)', $db, $name);
    return;
}

sub schema {
    my ($dbh, $db, $name) = @_;
    return row_hash($dbh, 'select * from peer_schemas where db = ? and name = ?', $db, $name);
}

# [database, schema, object] of a name of one to three parts.
sub full_name {
    my ($session_db, $parts) = @_;
    my @parts = @$parts;
    unshift @parts, undef while @parts < 3;
    return ($parts[0] // $session_db, $parts[1] // 'dbo', $parts[2]);
}

sub object {
    my ($dbh, $db, $schema, $name) = @_;
    return row_hash($dbh, 'select * from peer_objects where db = ? and schema = ? and name = ?', $db, $schema, $name);
}

# A table with its columns and indexes; undef where there is none. `file_name` is its table in the
# file.
sub table {
    my ($dbh, $db, $schema, $name) = @_;
    my $object = object($dbh, $db, $schema, $name);
    return if !$object || $object->{type} ne 'U';
    return with_columns($dbh, $object);
}

sub with_columns {
    my ($dbh, $object) = @_;
    my %table = (%$object, file_name => "$object->{db}.$object->{schema}.$object->{name}");
    $table{columns} = [map { column_of($_) } @{
        row_hashes($dbh, 'select * from peer_columns where object_id = ? order by column_id', $object->{object_id}) }];
    $table{column} = { map { lc $_->{name} => $_ } @{ $table{columns} } };
    $table{indexes} = row_hashes($dbh, 
        'select * from peer_indexes where object_id = ? order by index_id', $object->{object_id});
    for my $index (@{ $table{indexes} }) {
        my $ids = $dbh->selectcol_arrayref('select column_id from peer_index_columns where object_id = ?'
            . ' and index_id = ? order by key_ordinal', undef, @$index{qw(object_id index_id)});
        my %by_id = map { $_->{column_id} => $_ } @{ $table{columns} };
        $index->{columns} = [map { $by_id{$_} } @$ids];
    }
    $table{foreign} = foreign_keys($dbh, $object->{object_id});
    return \%table;
}

sub column_of {
    my ($row) = @_;
    return { %$row, type => $json->decode($row->{type}),
        identity => defined $row->{identity} ? $json->decode($row->{identity}) : undef };
}

# Foreign keys of a table, and those that refer to it.
sub foreign_keys {
    my ($dbh, $object_id) = @_;
    my $rows = row_hashes($dbh, q{select * from peer_objects where type = 'F' and (parent = ?
        or json_extract(more, '$.to') = cast(? as integer))}, $object_id, $object_id);
    return [map { { %$_, %{ $json->decode($_->{more}) } } } @$rows];
}

sub add_object {
    my ($dbh, %object) = @_;
    fail(2714, $object{name}) if object($dbh, @object{qw(db schema name)});
    $dbh->do('insert into peer_objects (db, schema, name, type, parent, more) values (?, ?, ?, ?, ?, ?)',
        undef, @object{qw(db schema name type parent)}, $object{more} ? $json->encode($object{more}) : undef);
    return $dbh->sqlite_last_insert_rowid;
}

sub add_column {
    my ($dbh, $object_id, $column) = @_;
    my ($id) = row($dbh, 'select coalesce(max(column_id), 0) + 1 from peer_columns where object_id = ?', $object_id);
    TdsPeer::Catalog::write($dbh, 'insert into peer_columns values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', $object_id, $id,
        $column->{name}, $json->encode($column->{type}), $column->{nullable} ? 1 : 0, $column->{collation},
        $column->{identity} ? $json->encode($column->{identity}) : undef,
        @$column{qw(default_text default_name computed)});
    return $id;
}

sub change_column {
    my ($dbh, $object_id, $name, $column) = @_;
    $dbh->do('update peer_columns set type = ?, nullable = ?, collation = ? where object_id = ? and name = ?',
        undef, $json->encode($column->{type}), $column->{nullable} ? 1 : 0, $column->{collation}, $object_id, $name);
    return;
}

# --- catalog views: the query behind each, of one database, and the types of its columns

my $TYPES = type_of({ name => 'nvarchar', arguments => [128] });
my %KIND = (
    n => type_of({ name => 'nvarchar', arguments => [128] }),
    i => type_of({ name => 'int', arguments => [] }),
    s => type_of({ name => 'smallint', arguments => [] }),
    t => type_of({ name => 'tinyint', arguments => [] }),
    b => type_of({ name => 'bit', arguments => [] }),
    m => type_of({ name => 'nvarchar', arguments => ['max'] }),
);

# What a foreign key does, as the catalog has it.
sub action {
    my ($event) = @_;
    return "${event}_referential_action:t=case json_extract(more, '\$.$event') when 'CASCADE' then 1 when 'SET NULL' then 2 else 0 end";
}

# name => [columns as "name:kind=expression", FROM …]; :db stands for the database.
my %VIEW = (
    'sys.databases' => [['name:n', 'database_id:i', 'compatibility_level:t', 'collation_name:n', 'is_read_only:b',
        'delayed_durability:i', 'is_read_committed_snapshot_on:b', "state:t=0", "state_desc:n='ONLINE'",
        "snapshot_isolation_state:t=0", "recovery_model:t=1"], 'peer_databases'],
    'sys.schemas' => [['name:n', 'schema_id:i'], 'peer_schemas where db = :db'],
    'sys.objects' => [['name:n', 'object_id:i', 'schema_id:i=(select schema_id from peer_schemas s where'
            . ' s.db = o.db and s.name = o.schema)', 'parent_object_id:i=coalesce(parent, 0)', 'type:n'],
        'peer_objects o where db = :db'],
    'sys.tables' => [['name:n', 'object_id:i', 'schema_id:i=(select schema_id from peer_schemas s where'
            . ' s.db = o.db and s.name = o.schema)', "type:n='U'", 'is_replicated:b=0', 'is_tracked_by_cdc:b=0',
        'temporal_type:t=0', "temporal_type_desc:n='NON_TEMPORAL_TABLE'", 'is_memory_optimized:b=0', 'is_published:b=0', 'is_external:b=0'],
        q{peer_objects o where db = :db and type = 'U'}],
    'sys.views' => [['name:n', 'object_id:i', 'schema_id:i=0'], q{peer_objects where db = :db and type = 'V'}],
    'sys.triggers' => [['name:n', 'object_id:i', 'parent_id:i=parent', q{is_disabled:b=coalesce(json_extract(more, '$.disabled'), 0)}],
        q{peer_objects where db = :db and type = 'TR'}],
    'sys.sql_expression_dependencies' => [['referencing_id:i=0', 'referenced_id:i=0',
        'is_schema_bound_reference:b=0'], 'peer_objects where 0'],
    'sys.columns' => [['object_id:i', 'name:n', 'column_id:i', 'system_type_id:t', 'user_type_id:i',
        'max_length:s', 'precision:t', 'scale:t', 'collation_name:n', 'is_nullable:b', 'is_identity:b',
        'is_computed:b', 'generated_always_type:t', 'is_rowguidcol:b', 'default_object_id:i', 'is_hidden:b',
        'is_sparse:b'], \&columns_rows],
    'sys.types' => [['name:n', 'system_type_id:t', 'user_type_id:i'], \&types_rows],
    'sys.indexes' => [['object_id:i', 'name:n', 'index_id:i', 'type:t=case clustered when 1 then 1 else 2 end',
        'is_unique:b', q{is_primary_key:b=kind = 'primary'}, q{is_unique_constraint:b=kind = 'unique'}, q{has_filter:b=kind = 'filtered'},
        q{ignore_dup_key:b=kind = 'ignoring'}, 'is_disabled:b=0', 'is_hypothetical:b=0'],
        'peer_indexes where object_id in (select object_id from peer_objects where db = :db)'],
    'sys.index_columns' => [['object_id:i', 'index_id:i', 'column_id:i', 'key_ordinal:t', 'is_included_column:b=0',
        'is_descending_key:b=0'],
        'peer_index_columns where object_id in (select object_id from peer_objects where db = :db)'],
    'sys.key_constraints' => [['name:n', 'object_id:i', 'parent_object_id:i=parent', 'type:n'],
        q{peer_objects where db = :db and type in ('PK', 'UQ')}],
    'sys.foreign_keys' => [['name:n', 'object_id:i', 'parent_object_id:i=parent',
        q{referenced_object_id:i=json_extract(more, '$.to')}, q{is_disabled:b=coalesce(json_extract(more, '$.disabled'), 0)},
        action('delete'), action('update')],
        q{peer_objects where db = :db and type = 'F'}],
    'sys.check_constraints' => [['name:n', 'parent_object_id:i=0'], 'peer_objects where 0'],
    'sys.default_constraints' => [['name:n=default_name', 'parent_object_id:i=object_id', 'parent_column_id:i=column_id',
        'definition:m=default_text'], 'peer_columns where default_text is not null'],
    'sys.database_permissions' => [['class:t=1', 'major_id:i=0', 'minor_id:i=0'], 'peer_objects where 0'],
    'sys.identity_columns' => [['object_id:i', 'name:n', 'column_id:i'], 'peer_columns where identity is not null'],
    'information_schema.tables' => [['TABLE_CATALOG:n=db', 'TABLE_SCHEMA:n=schema', 'TABLE_NAME:n=name',
        q{TABLE_TYPE:n='BASE TABLE'}], q{peer_objects where db = :db and type = 'U'}],
);

# Views whose columns need Perl: literals.
sub columns_rows {
    my ($dbh, $db) = @_;
    my $rows = row_hashes($dbh, 'select c.* from peer_columns c join peer_objects o using (object_id)'
        . ' where o.db = ? order by c.object_id, c.column_id', $db);
    my @out;
    for my $c (map { column_of($_) } @$rows) {
        my $type = $c->{type};
        my $id = TdsPeer::Types::type_id($type);
        push @out, [@$c{qw(object_id name column_id)}, $id, $id, max_length($type), $type->{precision} // 0,
            $type->{scale} // 0, $c->{collation}, $c->{nullable}, $c->{identity} ? 1 : 0,
            defined $c->{computed} ? 1 : 0, 0, 0, defined $c->{default_text} ? 1 : 0, 0, 0];
    }
    return \@out;
}

sub types_rows {
    my @out;
    for my $name (TdsPeer::Types::type_names()) {
        my $id = TdsPeer::Types::type_id({ name => $name });
        push @out, [$name, $id, $id];
    }
    return \@out;
}

sub quoted_text {
    my ($text) = @_;
    utf8::encode($text);
    return q{'} . $text =~ s/'/''/gr . q{'};
}

# The columns of a catalog view [{name, type}] and its query, or nothing.
sub view {
    my ($dbh, $db, $schema, $name) = @_;
    my $view = $VIEW{ lc "$schema.$name" } or return;
    my ($columns, $from) = @$view;
    my (@columns, @select);
    for my $column (@$columns) {
        my ($column_name, $kind, $expression) = $column =~ /\A(\w+):(\w)(?:=(.*))?\z/s;
        push @columns, { name => $column_name, type => $KIND{$kind} };
        push @select, ($expression // $column_name) . " as \"$column_name\"";
    }
    if (ref $from) {
        my @rows = map { '(' . join(', ', map { defined $_ ? quoted_text($_) : 'null' } @$_) . ')' } @{ $from->($dbh, $db) };
        my $n = 0;
        my $list = join ', ', map {
            my $numeric = $_->{type}{name} ne 'nvarchar';
            $n++;
            ($numeric ? "cast(column$n as integer)" : "column$n") . " as \"$_->{name}\""
        } @columns;
        return (\@columns, @rows ? "(select $list from (values " . join(', ', @rows) . '))'
            : '(select ' . join(', ', map { "null as \"$_->{name}\"" } @columns) . ' where 0)');
    }
    my $quoted = quoted_text($db);
    return (\@columns, '(select ' . join(', ', @select) . ' from ' . ($from =~ s/:db\b/$quoted/gr) . ')');
}

1;

package Pg2any::Target::SQLite;

# A SQLite file as the target of a test, and what is peculiar to it: how a table of PostgreSQL is
# called there, what each value must look like, and how rows are read back in order. Written from
# the type table in the documentation, not from the applier's code: it is the other opinion.
#
# Another target is another module with the same methods.

use strict;
use warnings;
use Carp qw(croak);
use DBD::SQLite::Constants qw(:file_open DBD_SQLITE_STRING_MODE_UNICODE_STRICT);
use DBI;
use Errno ();
use Pg2any::Scratch qw(fresh_name);

# Pg2any::Target::SQLite->new(file => FILE, origin => 'cdc_slot')
sub new {
    my ($class, %arg) = @_;
    return bless {
        file => $arg{file} // fresh_name('target.db'),
        origin => $arg{origin} // 'cdc_slot',
    }, $class;
}

sub kind { return 'sqlite' }
sub applier { return 'apply-sqlite' }
sub applier_args { return () }
sub dest { return $_[0]{file} }
sub file { return $_[0]{file} }

# For people: how to look at the target, and what --dest may be.
sub shell_hint {
    my ($self) = @_;
    return "sqlite3 $self->{file} 'select * from pg2any_checkpoint'";
}
sub example_dest { return 'mine.db' }

# Remove what an earlier run left.
sub drop {
    my ($self) = @_;
    $self->disconnect;
    for my $file (map { "$self->{file}$_" } '', '-wal', '-shm') {
        unlink $file or $!{ENOENT} or croak "cannot remove $file: $!";
    }
    return;
}

# A connection that never creates the file; undef while there is none. Text comes back as
# characters, blobs as bytes.
sub dbh {
    my ($self) = @_;
    return if !-s $self->{file};
    if (!$self->{dbh}) {
        $self->{dbh} = DBI->connect("dbi:SQLite:dbname=$self->{file}", '', '', {
            RaiseError => 1, PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1,
            sqlite_open_flags => SQLITE_OPEN_READWRITE,
            sqlite_string_mode => DBD_SQLITE_STRING_MODE_UNICODE_STRICT,
        });
        $self->{dbh}->sqlite_busy_timeout(10_000);
    }
    return $self->{dbh};
}

sub disconnect {
    my ($self) = @_;
    if (my $dbh = delete $self->{dbh}) {
        $dbh->disconnect;
    }
    return;
}

# An empty target, for tables made by hand; a connection to it.
sub make {
    my ($self) = @_;
    DBI->connect("dbi:SQLite:dbname=$self->{file}", '', '', { RaiseError => 1 })->do('vacuum');
    return $self->dbh;
}

# The first column of the first row; undef too when the file or the row is not there.
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

sub has_table {
    my ($self, $table) = @_;
    return $self->value(q{select count(*) from sqlite_master where type = 'table' and name = ?},
        $table);
}

# The checkpoint row as a hash: origin, remote_lsn, commit_time, system_identifier, timeline.
# undef while there is none.
sub checkpoint {
    my ($self) = @_;
    return if !$self->has_table('pg2any_checkpoint');
    return $self->dbh->selectrow_hashref('select * from pg2any_checkpoint where origin = ?',
        undef, $self->{origin});
}

# What schema.table is called here without a mapping.
sub table_name {
    my ($self, $schema, $table) = @_;
    return $schema eq 'public' ? $table : "${schema}_$table";
}

# The same as SQL has it.
sub sql_name {
    my ($self, $schema, $table) = @_;
    return '"' . $self->table_name($schema, $table) =~ s/"/""/gr . '"';
}

sub column_names {
    my ($self, $table) = @_;
    return map { $_->[0] } $self->rows('select name from pragma_table_info(?) order by cid',
        $table);
}

# The columns of the primary key, in the order of the key.
sub primary_key {
    my ($self, $table) = @_;
    return map { $_->[0] } $self->rows(
        'select name from pragma_table_info(?) where pk > 0 order by pk', $table);
}

# Its other indexes: 'unique a,b', 'plain c', in no particular order.
sub other_indexes {
    my ($self, $table) = @_;
    return map { ($_->[1] ? 'unique ' : 'plain ') . join ',', map { $_->[0] } $self->rows(
        'select name from pragma_index_info(?) order by seqno', $_->[0]) }
        $self->rows(q{select name, "unique" from pragma_index_list(?) where origin <> 'pk'}, $table);
}

# Values that are odd to PostgreSQL and can be held here, as it writes them.
sub odd_values {
    return (
        latest => 'infinity', earliest => '-infinity', far => '294276-12-31 23:59:59.999999+00',
        ancient => '0044-03-15 12:00+00 BC', largest => 'infinity', smallest => '-infinity',
        trailing => 'a ', blank => ' ', zero => '\x00', no_bytes => '',
    );
}

# numeric(p, s) with p at most 15 and 0 ≤ s ≤ p: the precision is in the upper half of the typmod, the
# scale, which may be negative, in the lower 11 bits.
sub fits_double {
    my ($typmod) = @_;
    return 0 if $typmod < 4;
    my ($precision, $scale) = ($typmod - 4 >> 16 & 0xffff, ($typmod - 4 & 0x7ff ^ 1024) - 1024);
    return $precision <= 15 && $scale >= 0 && $scale <= $precision;
}

# For a column of that base type (pg_type's name) and typmod:
#   sort     SQL over PostgreSQL's column (%s) that sorts as the target's values do
#   numeric  values are compared as numbers
#   expect   from what DBD::Pg returns to what must be here; absent where it is the same
#   storage  the storage classes that values may have
sub rule {
    my ($self, $type, $typmod) = @_;
    if ($type =~ /\A(?:bool|int2|int4|int8|oid)\z/) {
        return { sort => '%s', numeric => 1, storage => ['integer'] };
    }
    if ($type =~ /\A(?:float4|float8)\z/) {
        return { sort => '%s', numeric => 1, storage => ['real'] };
    }
    if ($type eq 'numeric' && fits_double($typmod)) {
        return { sort => '%s', numeric => 1, storage => ['integer', 'real'] };
    }
    if ($type eq 'bytea') {
        return { sort => '%s', storage => ['blob'] };
    }
    if ($type =~ /\A(?:text|varchar)\z/) {
        return { sort => '%s collate "C"', storage => ['text'] };
    }
    if ($type eq 'uuid') {
        return { sort => '%s', storage => ['text'] };
    }
    # The output function's text. A cast to text would strip the blanks of char(n).
    my $text = q{case when %1$s is null then null else format('%%s', %1$s) end};
    if ($type eq 'timestamptz') {
        return {
            sort => qq{regexp_replace($text, '\\+00( BC)?\$', '+00:00\\1') collate "C"},
            expect => sub {
                my ($text_here) = @_;
                return substr($text_here, -3) eq '+00'
                    ? "$text_here:00" : $text_here =~ s/\+00 BC\z/+00:00 BC/r;
            },
            storage => ['text'],
        };
    }
    return { sort => qq{$text collate "C"}, storage => ['text'] };
}

# What is wrong with the storage classes of a table's values: [column, class, count] each.
# %rules: column name to rule.
sub misplaced {
    my ($self, $table, %rules) = @_;
    my $dbh = $self->dbh;
    my @columns = sort keys %rules;
    return if !@columns;
    my @sums = map {
        my $fine = join ', ', map { "'$_'" } 'null', @{ $rules{$_}{storage} };
        my $name = $dbh->quote_identifier($_);
        # A number's type can hold 'NaN' and 'Infinity' as text only.
        my $special = $rules{$_}{numeric} ? "and $name not in ('NaN', 'Infinity', '-Infinity')" : '';
        "sum(typeof($name) not in ($fine) $special)";
    } @columns;
    my @counts = $dbh->selectrow_array(
        'select ' . join(', ', @sums) . ' from ' . $dbh->quote_identifier($table));
    my @wrong;
    for my $i (grep { $counts[$_] } 0 .. $#columns) {
        my $name = $dbh->quote_identifier($columns[$i]);
        my $classes = $dbh->selectcol_arrayref(
            "select distinct typeof($name) from " . $dbh->quote_identifier($table));
        push @wrong, [$columns[$i], join('/', sort @$classes), $counts[$i]];
    }
    return @wrong;
}

# An iterator over a table's rows, each an array of the columns asked for, in the order of @$order
# (NULLs first). One row at a time is in memory.
sub ordered_rows {
    my ($self, $table, $columns, $order) = @_;
    my $dbh = $self->dbh;
    my $query = 'select ' . join(', ', map { $dbh->quote_identifier($_) } @$columns)
        . ' from ' . $dbh->quote_identifier($table)
        . ' order by ' . join(', ', map { $dbh->quote_identifier($_) . ' collate binary' } @$order);
    my $sth = $dbh->prepare($query);
    $sth->execute;
    return sub { return $sth->fetchrow_arrayref };
}

1;

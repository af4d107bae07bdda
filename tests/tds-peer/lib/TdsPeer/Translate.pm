package TdsPeer::Translate;

# T-SQL queries, conditions and expressions to SQLite's SQL, with the types and collations that
# SQL Server would give them. Text is in bytes of UTF-8 from here to the file.
#
# An expression becomes {sql, type, collation, coercible}: a literal or variable takes the collation
# of what it is compared with, two columns of different collations cannot be compared (Microsoft,
# "Collation precedence").

use strict;
use warnings;
use TdsPeer::Catalog;
use TdsPeer::Error qw(fail);
use TdsPeer::Types qw(type_of type_text converter is_string is_number is_exact is_time wider);

my $INT = type_of({ name => 'int', arguments => [] });
my $BIGINT = type_of({ name => 'bigint', arguments => [] });
my $FLOAT = type_of({ name => 'float', arguments => [] });
my $NAME = type_of({ name => 'nvarchar', arguments => [128] });
my $NULL = { name => 'null' };

# new(session => a TdsPeer::Session)
sub new {
    my ($class, %arg) = @_;
    return bless { session => $arg{session}, scopes => [], variables => {}, hints => {} }, $class;
}

sub dbh { return $_[0]{session}{dbh} }
sub db { return $_[0]{session}{database} }
sub default_collation { return $_[0]{session}->default_collation }

sub quoted { return '"' . $_[0] =~ s/"/""/gr . '"' }

sub bytes {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

sub literal { return q{'} . bytes($_[0]) =~ s/'/''/gr . q{'} }

# --- conversion

# The SQL of an expression as another type.
sub as_type {
    my ($self, $x, $to, %how) = @_;
    if ($x->{type}{name} eq 'null' || type_text($x->{type}) eq type_text($to) && !$how{assign}) {
        return $x->{sql};
    }
    my $id = $self->{session}->converter_id($x->{type}, $to, %how);
    my $sql = "peer_convert($x->{sql}, $id)";
    # Text that a function of Perl returns becomes a number in SQLite where it looks like one. So it
    # has a letter before it.
    return $sql if TdsPeer::Types::is_integer($to) || TdsPeer::Types::is_float($to);
    return "substr($sql, 2)" if !TdsPeer::Types::is_binary($to);
    # substr() makes NULL of no bytes.
    return "case when $x->{sql} is null then null else ifnull(substr(cast($sql as blob), 2), x'') end";
}

# --- comparing

sub resolve_collation {
    my ($self, $x, $y) = @_;
    my @given = grep { defined $_->{collation} } $x, $y;
    my ($explicit) = grep { $_->{explicit} } @given;
    return $explicit->{collation} if $explicit;
    my @implicit = grep { !$_->{coercible} } @given;
    if (@implicit == 2 && lc $implicit[0]{collation} ne lc $implicit[1]{collation}) {
        fail(468, $implicit[0]{collation}, $implicit[1]{collation}, 'equal to');
    }
    return @implicit ? $implicit[0]{collation} : $self->default_collation;
}

sub check_collation {
    my ($name) = @_;
    fail(448, $name) if $name !~ /\A(?:SQL_)?[A-Za-z]\w*_(?:BIN2?|C[IS]_A[IS])\w*\z/i && lc $name ne 'database_default';
    return $name;
}

# What is compared instead of a value: blanks at the end of text and zeros at the end of bytes do
# not count.
sub key_sql {
    my ($sql, $type, $collation) = @_;
    if (is_string($type)) {
        return "rtrim($sql, ' ')" . ($collation =~ /_CI_/i ? ' collate nocase' : '');
    }
    return TdsPeer::Types::is_binary($type) ? "rtrim(hex($sql), '0')" : $sql;
}

sub compare {
    my ($self, $op, $x, $y) = @_;
    my ($l, $r) = ($x->{type}, $y->{type});
    if (is_string($l) && is_string($r)) {
        my $collation = $self->resolve_collation($x, $y);
        return join " $op ", map { key_sql($_->{sql}, $_->{type}, $collation) } $x, $y;
    }
    if ($l->{name} eq 'null' || $r->{name} eq 'null') {
        return "$x->{sql} $op $y->{sql}";
    }
    my $type = wider($l, $r);
    if (is_exact($l) || is_exact($r)) {
        my @sql = map { is_exact($_->{type}) ? "cast($_->{sql} as real)" : $_->{sql} } $x, $y;
        if ($op =~ /\A(?:=|<>)\z/ && is_exact($type)) {
            my ($scale) = sort { $b <=> $a } map { $_->{type}{scale} // 0 } $x, $y;
            my $wide = { name => 'decimal', precision => 38, scale => $scale };
            @sql = map { $self->as_type($_, $wide) } $x, $y;
        }
        return "$sql[0] $op $sql[1]";
    }
    return join " $op ", map { key_sql($self->as_type($_, $type), $type) } $x, $y;
}

# --- expressions

sub expression {
    my ($self, $e) = @_;
    my $method = "expression_$e->{k}";
    fail(102, $e->{k}) if !$self->can($method);
    return $self->$method($e);
}

sub expression_string {
    my ($self, $e) = @_;
    my $text = $e->{value};
    # Without N it is of the code page.
    $text =~ s/[^\x00-\xff]/?/g if !$e->{national};
    my $units = TdsPeer::Types::utf16_units($text) || 1;
    my $name = $e->{national} ? 'nvarchar' : 'varchar';
    my $size = $units > ($e->{national} ? 4000 : 8000) ? -1 : $units;
    utf8::upgrade($text);
    return { sql => literal($text), type => { name => $name, size => $size },
        collation => $self->default_collation, coercible => 1, constant => $text };
}

sub expression_constant {
    my ($self, $e) = @_;
    my $value = $e->{value};
    if ($e->{kind} eq 'integer') {
        my $digits = length $value =~ s/\A0+(?=.)//r;
        return { sql => $value, type => $INT, constant => $value } if $digits < 10 || $digits == 10 && $value <= 2147483647;
        return { sql => "'$value'", type => { name => 'decimal', precision => $digits, scale => 0 } };
    } elsif ($e->{kind} eq 'decimal') {
        my ($whole, $fraction) = $value =~ /\A(\d*)\.(\d*)\z/;
        return { sql => "'" . ($whole eq '' ? '0' : $whole) . ($fraction eq '' ? '' : ".$fraction") . "'",
            type => { name => 'decimal', precision => length("$whole$fraction") || 1, scale => length $fraction } };
    } elsif ($e->{kind} eq 'float') {
        return { sql => $value, type => $FLOAT };
    }
    # The lexer gives the bytes.
    return { sql => "x'" . unpack('H*', $value) . "'", type => { name => 'varbinary', size => length($value) || 1 } };
}

sub expression_null { return { sql => 'null', type => $NULL } }

sub expression_variable {
    my ($self, $e) = @_;
    my $variable = $self->{session}->variable($e->{name});
    $self->{variables}{ lc $e->{name} } = 1;
    return { sql => ':' . lc($e->{name}) =~ s/\A\@/v_/r, type => $variable->{type},
        collation => $self->default_collation, coercible => 1 };
}

sub expression_system {
    my ($self, $e) = @_;
    my $value = $self->{session}->system_value($e->{name});
    return { sql => $value =~ /\A-?\d+\z/ ? $value : literal($value), type => $value =~ /\A-?\d+\z/ ? $INT : $NAME,
        coercible => 1, collation => $self->default_collation };
}

sub expression_collate {
    my ($self, $e) = @_;
    my $x = $self->expression($e->{e});
    fail(447, $x->{type}{name}) if !is_string($x->{type});
    my $name = lc $e->{collation} eq 'database_default' ? $self->default_collation : check_collation($e->{collation});
    return { %$x, collation => $name, explicit => 1, coercible => 0 };
}

sub expression_column {
    my ($self, $e) = @_;
    my @parts = @{ $e->{parts} };
    my $name = lc pop @parts;
    my $qualifier = @parts ? lc $parts[-1] : undef;
    for my $scope (reverse @{ $self->{scopes} }) {
        my @found = map { $_->{column}{$name} // () }
            grep { !defined $qualifier || lc $_->{alias} eq $qualifier } @$scope;
        fail(209, $e->{parts}[-1]) if @found > 1;
        return { %{ $found[0] } } if @found;
    }
    fail(4104, join '.', map { $_ // '' } @{ $e->{parts} }) if defined $qualifier;
    return fail(207, $e->{parts}[-1]);
}

sub expression_subquery {
    my ($self, $e) = @_;
    my $query = $self->query($e->{query});
    fail(116) if @{ $query->{columns} } != 1;
    return { %{ $query->{columns}[0] }, sql => "($query->{sql})" };
}

sub expression_negative {
    my ($self, $e) = @_;
    my $x = $self->expression($e->{e});
    return { sql => "'" . ($x->{sql} =~ /\A'([\d.]+)'\z/ ? "-$1" : '') . "'", type => $x->{type} }
        if is_exact($x->{type}) && $x->{sql} =~ /\A'/;
    return { %$x, sql => "-($x->{sql})" };
}

sub expression_binary {
    my ($self, $e) = @_;
    my ($x, $y) = map { $self->expression($e->{$_}) } qw(l r);
    if ($e->{op} eq '+' && is_string($x->{type}) && is_string($y->{type})) {
        my $type = wider($x->{type}, $y->{type});
        my $size = $x->{type}{size} < 0 || $y->{type}{size} < 0 ? -1 : $x->{type}{size} + $y->{type}{size};
        return { sql => "($x->{sql} || $y->{sql})", type => { %$type, size => $size },
            collation => $self->resolve_collation($x, $y), coercible => $x->{coercible} && $y->{coercible} };
    }
    my $type = wider($x->{type}, $y->{type});
    fail(402, $x->{type}{name}, $y->{type}{name}, $e->{op}) if !is_number($type) || is_exact($type);
    my @sql = map { $self->as_type($_, $type) } $x, $y;
    return { sql => "($sql[0] $e->{op} $sql[1])", type => $type };
}

sub expression_convert {
    my ($self, $e) = @_;
    my $x = $self->expression($e->{e});
    my $to = type_of($e->{type}, 30);
    my $style = 0;
    if ($e->{style}) {
        $style = $self->expression($e->{style})->{constant} // fail(102, 'style');
    }
    my %coll = is_string($to) ? (collation => $x->{collation} // $self->default_collation, coercible => $x->{coercible} // 1) : ();
    my $from = $x->{type}{name} eq 'sql_variant' ? $x->{base} : $x->{type};
    my $sql = type_text($from) eq type_text($to) ? $x->{sql}
        : $self->as_type({ %$x, type => $from }, $to, style => $style);
    return { sql => $sql, type => $to, %coll };
}

sub expression_case {
    my ($self, $e) = @_;
    my (@when, @then);
    for my $when (@{ $e->{whens} }) {
        push @when, $e->{base} ? $self->compare('=', $self->expression($e->{base}), $self->expression($when->[0]))
            : $self->condition($when->[0]);
        push @then, $self->expression($when->[1]);
    }
    my $else = $e->{else} ? $self->expression($e->{else}) : $self->expression_null;
    my $type = $self->common_type(@then, $else);
    return { sql => 'case ' . join(' ', map { "when $when[$_] then " . $self->as_type($then[$_], $type) } 0 .. $#when)
            . ' else ' . $self->as_type($else, $type) . ' end', type => $type,
        is_string($type) ? (collation => $self->default_collation, coercible => 1) : () };
}

sub common_type {
    my ($self, @x) = @_;
    my @types = grep { $_->{name} ne 'null' } map { $_->{type} } @x;
    my $type = shift @types or return $INT;
    $type = wider($type, $_) for @types;
    return $type;
}

# name => [least arguments, most, code(self, e, arguments)]
my %FUNCTION = (
    COALESCE => [2, 99, sub {
        my ($self, $e, @x) = @_;
        my $type = $self->common_type(@x);
        return { %{ $x[0] }, sql => 'coalesce(' . join(', ', map { $self->as_type($_, $type) } @x) . ')', type => $type };
    }],
    ISNULL => [2, 2, sub {
        my ($self, $e, $x, $y) = @_;
        return { %$x, sql => "coalesce($x->{sql}, " . $self->as_type($y, $x->{type}) . ')' };
    }],
    NULLIF => [2, 2, sub {
        my ($self, $e, $x, $y) = @_;
        return { %$x, sql => 'case when ' . $self->compare('=', $x, $y) . " then null else $x->{sql} end" };
    }],
    DATALENGTH => [1, 1, sub {
        my ($self, $e, $x) = @_;
        my $wide = $x->{type}{name} =~ /\An/;
        return { sql => is_string($x->{type}) ? ($wide ? "peer_units($x->{sql}) * 2" : "length($x->{sql})")
                : "length(cast($x->{sql} as blob))", type => $INT };
    }],
    LEN => [1, 1, sub { my ($self, $e, $x) = @_; return { sql => "peer_units(rtrim($x->{sql}, ' '))", type => $INT } }],
    UPPER => [1, 1, sub { my ($self, $e, $x) = @_; return { %$x, sql => "upper($x->{sql})" } }],
    LOWER => [1, 1, sub { my ($self, $e, $x) = @_; return { %$x, sql => "lower($x->{sql})" } }],
    QUOTENAME => [1, 1, sub { my ($self, $e, $x) = @_; return { %$x, type => $NAME, sql => "'[' || replace($x->{sql}, ']', ']]') || ']'" } }],
    OBJECT_ID => [1, 2, sub {
        my ($self, $e, @x) = @_;
        return { sql => 'peer_object_id(' . join(', ', map { $_->{sql} } @x) . ')', type => $INT };
    }],
    DB_ID => [0, 1, sub {
        my ($self, $e, $x) = @_;
        my $name = $x ? $x->{sql} : literal($self->db);
        return { sql => "(select database_id from peer_databases where name = $name)", type => $INT };
    }],
    DB_NAME => [0, 0, sub { my ($self) = @_; return $self->text_value($self->db) }],
    SCHEMA_NAME => [0, 0, sub { my ($self) = @_; return $self->text_value('dbo') }],
    SCHEMA_ID => [0, 1, sub {
        my ($self, $e, $x) = @_;
        my $name = $x ? $x->{sql} : q{'dbo'};
        return { sql => '(select schema_id from peer_schemas where db = ' . literal($self->db) . " and name = $name)", type => $INT };
    }],
    USER_NAME => [0, 0, sub { my ($self) = @_; return $self->text_value('dbo') }],
    SUSER_SNAME => [0, 0, sub { my ($self) = @_; return $self->text_value($self->{session}{user} // 'sa') }],
    SERVERPROPERTY => [1, 1, sub {
        my ($self, $e, $x) = @_;
        my $value = $self->{session}->server_property($x->{constant} // '');
        my $number = defined $value && $value =~ /\A\d+\z/;
        return { sql => !defined $value ? 'null' : $number ? $value : literal($value), type => { name => 'sql_variant' },
            base => $number ? $INT : $NAME, collation => $self->default_collation };
    }],
    XACT_STATE => [0, 0, sub { my ($self) = @_; return { sql => $self->{session}->xact_state, type => type_of({ name => 'smallint', arguments => [] }) } }],
    ROWCOUNT_BIG => [0, 0, sub { my ($self) = @_; return { sql => $self->{session}{rowcount}, type => $BIGINT } }],
    HAS_PERMS_BY_NAME => [3, 3, sub {
        my ($self, $e, $name, $class, $permission) = @_;
        if (uc($class->{constant} // '') =~ /\A(?:DATABASE|SCHEMA)\z/) {
            my $ddl = ($permission->{constant} // '') =~ /\A(?:ALTER|CREATE TABLE)\z/i;
            return { sql => $ddl ? $self->{session}->may_alter : 1, type => $INT };
        }
        return { sql => $self->{session}->may_alter, type => $INT } if ($name->{constant} // '') =~ /\bsys\.sql_expression_dependencies\z/;
        return { sql => "case when peer_object_id($name->{sql}) is null then null else " . $self->{session}->may_alter . ' end', type => $INT };
    }],
    ISJSON => [1, 1, sub { my ($self, $e, $x) = @_; return { sql => "json_valid($x->{sql})", type => $INT } }],
    COUNT => [0, 1, sub { my ($self, $e, $x) = @_; return { sql => $x ? "count($x->{sql})" : 'count(*)', type => $INT } }],
    COUNT_BIG => [0, 1, sub { my ($self, $e, $x) = @_; return { sql => $x ? "count($x->{sql})" : 'count(*)', type => $BIGINT } }],
    (map { my $f = lc; $_ => [1, 1, sub { my ($self, $e, $x) = @_; return { %$x, sql => "$f($x->{sql})" } }] } qw(MIN MAX SUM)),
);

sub text_value {
    my ($self, $text) = @_;
    return { sql => literal($text), type => $NAME, collation => $self->default_collation, coercible => 1 };
}

sub expression_function {
    my ($self, $e) = @_;
    my $function = $FUNCTION{ uc $e->{name} } or fail(195, $e->{text} // $e->{name}, 'built-in function name');
    my ($least, $most, $code) = @$function;
    my $n = @{ $e->{arguments} };
    fail($least == $most ? (174, lc $e->{name}, $least) : (189, lc $e->{name}, $least, $most)) if $n < $least || $n > $most;
    return $code->($self, $e, map { $self->expression($_) } @{ $e->{arguments} });
}

# --- conditions

sub condition {
    my ($self, $c) = @_;
    my $method = "condition_$c->{k}";
    fail(102, $c->{k}) if !$self->can($method);
    return $self->$method($c);
}

sub condition_and { my ($self, $c) = @_; return '(' . join(' and ', map { $self->condition($_) } @{ $c->{parts} }) . ')' }
sub condition_or { my ($self, $c) = @_; return '(' . join(' or ', map { $self->condition($_) } @{ $c->{parts} }) . ')' }
sub condition_not { my ($self, $c) = @_; return 'not (' . $self->condition($c->{c}) . ')' }

sub condition_compare {
    my ($self, $c) = @_;
    return '(' . $self->compare($c->{op}, map { $self->expression($c->{$_}) } qw(l r)) . ')';
}

sub condition_isnull {
    my ($self, $c) = @_;
    return $self->expression($c->{e})->{sql} . ($c->{not} ? ' is not null' : ' is null');
}

sub condition_exists {
    my ($self, $c) = @_;
    return 'exists (' . $self->query($c->{query})->{sql} . ')';
}

sub condition_in {
    my ($self, $c) = @_;
    my $x = $self->expression($c->{e});
    my $sql = join ' or ', map { $self->compare('=', $x, $self->expression($_)) } @{ $c->{list} };
    return $c->{not} ? "not ($sql)" : "($sql)";
}

sub condition_in_query {
    my ($self, $c) = @_;
    my $query = $self->query($c->{query});
    fail(116) if @{ $query->{columns} } != 1;
    return $self->expression($c->{e})->{sql} . ($c->{not} ? ' not' : '') . " in ($query->{sql})";
}

sub condition_between {
    my ($self, $c) = @_;
    my $x = $self->expression($c->{e});
    my $sql = $self->compare('>=', $x, $self->expression($c->{low})) . ' and '
        . $self->compare('<=', $x, $self->expression($c->{high}));
    return $c->{not} ? "not ($sql)" : "($sql)";
}

sub condition_like {
    my ($self, $c) = @_;
    return $self->expression($c->{e})->{sql} . ($c->{not} ? ' not' : '') . ' like ' . $self->expression($c->{pattern})->{sql} =~ s/\[_\]/\\_/gr . q{ escape '\\'};
}

# --- sources: {alias, columns => [{name, sql, type, collation}], column => {name => …}}

sub add_source {
    my ($self, $alias, @columns) = @_;
    my %source = (alias => $alias, columns => \@columns);
    for my $column (@columns) {
        $column->{sql} = quoted(bytes($alias)) . '.' . quoted(bytes($column->{name}));
        $source{column}{ lc $column->{name} } = $column;
    }
    push @{ $self->{scopes}[-1] }, \%source;
    return \%source;
}

sub source {
    my ($self, $s) = @_;
    my $method = "source_$s->{k}";
    return $self->$method($s);
}

sub source_join {
    my ($self, $s) = @_;
    my $left = $self->source($s->{l});
    my $right = $self->source($s->{r});
    my $word = { CROSS => 'cross join', INNER => 'inner join', LEFT => 'left join' }->{ $s->{type} };
    # CROSS JOIN fixes the order of the loops in SQLite; here it must be free.
    $word = 'inner join' if $s->{type} eq 'CROSS';
    return "$left $word $right" . ($s->{on} ? ' on ' . $self->condition($s->{on}) : '');
}

sub source_table {
    my ($self, $s) = @_;
    my ($db, $schema, $name) = TdsPeer::Catalog::full_name($self->db, $s->{parts});
    my $alias = $s->{alias} // $name;
    $self->{hints}{ uc $_ } = 1 for @{ $s->{hints} // [] };
    if (lc $schema eq 'sys' || lc $schema eq 'information_schema') {
        TdsPeer::Catalog::database($self->dbh, $db) or fail(911, $db);
        my ($columns, $sql) = TdsPeer::Catalog::view($self->dbh, $db, $schema, $name);
        fail(208, join '.', map { $_ // '' } @{ $s->{parts} }) if !$columns;
        # Of the catalog's views the one that is not for everybody: for db_owner (its page, "Permissions").
        fail(229, 'SELECT', $name, 'mssqlsystemresource', $schema) if lc $name eq 'sql_expression_dependencies' && !$self->{session}->may_alter;
        $self->add_source($alias, map { +{ %$_, collation => is_string($_->{type}) ? $self->default_collation : undef } } @$columns);
        # The rows were read into it: it is of this moment.
        $self->{volatile} = 1;
        return "$sql as " . quoted(bytes($alias));
    }
    my $table = TdsPeer::Catalog::table($self->dbh, $db, $schema, $name)
        or fail(208, join '.', map { $_ // '' } @{ $s->{parts} });
    my $source = $self->add_source($alias,
        map { +{ name => $_->{name}, type => $_->{type}, collation => $_->{collation} } } @{ $table->{columns} });
    $source->{table} = $table;
    return quoted(bytes($table->{file_name})) . ' as ' . quoted(bytes($alias));
}

sub source_derived {
    my ($self, $s) = @_;
    my $query = $self->query($s->{query});
    return $self->named_source($s, $query->{sql}, @{ $query->{columns} });
}

# A derived table whose columns may get other names.
sub named_source {
    my ($self, $s, $sql, @columns) = @_;
    if ($s->{columns}) {
        fail(8159, $s->{alias}) if @{ $s->{columns} } < @columns;
        fail(8158, $s->{alias}) if @{ $s->{columns} } > @columns;
        my @from = map { quoted(bytes($_->{name})) } @columns;
        @columns = map { +{ %{ $columns[$_] }, name => $s->{columns}[$_] } } 0 .. $#columns;
        $sql = 'select ' . join(', ', map { "$from[$_] as " . quoted(bytes($columns[$_]{name})) } 0 .. $#columns) . " from ($sql)";
    }
    for my $i (0 .. $#columns) {
        fail(8155, $i + 1, $s->{alias}) if !defined $columns[$i]{name};
    }
    $self->add_source($s->{alias}, map { +{ %$_ } } @columns);
    return "($sql) as " . quoted(bytes($s->{alias}));
}

sub source_values {
    my ($self, $s) = @_;
    my @rows = map { [map { $self->expression($_) } @$_] } @{ $s->{rows} };
    fail(10709) if grep { @$_ != @{ $rows[0] } } @rows;
    my @columns;
    for my $i (0 .. $#{ $rows[0] }) {
        my $type = $self->common_type(map { $_->[$i] } @rows);
        push @columns, { name => 'column' . ($i + 1), type => $type,
            is_string($type) ? (collation => $self->default_collation, coercible => 1) : () };
    }
    my $sql = 'select * from (values ' . join(', ', map {
        my $row = $_;
        '(' . join(', ', map { $self->as_type($row->[$_], $columns[$_]{type}) } 0 .. $#$row) . ')'
    } @rows) . ')';
    return $self->named_source($s, $sql, @columns);
}

# LIMIT keeps the subquery from being merged into the query around it, which would convert each
# value as often as it is named.
sub source_openjson {
    my ($self, $s) = @_;
    fail(102, 'OPENJSON') if !$s->{with} || $s->{path};
    fail(208, 'OPENJSON') if $self->{session}->compatibility_level < 130;
    my $document = $self->expression($s->{json});
    my (@select, @columns);
    for my $column (@{ $s->{with} }) {
        my $type = type_of($column->{type});
        my $path = $column->{path} // "\$.\"$column->{name}\"";
        fail(13607, substr($path, 0, 1), 0) if $path !~ /\A(?:lax\s+)?\$(?:\.(?:\w+|"[^"]*")|\[\d+\])*\z/;
        $path =~ s/\Alax\s+//;
        my $value = "json_extract(e.value, '" . bytes($path) =~ s/'/''/gr . "')";
        $value = "cast($value as text)" if is_string($type);
        my $x = { sql => $value, type => { name => 'nvarchar', size => -1 } };
        # What WITH does to text that is too long is not documented: here it is an error.
        my %how = is_string($type) ? (assign => 1, column => $column->{name}, table => 'OPENJSON') : (json => 1);
        my $sql = $type->{name} eq 'nvarchar' && $type->{size} < 0 ? $value : $self->as_type($x, $type, %how);
        push @select, "$sql as " . quoted(bytes($column->{name}));
        push @columns, { name => $column->{name}, type => $type,
            collation => is_string($type) ? $column->{collation} // $self->default_collation : undef };
    }
    my $alias = $s->{alias} // 'openjson';
    $self->add_source($alias, @columns);
    return '(select ' . join(', ', @select) . " from json_each($document->{sql}) as e limit -1) as " . quoted(bytes($alias));
}

# --- queries: {sql, columns}

sub query {
    my ($self, $q) = @_;
    if ($q->{k} eq 'set') {
        my ($l, $r) = map { $self->query($q->{$_}) } qw(l r);
        fail(205) if @{ $l->{columns} } != @{ $r->{columns} };
        return { sql => "select * from ($l->{sql}) " . lc($q->{op}) . " select * from ($r->{sql})", columns => $l->{columns} };
    }
    push @{ $self->{scopes} }, [];
    my $from = $q->{from} ? ' from ' . $self->source($q->{from}) : '';
    my (@select, @columns);
    for my $item (@{ $q->{items} }) {
        if ($item->{star}) {
            my $prefix = $item->{star}[-1];
            for my $source (grep { !defined $prefix || lc $_->{alias} eq lc $prefix } @{ $self->{scopes}[-1] }) {
                for my $column (@{ $source->{columns} }) {
                    push @select, $column->{sql} . ' as ' . quoted(bytes($column->{name}));
                    push @columns, { %$column };
                }
            }
            next;
        }
        my $x = $self->expression($item->{e});
        my $name = $item->{name};
        push @select, $x->{sql} . ' as ' . quoted(bytes($name // 'column' . (@select + 1)));
        push @columns, { %$x, name => $name, variable => $item->{variable} };
    }
    my $where = $q->{where} ? ' where ' . $self->condition($q->{where}) : '';
    my $group = $q->{group} ? ' group by ' . join(', ', map { $self->expression($_)->{sql} } @{ $q->{group} }) : '';
    my $order = $q->{order} ? ' order by ' . join(', ', map {
        my $x = $self->expression($_->{e});
        ($x->{constant} // '') =~ /\A\d+\z/ ? $x->{constant}
            : key_sql($x->{sql}, $x->{type}, $x->{collation} // '') . ($_->{descending} ? ' desc' : '')
    } @{ $q->{order} }) : '';
    my $limit = $q->{top} ? ' limit ' . $self->expression($q->{top})->{sql} : '';
    my $distinct = $q->{distinct} ? 'distinct ' : '';
    pop @{ $self->{scopes} };
    return { sql => "select $distinct" . join(', ', @select) . $from . $where . $group . $order . $limit, columns => \@columns };
}

1;

package TdsPeer::Parser::Query;

# Queries and the statements that change rows (Microsoft, "SELECT", "FROM", "OPENJSON", "INSERT",
# "UPDATE", "DELETE", "TRUNCATE TABLE").

use strict;
use warnings;
use TdsPeer::Error qw(fail);
use TdsPeer::Lexer;

sub select_statement {
    my ($self) = @_;
    my $query = $self->query(1);
    $self->query_options;
    return { k => 'query', query => $query };
}

# A query with its set operators and ORDER BY: {k => select | set, …, order => […]}.
sub query {
    my ($self, $statement) = @_;
    return $self->deeper(sub {
        my $query = $self->union;
        if ($self->accept('ORDER', 'BY')) {
            $query->{order} = $self->order_list;
            if ($self->accept('OFFSET')) {
                $self->refuse;
            }
        }
        return $query;
    });
}

sub union {
    my ($self) = @_;
    my $left = $self->intersection;
    while (my $op = $self->accept_any('UNION', 'EXCEPT')) {
        $op = 'UNION ALL' if $op eq 'UNION' && $self->accept('ALL');
        $left = { k => 'set', op => $op, l => $left, r => $self->intersection };
    }
    return $left;
}

sub intersection {
    my ($self) = @_;
    my $left = $self->query_term;
    while ($self->accept('INTERSECT')) {
        $left = { k => 'set', op => 'INTERSECT', l => $left, r => $self->query_term };
    }
    return $left;
}

sub query_term {
    my ($self) = @_;
    if ($self->accept_op('(')) {
        my $inner = $self->deeper(sub { $self->union });
        $self->expect_op(')');
        return $inner;
    }
    $self->expect('SELECT');
    my %select = (k => 'select', line => $self->line);
    $select{distinct} = 1 if $self->accept('DISTINCT');
    $self->accept('ALL');
    $select{top} = $self->top(1);
    $select{items} = $self->select_list;
    $self->refuse if $self->is_word('INTO');
    if ($self->accept('FROM')) {
        $select{from} = $self->from_list;
    }
    $select{where} = $self->condition if $self->accept('WHERE');
    if ($self->accept('GROUP', 'BY')) {
        my @group;
        do { push @group, $self->expression } while $self->accept_op(',');
        $select{group} = \@group;
    }
    $select{having} = $self->condition if $self->accept('HAVING');
    return \%select;
}

# TOP (n); SELECT alone may leave the parentheses out.
sub top {
    my ($self, $bare) = @_;
    return undef if !$self->accept('TOP');    ## no critic: a value in lists too
    my $value;
    if ($self->accept_op('(')) {
        $value = $self->expression;
        $self->expect_op(')');
    } elsif ($bare && $self->peek->{kind} eq 'integer') {
        $value = $self->primary;
    } else {
        $self->refuse;
    }
    $self->refuse if $self->is_word('PERCENT') || $self->is_word('WITH') && $self->is_word('TIES', 1);
    return $value;
}

sub select_list {
    my ($self) = @_;
    my @items;
    do { push @items, $self->select_item } while $self->accept_op(',');
    return \@items;
}

sub select_item {
    my ($self) = @_;
    if ($self->accept_op('*')) {
        return { star => [] };
    }
    # t.* with up to two qualifiers before it
    my $ahead = 0;
    while ($self->peek($ahead)->{kind} =~ /\A(?:word|name)\z/ && $self->is_op('.', $ahead + 1)) {
        $ahead += 2;
    }
    if ($ahead && $self->is_op('*', $ahead)) {
        my @prefix;
        while (!$self->accept_op('*')) {
            push @prefix, $self->name;
            $self->expect_op('.');
        }
        return { star => \@prefix };
    }
    if ($self->peek->{kind} eq 'variable' && $self->is_op('=', 1)) {
        my $variable = $self->next_token->{value};
        $self->next_token;
        return { variable => $variable, e => $self->expression };
    }
    if ($self->peek->{kind} =~ /\A(?:word|name)\z/ && $self->is_op('=', 1)) {
        my $name = $self->name;
        $self->next_token;
        return { name => $name, e => $self->expression };
    }
    my $e = $self->expression;
    my $name;
    if ($self->accept('AS')) {
        my $string = $self->accept_kind('string');
        $name = $string ? $string->{value} : $self->name;
    } else {
        $name = $self->peek->{kind} eq 'string' ? $self->next_token->{value} : $self->accept_name;
    }
    $name //= $e->{parts}[-1] if $e->{k} eq 'column';
    return { name => $name, e => $e };
}

sub order_list {
    my ($self) = @_;
    my @order;
    do {
        my $e = $self->expression;
        my $descending = $self->accept('DESC') ? 1 : 0;
        $self->accept('ASC') if !$descending;
        push @order, { e => $e, descending => $descending };
    } while ($self->accept_op(','));
    return \@order;
}

# --- FROM

sub from_list {
    my ($self) = @_;
    my $from = $self->joined;
    while ($self->accept_op(',')) {
        $from = { k => 'join', type => 'CROSS', l => $from, r => $self->joined };
    }
    return $from;
}

sub joined {
    my ($self) = @_;
    my $left = $self->source;
    while (1) {
        if ($self->accept('CROSS', 'JOIN')) {
            $left = { k => 'join', type => 'CROSS', l => $left, r => $self->source };
        } elsif ($self->accept('CROSS', 'APPLY')) {
            my $right = $self->source;
            $self->refuse if $right->{k} ne 'openjson';
            $left = { k => 'join', type => 'CROSS', l => $left, r => $right, apply => 1 };
        } elsif ($self->is_word('JOIN') || $self->is_word('INNER') || $self->is_word('LEFT')) {
            my $type = 'INNER';
            if ($self->accept('LEFT')) {
                $type = 'LEFT';
                $self->accept('OUTER');
            } else {
                $self->accept('INNER');
            }
            # A join hint stands between the two words.
            $self->accept_any('LOOP', 'HASH', 'MERGE') if $self->is_word('JOIN', 1);
            $self->expect('JOIN');
            my $right = $self->joined_operand;
            $self->expect('ON');
            $left = { k => 'join', type => $type, l => $left, r => $right, on => $self->condition };
        } else {
            return $left;
        }
    }
}

# What follows JOIN: a source, or a nested join whose ON comes first.
sub joined_operand {
    my ($self) = @_;
    my $right = $self->source;
    return $right if !$self->is_word('JOIN') && !$self->is_word('INNER') && !$self->is_word('LEFT');
    return $self->refuse;
}

sub source {
    my ($self) = @_;
    if ($self->is_op('(')) {
        return $self->deeper(sub { $self->parenthesised_source });
    }
    if ($self->is_word('OPENJSON') && $self->is_op('(', 1)) {
        return $self->openjson;
    }
    my $line = $self->line;
    my $parts = $self->object_name;
    my $source = { k => 'table', parts => $parts, line => $line };
    $source->{alias} = $self->alias;
    if ($self->is_word('WITH') && $self->is_op('(', 1)) {
        $self->next_token;
        $source->{hints} = $self->hints;
    } elsif (!defined $source->{alias} && $self->is_op('(')) {
        fail(208, join '.', map { $_ // '' } @$parts);
    }
    return $source;
}

sub alias {
    my ($self) = @_;
    return $self->name if $self->accept('AS');
    return $self->accept_name;
}

my %HINT = map { $_ => 1 } qw(UPDLOCK HOLDLOCK ROWLOCK PAGLOCK TABLOCK TABLOCKX XLOCK NOLOCK READPAST
    SERIALIZABLE REPEATABLEREAD READCOMMITTED READCOMMITTEDLOCK READUNCOMMITTED NOWAIT FORCESEEK
    SNAPSHOT NOEXPAND);

sub hints {
    my ($self) = @_;
    $self->expect_op('(');
    my @hints;
    while (1) {
        my $token = $self->next_token;
        $self->refuse($token) if $token->{kind} ne 'word' || !$HINT{ $token->{value} };
        push @hints, $token->{value};
        next if $self->accept_op(',');
        last if $self->accept_op(')');
    }
    return \@hints;
}

sub parenthesised_source {
    my ($self) = @_;
    $self->expect_op('(');
    my $source;
    if ($self->accept('VALUES')) {
        $source = { k => 'values', rows => $self->value_rows };
    } elsif ($self->is_word('SELECT') || $self->is_op('(') && $self->is_word('SELECT', 1)) {
        $source = { k => 'derived', query => $self->query };
    } else {
        $source = $self->joined;
        $self->expect_op(')');
        return $source;
    }
    $self->expect_op(')');
    # A derived table must have a name.
    $source->{alias} = $self->alias // $self->refuse;
    $source->{columns} = $self->name_list if $self->is_op('(');
    return $source;
}

sub value_rows {
    my ($self) = @_;
    my @rows;
    do {
        $self->expect_op('(');
        my @row;
        do {
            push @row, $self->accept('DEFAULT') ? { k => 'default' } : $self->expression;
        } while ($self->accept_op(','));
        $self->expect_op(')');
        push @rows, \@row;
    } while ($self->accept_op(','));
    return \@rows;
}

# OPENJSON(json [, path]) [WITH (name type ['path'] [AS JSON], …)] [AS alias]
sub openjson {
    my ($self) = @_;
    my $line = $self->line;
    $self->next_token;
    $self->expect_op('(');
    my %source = (k => 'openjson', json => $self->expression, line => $line);
    if ($self->accept_op(',')) {
        $source{path} = $self->expect_kind('string')->{value};
    }
    $self->expect_op(')');
    if ($self->is_word('WITH') && $self->is_op('(', 1)) {
        $self->next_token;
        $self->expect_op('(');
        my @columns;
        do {
            my %column = (name => $self->name);
            $column{type} = $self->type;
            $column{collation} = $self->name if $self->accept('COLLATE');
            my $path = $self->accept_kind('string');
            $column{path} = $path->{value} if $path;
            if ($self->accept('AS')) {
                $self->expect('JSON');
                $column{as_json} = 1;
            }
            push @columns, \%column;
        } while ($self->accept_op(','));
        $self->expect_op(')');
        $source{with} = \@columns;
    }
    $source{alias} = $self->alias;
    return \%source;
}

# OPTION (…): query hints, which change no result.
sub query_options {
    my ($self) = @_;
    return if !$self->accept('OPTION');
    $self->expect_op('(');
    do {
        $self->accept('RECOMPILE') || $self->accept('LOOP', 'JOIN') || $self->accept('HASH', 'JOIN')
            || $self->accept('MERGE', 'JOIN') || $self->accept('FORCE', 'ORDER')
            || $self->accept('KEEP', 'PLAN') || $self->accept('KEEPFIXED', 'PLAN')
            || $self->accept('MAXDOP') && $self->expect_kind('integer') || $self->refuse;
    } while ($self->accept_op(','));
    $self->expect_op(')');
    return;
}

# --- INSERT, UPDATE, DELETE, TRUNCATE

sub insert_statement {
    my ($self) = @_;
    $self->expect('INSERT');
    $self->accept('INTO');
    my %statement = (k => 'insert', table => $self->object_name);
    if ($self->is_word('WITH') && $self->is_op('(', 1)) {
        $self->next_token;
        $statement{hints} = $self->hints;
    }
    if ($self->is_op('(') && !$self->is_word('SELECT', 1)) {
        $statement{columns} = $self->name_list;
    }
    $self->refuse if $self->is_word('OUTPUT');
    if ($self->accept('DEFAULT')) {
        $self->expect('VALUES');
        $statement{defaults} = 1;
    } elsif ($self->accept('VALUES')) {
        $statement{rows} = $self->value_rows;
        fail(10738) if @{ $statement{rows} } > 1000;
    } elsif ($self->is_word('SELECT') || $self->is_op('(')) {
        $statement{query} = $self->query;
        $self->query_options;
    } else {
        $self->refuse;
    }
    return \%statement;
}

sub update_statement {
    my ($self) = @_;
    $self->expect('UPDATE');
    my %statement = (k => 'update', top => scalar $self->top(0), table => $self->object_name);
    if ($self->accept('WITH')) {
        $statement{hints} = $self->hints;
    }
    $self->expect('SET');
    my @set;
    do {
        if ($self->peek->{kind} eq 'variable') {
            $self->refuse;
        }
        my @parts = ($self->name);
        push @parts, $self->name while $self->accept_op('.');
        my $op = $self->accept_op('=', '+=', '-=', '*=') // $self->refuse;
        my $value = $self->accept('DEFAULT') ? { k => 'default' } : $self->expression;
        if ($op ne '=') {
            $value = { k => 'binary', op => substr($op, 0, 1), r => $value,
                l => { k => 'column', parts => [@parts] } };
        }
        push @set, { column => $parts[-1], value => $value };
    } while ($self->accept_op(','));
    $statement{set} = \@set;
    $self->refuse if $self->is_word('OUTPUT');
    $statement{from} = $self->from_list if $self->accept('FROM');
    $statement{where} = $self->condition if $self->accept('WHERE');
    $self->query_options;
    return \%statement;
}

sub delete_statement {
    my ($self) = @_;
    $self->expect('DELETE');
    my %statement = (k => 'delete', top => scalar $self->top(0));
    $self->accept('FROM');
    $statement{table} = $self->object_name;
    if ($self->accept('WITH')) {
        $statement{hints} = $self->hints;
    }
    $self->refuse if $self->is_word('OUTPUT');
    $statement{from} = $self->from_list if $self->accept('FROM');
    $statement{where} = $self->condition if $self->accept('WHERE');
    $self->query_options;
    return \%statement;
}

sub truncate_statement {
    my ($self) = @_;
    $self->expect('TRUNCATE', 'TABLE');
    return { k => 'truncate', table => $self->object_name };
}

1;

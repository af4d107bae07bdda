package TdsPeer::Parser::Expression;

# Scalar expressions, conditions and data types (Microsoft, "Expressions", "Search condition").
# Operator precedence is that of the page "Operator precedence". Two grammars: a scalar is never a
# condition in T-SQL.

use strict;
use warnings;
use TdsPeer::Error qw(fail);
use TdsPeer::Lexer;

# --- data types: {name, arguments => […]}

sub type {
    my ($self) = @_;
    my $token = $self->peek;
    my $line = $token->{line};
    my $name;
    if ($self->accept('DOUBLE', 'PRECISION')) {
        return { name => 'float', arguments => [53], line => $line };
    } elsif ($self->accept('NATIONAL')) {
        $name = $self->accept_any('CHARACTER', 'CHAR', 'TEXT') // $self->refuse;
        $name = $name eq 'TEXT' ? 'ntext' : $self->accept('VARYING') ? 'nvarchar' : 'nchar';
    } else {
        $name = lc $self->name;
        if ($name eq 'sys' && $self->accept_op('.')) {
            $name = lc $self->name;
        }
        if (($name eq 'character' || $name eq 'char') && $self->accept('VARYING')) {
            $name = 'varchar';
        } elsif ($name eq 'binary' && $self->accept('VARYING')) {
            $name = 'varbinary';
        }
    }
    my @arguments;
    if ($self->accept_op('(')) {
        do {
            push @arguments, $self->accept('MAX') ? 'max' : $self->expect_kind('integer')->{value};
        } while ($self->accept_op(','));
        $self->expect_op(')');
    }
    return { name => $name, arguments => \@arguments, line => $line };
}

# --- scalars

sub expression { my ($self) = @_; return $self->deeper(sub { $self->additive }) }

sub additive {
    my ($self) = @_;
    my $left = $self->multiplicative;
    while (my $op = $self->accept_op('+', '-', '&', '|', '^')) {
        $left = { k => 'binary', op => $op, l => $left, r => $self->multiplicative };
    }
    return $left;
}

sub multiplicative {
    my ($self) = @_;
    my $left = $self->unary;
    while (my $op = $self->accept_op('*', '/', '%')) {
        $left = { k => 'binary', op => $op, l => $left, r => $self->unary };
    }
    return $left;
}

sub unary {
    my ($self) = @_;
    if ($self->accept_op('-')) {
        return { k => 'negative', e => $self->deeper(sub { $self->unary }) };
    } elsif ($self->accept_op('+')) {
        return $self->deeper(sub { $self->unary });
    } elsif ($self->accept_op('~')) {
        return { k => 'complement', e => $self->deeper(sub { $self->unary }) };
    }
    my $value = $self->primary;
    while ($self->accept('COLLATE')) {
        $value = { k => 'collate', e => $value, collation => $self->name };
    }
    return $value;
}

sub primary {
    my ($self) = @_;
    my $token = $self->peek;
    my $kind = $token->{kind};
    if ($kind eq 'string') {
        $self->next_token;
        return { k => 'string', value => $token->{value}, national => $token->{national} };
    } elsif ($kind =~ /\A(?:integer|decimal|float|binary)\z/) {
        $self->next_token;
        return { k => 'constant', kind => $kind, value => $token->{value} };
    } elsif ($kind eq 'variable' || $kind eq 'system') {
        $self->next_token;
        return { k => $kind, name => $token->{value} };
    } elsif ($self->accept_op('(')) {
        my $inner = $self->is_word('SELECT') ? { k => 'subquery', query => $self->query }
            : $self->expression;
        $self->expect_op(')');
        return $inner;
    } elsif ($kind eq 'name' || $kind eq 'word') {
        return $self->word_expression($token);
    }
    return $self->refuse;
}

sub word_expression {
    my ($self, $token) = @_;
    if ($token->{kind} eq 'word') {
        my $word = $token->{value};
        if ($self->accept('NULL')) {
            return { k => 'null' };
        } elsif ($self->accept('CASE')) {
            return $self->case_expression;
        } elsif ($self->accept('CAST') || $self->accept('TRY_CAST')) {
            $self->expect_op('(');
            my $e = $self->expression;
            $self->expect('AS');
            my $type = $self->type;
            $self->expect_op(')');
            return { k => 'convert', e => $e, type => $type, cast => 1, try => $word =~ /\ATRY/ ? 1 : 0 };
        } elsif ($self->accept('CONVERT') || $self->accept('TRY_CONVERT')) {
            $self->expect_op('(');
            my $type = $self->type;
            $self->expect_op(',');
            my $e = $self->expression;
            my $style = $self->accept_op(',') ? $self->expression : undef;
            $self->expect_op(')');
            return { k => 'convert', e => $e, type => $type, style => $style,
                try => $word =~ /\ATRY/ ? 1 : 0 };
        } elsif ($self->accept('IIF')) {
            $self->expect_op('(');
            my $when = $self->condition;
            $self->expect_op(',');
            my $then = $self->expression;
            $self->expect_op(',');
            my $else = $self->expression;
            $self->expect_op(')');
            return { k => 'case', whens => [[$when, $then]], else => $else };
        } elsif ($word =~ /\A(?:COALESCE|NULLIF)\z/) {
            $self->next_token;
            return { k => 'function', name => $word, arguments => $self->arguments };
        } elsif ($word =~ /\A(?:LEFT|RIGHT)\z/ && $self->is_op('(', 1)) {
            $self->next_token;
            return { k => 'function', name => $word, arguments => $self->arguments };
        } elsif ($word =~ /\A(?:CURRENT_TIMESTAMP|CURRENT_USER|SYSTEM_USER|SESSION_USER)\z/) {
            $self->next_token;
            return { k => 'function', name => $word, arguments => [] };
        } elsif ($self->is_op('(', 1) && !TdsPeer::Lexer::is_reserved($word)) {
            $self->next_token;
            return $self->function($word, $token->{text});
        }
    }
    my @parts = ($self->name);
    while ($self->accept_op('.')) {
        push @parts, $self->is_op('.') ? undef : $self->name;
    }
    fail(117, 'column', join('.', map { $_ // '' } @parts), 3) if @parts > 4;
    return { k => 'column', parts => \@parts };
}

sub function {
    my ($self, $word, $text) = @_;
    if ($word =~ /\ACOUNT(?:_BIG)?\z/ && $self->is_op('*', 1)) {
        $self->expect_op($_) for '(', '*', ')';
        return { k => 'function', name => $word, text => $text, star => 1, arguments => [] };
    }
    my $distinct;
    if ($word =~ /\A(?:COUNT|COUNT_BIG|MIN|MAX|SUM|AVG)\z/ && $self->is_word('DISTINCT', 1)) {
        $distinct = 1;
        splice @{ $self->{tokens} }, $self->{at} + 1, 1;
    }
    my $arguments = $self->arguments;
    $self->refuse if $self->is_word('OVER');
    return { k => 'function', name => $word, text => $text, arguments => $arguments,
        distinct => $distinct };
}

sub arguments {
    my ($self) = @_;
    $self->expect_op('(');
    return [] if $self->accept_op(')');
    my @arguments;
    do { push @arguments, $self->expression } while $self->accept_op(',');
    $self->expect_op(')');
    return \@arguments;
}

sub case_expression {
    my ($self) = @_;
    my $base = $self->is_word('WHEN') ? undef : $self->expression;
    my (@whens, $else);
    while ($self->accept('WHEN')) {
        my $when = defined $base ? $self->expression : $self->condition;
        $self->expect('THEN');
        push @whens, [$when, $self->expression];
    }
    $self->refuse if !@whens;
    $else = $self->expression if $self->accept('ELSE');
    $self->expect('END');
    return { k => 'case', base => $base, whens => \@whens, else => $else };
}

# --- conditions

sub condition { my ($self) = @_; return $self->deeper(sub { $self->disjunction }) }

sub disjunction {
    my ($self) = @_;
    my @parts = ($self->conjunction);
    push @parts, $self->conjunction while $self->accept('OR');
    return @parts == 1 ? $parts[0] : { k => 'or', parts => \@parts };
}

sub conjunction {
    my ($self) = @_;
    my @parts = ($self->negation);
    push @parts, $self->negation while $self->accept('AND');
    return @parts == 1 ? $parts[0] : { k => 'and', parts => \@parts };
}

sub negation {
    my ($self) = @_;
    return { k => 'not', c => $self->deeper(sub { $self->negation }) } if $self->accept('NOT');
    return $self->predicate;
}

sub predicate {
    my ($self) = @_;
    if ($self->accept('EXISTS')) {
        $self->expect_op('(');
        my $query = $self->query;
        $self->expect_op(')');
        return { k => 'exists', query => $query };
    }
    if ($self->is_op('(') && !$self->is_word('SELECT', 1)) {
        my $inner = $self->parenthesised_condition;
        return $inner if $inner;
    }
    my $left = $self->expression;
    return $self->predicate_after($left);
}

# (condition), or nothing when the parenthesis opens a scalar. One of the two can be parsed.
sub parenthesised_condition {
    my ($self) = @_;
    my $start = $self->{at};
    my $inner = eval {
        $self->expect_op('(');
        my $c = $self->condition;
        $self->expect_op(')');
        $c;
    };
    my $error = $@;
    return $inner if $inner;
    die $error if !ref $error || $error->{number} == 191;
    # Whichever reading came further knows better what is wrong.
    my $reached = $self->{at};
    $self->{at} = $start;
    my $scalar = eval { $self->predicate_after($self->expression) };
    return $scalar if $scalar;
    my $other = $@;
    die $self->{at} >= $reached ? $other : $error;
}

sub predicate_after {
    my ($self, $left) = @_;
    if (my $op = $self->accept_op('=', '<>', '!=', '<=', '>=', '<', '>', '!<', '!>')) {
        $op = { '!=' => '<>', '!<' => '>=', '!>' => '<=' }->{$op} // $op;
        $self->refuse if $self->is_word('ALL') || $self->is_word('ANY') || $self->is_word('SOME');
        return { k => 'compare', op => $op, l => $left, r => $self->expression };
    }
    if ($self->accept('IS')) {
        my $not = $self->accept('NOT');
        if ($self->accept('DISTINCT', 'FROM')) {
            return { k => 'distinct', not => $not, l => $left, r => $self->expression };
        }
        $self->expect('NULL');
        return { k => 'isnull', not => $not, e => $left };
    }
    my $not = $self->accept('NOT');
    if ($self->accept('IN')) {
        $self->expect_op('(');
        if ($self->is_word('SELECT')) {
            my $query = $self->query;
            $self->expect_op(')');
            return { k => 'in_query', not => $not, e => $left, query => $query };
        }
        my @list;
        do { push @list, $self->expression } while $self->accept_op(',');
        $self->expect_op(')');
        return { k => 'in', not => $not, e => $left, list => \@list };
    } elsif ($self->accept('BETWEEN')) {
        my $low = $self->expression;
        $self->expect('AND');
        return { k => 'between', not => $not, e => $left, low => $low, high => $self->expression };
    } elsif ($self->accept('LIKE')) {
        my $pattern = $self->expression;
        my $escape = $self->accept('ESCAPE') ? $self->expression : undef;
        return { k => 'like', not => $not, e => $left, pattern => $pattern, escape => $escape };
    }
    if (!$not && !$self->is_op(')') || $self->at_end) {
        fail(4145, $self->peek->{text}) if !$self->at_end;
    }
    return $self->refuse;
}

1;

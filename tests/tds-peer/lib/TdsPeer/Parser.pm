package TdsPeer::Parser;

# T-SQL batches into statements: a recursive descent parser. Statements are hashes with `k`, the
# kind, and `line`. What it does not know it refuses as SQL Server refuses what it does not know:
# 156 near a keyword, 102 near anything else. Queries and expressions are in Parser::Query and
# Parser::Expression, data definition in Parser::Definition.

use strict;
use warnings;
use TdsPeer::Error qw(fail);
use TdsPeer::Lexer;
use TdsPeer::Parser::Definition;
use TdsPeer::Parser::Expression;
use TdsPeer::Parser::Query;
use parent -norequire, qw(TdsPeer::Parser::Expression TdsPeer::Parser::Query TdsPeer::Parser::Definition);

# A statement or an expression nested deeper is refused (191).
use constant MAX_DEPTH => 200;

# The statements of a batch.
sub batch {
    my ($class, $text, %option) = @_;
    my $self = $class->of($text, %option);
    my @statements;
    while (1) {
        $self->skip_semicolons;
        last if $self->at_end;
        push @statements, $self->statement(!@statements);
    }
    return \@statements;
}

# The declaration of sp_executesql's parameters: [{name, type, output}…].
sub declaration {
    my ($class, $text, %option) = @_;
    my $self = $class->of($text, %option);
    my @parameters;
    return \@parameters if $self->at_end;
    do {
        my $name = $self->expect_kind('variable')->{value};
        $self->accept('AS');
        my $type = $self->type;
        my $output = $self->accept('OUTPUT') || $self->accept('OUT');
        push @parameters, { name => $name, type => $type, output => $output ? 1 : 0 };
    } while ($self->accept_op(','));
    $self->refuse if !$self->at_end;
    return \@parameters;
}

# A bare expression: a stored DEFAULT or computed column.
sub expression_of {
    my ($class, $text) = @_;
    my $self = $class->of($text, quoted_identifier => 1);
    my $expression = $self->expression;
    $self->refuse if !$self->at_end;
    return $expression;
}

sub of {
    my ($class, $text, %option) = @_;
    return bless { tokens => TdsPeer::Lexer::tokens($text, $option{quoted_identifier}), at => 0,
        depth => 0 }, $class;
}

# --- tokens

sub peek { return $_[0]{tokens}[ $_[0]{at} + ($_[1] // 0) ] // $_[0]{tokens}[-1] }
sub next_token { my ($self) = @_; my $t = $self->peek; $self->{at}++ if $t->{kind} ne 'end'; return $t }
sub at_end { return $_[0]->peek->{kind} eq 'end' }
sub line { return $_[0]->peek->{line} }

sub is_word {
    my ($self, $word, $ahead) = @_;
    my $token = $self->peek($ahead);
    return $token->{kind} eq 'word' && $token->{value} eq $word;
}

sub is_op {
    my ($self, $op, $ahead) = @_;
    my $token = $self->peek($ahead);
    return $token->{kind} eq 'op' && $token->{value} eq $op;
}

# Take these words, all or none.
sub accept {    ## no critic: what parsers call it
    my ($self, @words) = @_;
    for my $n (0 .. $#words) {
        return 0 if !$self->is_word($words[$n], $n);
    }
    $self->{at} += @words;
    return 1;
}

sub accept_any {
    my ($self, @words) = @_;
    for my $word (@words) {
        return $word if $self->accept($word);
    }
    return undef;    ## no critic: a value in lists too
}

sub accept_op {
    my ($self, @ops) = @_;
    for my $op (@ops) {
        if ($self->is_op($op)) {
            $self->{at}++;
            return $op;
        }
    }
    return undef;    ## no critic: a value in lists too
}

sub accept_kind {
    my ($self, $kind) = @_;
    return $self->peek->{kind} eq $kind ? $self->next_token : undef;
}

sub expect { my ($self, @words) = @_; $self->accept($_) || $self->refuse for @words; return }
sub expect_op { my ($self, $op) = @_; return $self->accept_op($op) // $self->refuse }
sub expect_kind { my ($self, $kind) = @_; return $self->accept_kind($kind) // $self->refuse }
sub skip_semicolons { my ($self) = @_; 1 while $self->accept_op(';'); return }

sub refuse {
    my ($self, $token) = @_;
    $token //= $self->peek;
    # At the end of the batch SQL Server names what came last.
    if ($token->{kind} eq 'end' && @{ $self->{tokens} } > 1) {
        $token = $self->{tokens}[-2];
    }
    my $keyword = $token->{kind} eq 'word' && TdsPeer::Lexer::is_reserved($token->{value});
    my $shown = $token->{kind} eq 'name' || $token->{kind} eq 'string' ? $token->{value} : $token->{text};
    my $error = TdsPeer::Error->new($keyword ? 156 : 102, substr $shown, 0, 128);
    die $error->at_line($token->{line});
}

sub deeper {
    my ($self, $code) = @_;
    fail(191) if $self->{depth} >= MAX_DEPTH;
    local $self->{depth} = $self->{depth} + 1;
    return $code->();
}

# An identifier that may stand here, or nothing.
sub accept_name {
    my ($self) = @_;
    my $token = $self->peek;
    if ($token->{kind} eq 'name') {
        return $self->next_token->{value};
    } elsif ($token->{kind} eq 'word' && !TdsPeer::Lexer::is_reserved($token->{value})) {
        return $self->next_token->{text};
    }
    return undef;    ## no critic: a value in lists too
}

sub name { my ($self) = @_; return $self->accept_name // $self->refuse }

# database.schema.object, from one to three parts; `db..object` has an undefined schema. As
# {parts => […]} with the object's name last.
sub object_name {
    my ($self) = @_;
    my @parts = ($self->name);
    while ($self->accept_op('.')) {
        push @parts, $self->is_op('.') ? undef : $self->name;
    }
    fail(117, 'object', join('.', map { $_ // '' } @parts), 2) if @parts > 3;
    return \@parts;
}

sub name_list {
    my ($self) = @_;
    $self->expect_op('(');
    my @names;
    do { push @names, $self->name } while $self->accept_op(',');
    $self->expect_op(')');
    return \@names;
}

# --- statements

my %STATEMENT = (SET => 'set', DECLARE => 'declare', BEGIN => 'begin', COMMIT => 'commit',
    ROLLBACK => 'rollback', SAVE => 'save', IF => 'if', USE => 'use', EXEC => 'exec', EXECUTE => 'exec',
    PRINT => 'print', SELECT => 'select', INSERT => 'insert', UPDATE => 'update', DELETE => 'delete',
    TRUNCATE => 'truncate', CREATE => 'create', ALTER => 'alter', DROP => 'drop', WAITFOR => 'waitfor',
    DISABLE => 'disable');

sub statement {
    my ($self, $first) = @_;
    my $token = $self->peek;
    if ($self->is_op('(')) {
        return { %{ $self->select_statement }, line => $token->{line} };
    }
    my $method = $token->{kind} eq 'word' && $STATEMENT{ $token->{value} };
    $self->refuse if !$method;
    my $name = "${method}_statement";
    my $statement = $self->deeper(sub { $self->$name($first) });
    $statement->{line} //= $token->{line};
    $statement->{first} = $first ? 1 : 0;
    return $statement;
}

my %SWITCH = map { $_ => 1 } qw(XACT_ABORT NOCOUNT QUOTED_IDENTIFIER ANSI_NULLS ANSI_PADDING
    ANSI_WARNINGS ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL NUMERIC_ROUNDABORT
    IMPLICIT_TRANSACTIONS CURSOR_CLOSE_ON_COMMIT ANSI_NULL_DFLT_ON ANSI_DEFAULTS);

sub set_statement {
    my ($self) = @_;
    $self->expect('SET');
    if (my $variable = $self->accept_kind('variable')) {
        my $op = $self->accept_op('=', '+=', '-=', '*=') // $self->refuse;
        my $value = $self->expression;
        if ($op ne '=') {
            $value = { k => 'binary', op => substr($op, 0, 1), line => $variable->{line},
                l => { k => 'variable', name => $variable->{value} }, r => $value };
        }
        return { k => 'assign', name => $variable->{value}, value => $value };
    }
    if ($self->accept('TRANSACTION', 'ISOLATION', 'LEVEL')) {
        for my $level (['READ', 'UNCOMMITTED'], ['READ', 'COMMITTED'], ['REPEATABLE', 'READ'],
            ['SNAPSHOT'], ['SERIALIZABLE']) {
            return { k => 'isolation', level => "@$level" } if $self->accept(@$level);
        }
        $self->refuse;
    }
    if ($self->accept('IDENTITY_INSERT')) {
        my $table = $self->object_name;
        return { k => 'identity_insert', table => $table, on => $self->on_off };
    }
    for my $number (qw(LOCK_TIMEOUT ROWCOUNT TEXTSIZE DATEFIRST)) {
        if ($self->accept($number)) {
            my $minus = $self->accept_op('-') ? -1 : 1;
            my $value = $minus * $self->expect_kind('integer')->{value};
            $self->refuse if $value < ($number eq 'LOCK_TIMEOUT' || $number eq 'TEXTSIZE' ? -1 : 0);
            return { k => 'set_number', option => $number, value => $value };
        }
    }
    for my $word (qw(LANGUAGE DATEFORMAT DEADLOCK_PRIORITY)) {
        if ($self->accept($word)) {
            my $minus = $self->accept_op('-') ? '-' : '';
            my $token = $self->next_token;
            $self->refuse($token) if $token->{kind} !~ /\A(?:word|string|integer|name)\z/;
            return { k => 'set_word', option => $word, value => $minus . $token->{value}, };
        }
    }
    my @options;
    do {
        my $token = $self->peek;
        if ($token->{kind} ne 'word' || !$SWITCH{ $token->{value} }) {
            fail(195, $token->{text}, 'SET option') if $token->{kind} eq 'word'
                && !TdsPeer::Lexer::is_reserved($token->{value});
            $self->refuse;
        }
        push @options, $self->next_token->{value};
    } while ($self->accept_op(','));
    return { k => 'switch', options => \@options, on => $self->on_off };
}

sub on_off {
    my ($self) = @_;
    return 1 if $self->accept('ON');
    $self->expect('OFF');
    return 0;
}

sub declare_statement {
    my ($self) = @_;
    $self->expect('DECLARE');
    my @variables;
    do {
        my $name = $self->expect_kind('variable')->{value};
        $self->accept('AS');
        my $type = $self->type;
        my $value = $self->accept_op('=') ? $self->expression : undef;
        push @variables, { name => $name, type => $type, value => $value };
    } while ($self->accept_op(','));
    return { k => 'declare', variables => \@variables };
}

sub begin_statement {
    my ($self) = @_;
    $self->expect('BEGIN');
    if ($self->accept_any('TRAN', 'TRANSACTION')) {
        return { k => 'begin', name => $self->transaction_name };
    }
    $self->refuse if $self->is_word('TRY') || $self->is_word('DISTRIBUTED') || $self->is_word('CATCH');
    my @body;
    $self->skip_semicolons;
    while (!$self->accept('END')) {
        $self->refuse if $self->at_end;
        push @body, $self->statement;
        $self->skip_semicolons;
    }
    $self->refuse if !@body;
    return { k => 'block', body => \@body };
}

# The optional name of a transaction or savepoint.
sub transaction_name {
    my ($self) = @_;
    if (my $variable = $self->accept_kind('variable')) {
        return { variable => $variable->{value} };
    }
    my $token = $self->peek;
    return undef    ## no critic: a value in lists too
        if $token->{kind} eq 'word' && $STATEMENT{ $token->{value} };
    my $name = $self->accept_name;
    fail(103, 'identifier', substr($name, 0, 32), 32) if defined $name && length $name > 32;
    return defined $name ? { name => $name } : undef;
}

sub commit_statement {
    my ($self) = @_;
    $self->expect('COMMIT');
    my $name;
    if ($self->accept_any('TRAN', 'TRANSACTION')) {
        $name = $self->transaction_name;
    } else {
        $self->accept('WORK');
    }
    if ($self->accept('WITH')) {
        $self->expect_op('(');
        $self->expect('DELAYED_DURABILITY');
        $self->expect_op('=');
        $self->on_off;
        $self->expect_op(')');
    }
    return { k => 'commit', name => $name };
}

sub rollback_statement {
    my ($self) = @_;
    $self->expect('ROLLBACK');
    return { k => 'rollback', name => $self->transaction_name }
        if $self->accept_any('TRAN', 'TRANSACTION');
    $self->accept('WORK');
    return { k => 'rollback' };
}

sub save_statement {
    my ($self) = @_;
    $self->expect('SAVE');
    $self->accept_any('TRAN', 'TRANSACTION') // $self->refuse;
    return { k => 'save', name => $self->transaction_name // $self->refuse };
}

sub if_statement {
    my ($self) = @_;
    $self->expect('IF');
    my $condition = $self->condition;
    my $then = $self->statement;
    # IF a; ELSE is an error, IF a ELSE is not; one semicolon ends the statement before ELSE.
    $self->{at}++ if $self->is_op(';') && $self->is_word('ELSE', 1);
    my $else = $self->accept('ELSE') ? $self->statement : undef;
    return { k => 'if', condition => $condition, then => $then, else => $else };
}

sub use_statement {
    my ($self) = @_;
    $self->expect('USE');
    return { k => 'use', database => $self->name };
}

sub print_statement {
    my ($self) = @_;
    $self->expect('PRINT');
    return { k => 'print', value => $self->expression };
}

sub waitfor_statement {
    my ($self) = @_;
    $self->expect('WAITFOR', 'DELAY');
    return { k => 'waitfor', value => $self->expression };
}

# EXEC [@r =] procedure [[@name =] value [OUTPUT], …]
sub exec_statement {
    my ($self) = @_;
    $self->next_token;
    my $result;
    if ($self->peek->{kind} eq 'variable' && $self->is_op('=', 1)) {
        $result = $self->next_token->{value};
        $self->next_token;
    }
    my $procedure = $self->object_name;
    my @arguments;
    if (!$self->statement_ends) {
        do {
            my %argument;
            if ($self->peek->{kind} eq 'variable' && $self->is_op('=', 1)) {
                $argument{name} = $self->next_token->{value};
                $self->next_token;
            }
            if ($self->accept('DEFAULT')) {
                $argument{default} = 1;
            } else {
                $argument{value} = $self->argument;
            }
            $argument{output} = 1 if $self->accept_any('OUTPUT', 'OUT');
            push @arguments, \%argument;
        } while ($self->accept_op(','));
    }
    return { k => 'exec', procedure => $procedure, arguments => \@arguments, result => $result };
}

# A constant, a variable or a word that stands for a string.
sub argument {
    my ($self) = @_;
    my $name = $self->peek->{kind} =~ /\A(?:word|name)\z/ && !$self->is_word('NULL')
        ? $self->accept_name : undef;
    return { k => 'string', value => $name, national => 1 } if defined $name;
    my $sign = $self->accept_op('-', '+');
    my $kind = $self->peek->{kind};
    $self->refuse if $kind !~ /\A(?:string|integer|decimal|float|binary|variable|system)\z/
        && !$self->is_word('NULL');
    my $value = $self->primary;
    return ($sign // '') eq '-' ? { k => 'negative', e => $value } : $value;
}

# Whether nothing of the statement can follow.
sub statement_ends {
    my ($self) = @_;
    my $token = $self->peek;
    return 1 if $token->{kind} eq 'end' || $self->is_op(';');
    return $token->{kind} eq 'word' && ($STATEMENT{ $token->{value} } || $token->{value} eq 'ELSE'
        || $token->{value} eq 'END') ? 1 : 0;
}

1;

package TdsPeer::Parser::Definition;

# Data definition (Microsoft, "CREATE TABLE", "ALTER TABLE", "CREATE INDEX", "DROP TABLE",
# "CREATE SCHEMA", "ALTER SCHEMA", "CREATE DATABASE").

use strict;
use warnings;
use TdsPeer::Error qw(fail);

sub create_statement {
    my ($self, $first) = @_;
    $self->expect('CREATE');
    if ($self->accept('TABLE')) {
        return $self->create_table;
    } elsif ($self->accept('SCHEMA')) {
        fail(111, 'CREATE SCHEMA') if !$first;
        my $name = $self->name;
        $self->name if $self->accept('AUTHORIZATION');
        # It holds definitions of its own up to the end of the batch, or ends here.
        $self->skip_semicolons;
        $self->refuse if !$self->at_end;
        return { k => 'create_schema', name => $name };
    } elsif ($self->accept('DATABASE')) {
        my $name = $self->name;
        my $collation = $self->accept('COLLATE') ? $self->name : undef;
        return { k => 'create_database', name => $name, collation => $collation };
    } elsif ($self->accept('VIEW')) {
        fail(111, 'CREATE VIEW') if !$first;
        my $name = $self->object_name;
        $self->expect('AS');
        return $self->to_the_end({ k => 'create_view', name => $name });
    } elsif ($self->accept('TRIGGER')) {
        fail(111, 'CREATE TRIGGER') if !$first;
        my $name = $self->object_name;
        $self->expect('ON');
        my $table = $self->object_name;
        $self->accept('INSTEAD', 'OF') || $self->accept_any('AFTER', 'FOR') // $self->refuse;
        do { $self->accept_any('INSERT', 'UPDATE', 'DELETE') // $self->refuse } while $self->accept_op(',');
        $self->expect('AS');
        return $self->to_the_end({ k => 'create_trigger', name => $name, table => $table });
    }
    my %index = (k => 'create_index');
    $index{unique} = $self->accept('UNIQUE') ? 1 : 0;
    $index{clustered} = $self->accept('CLUSTERED') ? 1 : 0;
    $self->accept('NONCLUSTERED') if !$index{clustered};
    $self->expect('INDEX');
    $index{name} = $self->name;
    $self->expect('ON');
    $index{table} = $self->object_name;
    $index{columns} = $self->key_columns;
    $index{include} = $self->name_list if $self->accept('INCLUDE');
    if ($self->accept('WHERE')) {
        do {
            push @{ $index{filter} }, $self->name;
            $self->expect('IS');
            $self->expect('NOT', 'NULL');
        } while $self->accept('AND');
    }
    if ($self->accept('WITH')) {
        $self->expect_op('(');
        $self->expect('IGNORE_DUP_KEY');
        $self->expect_op('=');
        $index{ignore} = $self->on_off;
        $self->expect_op(')');
    }
    return \%index;
}

# A body that is not executed.
sub to_the_end {
    my ($self, $statement) = @_;
    $self->next_token while !$self->at_end;
    return $statement;
}

# DISABLE TRIGGER name ON table
sub disable_statement {
    my ($self) = @_;
    $self->expect('DISABLE', 'TRIGGER');
    my $name = $self->object_name;
    $self->expect('ON');
    return { k => 'disable_trigger', name => $name, table => $self->object_name };
}

# (a [ASC|DESC], …)
sub key_columns {
    my ($self) = @_;
    $self->expect_op('(');
    my @columns;
    do {
        my $name = $self->name;
        my $descending = $self->accept('DESC') ? 1 : 0;
        $self->accept('ASC') if !$descending;
        push @columns, { name => $name, descending => $descending };
    } while ($self->accept_op(','));
    $self->expect_op(')');
    return \@columns;
}

sub create_table {
    my ($self) = @_;
    my %table = (k => 'create_table', table => $self->object_name, columns => [], constraints => []);
    $self->expect_op('(');
    while (1) {
        if (my $constraint = $self->table_constraint) {
            push @{ $table{constraints} }, $constraint;
        } else {
            push @{ $table{columns} }, $self->column_definition;
        }
        last if !$self->accept_op(',') || $self->is_op(')');
    }
    $self->expect_op(')');
    if ($self->accept('ON')) {
        $self->name;
    }
    $self->name if $self->accept('TEXTIMAGE_ON');
    if ($self->accept('WITH')) {
        $self->expect_op('(');
        $self->expect('DATA_COMPRESSION');
        $self->expect_op('=');
        $self->accept_any('NONE', 'ROW', 'PAGE') // $self->refuse;
        $self->expect_op(')');
    }
    return \%table;
}

# [CONSTRAINT name] PRIMARY KEY | UNIQUE | FOREIGN KEY … of a table, or nothing.
sub table_constraint {
    my ($self) = @_;
    my $line = $self->line;
    my $name;
    my $start = $self->{at};
    if ($self->accept('CONSTRAINT')) {
        $name = $self->name;
    }
    my $constraint;
    if (my $key = $self->key_constraint) {
        $constraint = { %$key, columns => $self->key_columns };
    } elsif ($self->accept('FOREIGN', 'KEY')) {
        my $columns = $self->name_list;
        $constraint = { k => 'foreign', columns => $columns, %{ $self->references } };
    } elsif (defined $name) {
        $self->refuse;
    }
    return $constraint && { %$constraint, name => $name, line => $line };
}

sub key_constraint {
    my ($self) = @_;
    my $kind = $self->accept('PRIMARY', 'KEY') ? 'primary' : $self->accept('UNIQUE') ? 'unique' : return;
    my $clustered = $self->accept('CLUSTERED') ? 1 : $self->accept('NONCLUSTERED') ? 0 : undef;
    return { k => $kind, clustered => $clustered };
}

sub references {
    my ($self) = @_;
    $self->expect('REFERENCES');
    my %reference = (to => $self->object_name);
    $reference{to_columns} = $self->name_list if $self->is_op('(');
    while ($self->accept('ON')) {
        my $event = $self->accept_any('DELETE', 'UPDATE') // $self->refuse;
        my $action = $self->accept('NO', 'ACTION') ? 'NO ACTION' : $self->accept('CASCADE') ? 'CASCADE'
            : $self->accept('SET', 'NULL') ? 'SET NULL' : $self->refuse;
        $reference{ lc $event } = $action;
    }
    return \%reference;
}

sub column_definition {
    my ($self) = @_;
    my $line = $self->line;
    my %column = (name => $self->name, line => $line, constraints => []);
    if ($self->accept('AS')) {
        $self->expect_op('(');
        my $start = $self->{at};
        $column{computed} = $self->expression;
        $column{definition} = '(' . $self->source_text($start) . ')';
        $self->expect_op(')');
        if ($self->accept('PERSISTED')) {
            $column{persisted} = 1;
            $column{null} = 0 if $self->accept('NOT', 'NULL');
        }
        return \%column;
    }
    # timestamp may stand without a name of the column; that form is refused.
    $column{type} = $self->type;
    $self->column_options(\%column);
    return \%column;
}

# The text of the tokens from a place to here.
sub source_text {
    my ($self, $start) = @_;
    return join ' ', map { $_->{text} } @{ $self->{tokens} }[$start .. $self->{at} - 1];
}

sub column_options {
    my ($self, $column) = @_;
    while (1) {
        my $name;
        if ($self->accept('COLLATE')) {
            $column->{collation} = $self->name;
        } elsif ($self->accept('NOT', 'NULL')) {
            $column->{null} = 0;
        } elsif ($self->accept('NULL')) {
            $column->{null} = 1;
        } elsif ($self->accept('IDENTITY')) {
            my @arguments = (1, 1);
            if ($self->accept_op('(')) {
                $arguments[0] = $self->signed_integer;
                $self->expect_op(',');
                $arguments[1] = $self->signed_integer;
                $self->expect_op(')');
            }
            $column->{identity} = \@arguments;
        } elsif ($self->accept('ROWGUIDCOL')) {
            $column->{rowguidcol} = 1;
        } elsif ($self->accept('SPARSE')) {
            $column->{sparse} = 1;
        } else {
            $name = $self->name if $self->accept('CONSTRAINT');
            if ($self->accept('DEFAULT')) {
                $column->{default} = { name => $name, %{ $self->default_value } };
            } elsif (my $key = $self->key_constraint) {
                push @{ $column->{constraints} }, { %$key, name => $name,
                    columns => [{ name => $column->{name}, descending => 0 }] };
            } elsif ($self->is_word('REFERENCES') || $self->is_word('FOREIGN')) {
                $self->accept('FOREIGN', 'KEY');
                push @{ $column->{constraints} }, { k => 'foreign', name => $name,
                    columns => [$column->{name}], %{ $self->references } };
            } elsif (defined $name) {
                $self->refuse;
            } else {
                return;
            }
        }
    }
}

# The expression of a DEFAULT and its text as the catalog shows it.
sub default_value {
    my ($self) = @_;
    my $start = $self->{at};
    my $value = $self->unary;
    my $text = $self->source_text($start);
    $text = "($text)" if $text !~ /\A\(/;
    $text = "($text)" if $value->{k} eq 'constant' && $text !~ /\A\(\(/;
    return { value => $value, text => $text };
}

sub signed_integer {
    my ($self) = @_;
    my $sign = $self->accept_op('-') ? -1 : 1;
    return $sign * $self->expect_kind('integer')->{value};
}

sub alter_statement {
    my ($self) = @_;
    $self->expect('ALTER');
    if ($self->accept('SCHEMA')) {
        my $schema = $self->name;
        $self->expect('TRANSFER');
        if ($self->accept('OBJECT')) {
            $self->expect_op('::');
        }
        return { k => 'transfer', schema => $schema, object => $self->object_name };
    }
    if ($self->accept('DATABASE')) {
        my $name = $self->accept('CURRENT') ? undef : $self->name;
        $self->expect('SET');
        my $option = $self->accept_any('READ_COMMITTED_SNAPSHOT', 'ALLOW_SNAPSHOT_ISOLATION',
            'COMPATIBILITY_LEVEL', 'DELAYED_DURABILITY', 'READ_ONLY', 'READ_WRITE') // $self->refuse;
        my $value;
        if ($option eq 'COMPATIBILITY_LEVEL') {
            $self->expect_op('=');
            $value = $self->expect_kind('integer')->{value};
        } elsif ($option eq 'DELAYED_DURABILITY') {
            $self->expect_op('=');
            $value = $self->accept_any('DISABLED', 'ALLOWED', 'FORCED') // $self->refuse;
        } elsif ($option !~ /\AREAD_(?:ONLY|WRITE)\z/) {
            $value = $self->on_off;
        }
        if ($self->accept('WITH')) {
            $self->accept('ROLLBACK', 'IMMEDIATE') || $self->accept('NO_WAIT') || $self->refuse;
        }
        return { k => 'alter_database', name => $name, option => $option, value => $value };
    }
    $self->expect('TABLE');
    my %alter = (k => 'alter_table', table => $self->object_name);
    if ($self->accept('WITH')) {
        $self->accept_any('CHECK', 'NOCHECK') // $self->refuse;
    }
    if ($self->accept('NOCHECK')) {
        $self->expect('CONSTRAINT');
        return { %alter, action => 'nocheck', name => $self->name };
    }
    if ($self->accept('ADD')) {
        $alter{action} = 'add';
        do {
            my $default;
            if (my $constraint = $self->table_constraint_or_default) {
                push @{ $alter{constraints} }, $constraint;
            } else {
                push @{ $alter{columns} }, $self->column_definition;
            }
        } while ($self->accept_op(','));
    } elsif ($self->accept('DROP')) {
        $alter{action} = 'drop';
        my $kind = 'CONSTRAINT';
        do {
            if (my $word = $self->accept_any('COLUMN', 'CONSTRAINT')) {
                $kind = $word;
            }
            my $if_exists = $self->accept('IF', 'EXISTS');
            push @{ $alter{drops} }, { kind => $kind, name => $self->name, if_exists => $if_exists };
        } while ($self->accept_op(','));
    } elsif ($self->accept('ALTER', 'COLUMN')) {
        $alter{action} = 'column';
        $alter{column} = { name => $self->name, type => $self->type };
        $alter{column}{collation} = $self->name if $self->accept('COLLATE');
        if ($self->accept('NOT', 'NULL')) {
            $alter{column}{null} = 0;
        } elsif ($self->accept('NULL')) {
            $alter{column}{null} = 1;
        }
    } else {
        $self->refuse;
    }
    return \%alter;
}

# As table_constraint, and [CONSTRAINT name] DEFAULT value FOR column.
sub table_constraint_or_default {
    my ($self) = @_;
    my $start = $self->{at};
    my $name;
    if ($self->accept('CONSTRAINT')) {
        $name = $self->name;
    }
    if ($self->accept('DEFAULT')) {
        my $default = $self->default_value;
        $self->expect('FOR');
        return { k => 'default', name => $name, column => $self->name, %$default };
    }
    $self->{at} = $start;
    return $self->table_constraint;
}

sub drop_statement {
    my ($self) = @_;
    $self->expect('DROP');
    my $what = $self->accept_any('TABLE', 'INDEX', 'SCHEMA', 'DATABASE', 'VIEW', 'TRIGGER') // $self->refuse;
    my $if_exists = $self->accept('IF', 'EXISTS') ? 1 : 0;
    my %drop = (k => 'drop_' . lc $what, if_exists => $if_exists);
    if ($what eq 'TABLE') {
        do { push @{ $drop{tables} }, $self->object_name } while $self->accept_op(',');
    } elsif ($what eq 'INDEX') {
        do {
            my $name = $self->name;
            fail(159) if !$self->accept('ON');
            push @{ $drop{indexes} }, { name => $name, table => $self->object_name };
        } while ($self->accept_op(','));
    } elsif ($what =~ /\A(?:VIEW|TRIGGER)\z/) {
        $drop{k} = 'drop_object';
        $drop{name} = $self->object_name;
    } else {
        $drop{name} = $self->name;
    }
    return \%drop;
}

1;

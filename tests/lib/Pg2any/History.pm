package Pg2any::History;

# A random history of one table: its columns, its rows and changes of its schema, in transactions that are
# ordinary, streamed, prepared, rolled back, begun early, and the moments at which the pipeline reads. All
# of it follows from a seed and from what is left out: nothing is asked of a server, so the same seed is
# the same history wherever it runs, and can be shown without running it (sql()). Pg2any::Histories runs it.
#
# Every value is a new one, as far as its type allows, so that one that ends in another column, or not at
# all, is seen. A history keeps off what docs/LIMITS.md names as a limit:
#   - each table's last change is a row, not DDL, of which nothing would be in the stream;
#   - no ALTER TYPE ... USING, no ATTACH or DETACH, no TRUNCATE of a partition, no other name for a
#     partitioned table;
#   - a column that was added with a volatile default keeps a default;
#   - while a table is not in the publication, or not logged, its rows do not change.

use strict;
use warnings;
use Carp qw(croak);
use Storable qw(dclone);

# What DDL there is: how often, and what makes it. Each returns statements and keeps the model in step,
# or returns nothing where it does not apply to that table.
my %DDL = (
    add => [10, \&add],
    add_default => [8, \&add_default],
    add_not_null => [4, \&add_not_null],
    add_volatile => [4, \&add_volatile],
    drop => [8, \&drop],
    drop_default => [8, \&drop_default],
    drop_expression => [8, \&drop_expression],
    drop_not_null => [3, \&drop_not_null],
    identity => [2, \&identity],
    list => [8, \&list],
    readd => [10, \&readd],
    recreate => [1, \&recreate],
    rename => [10, \&rename_fresh],
    rename_case => [2, \&rename_case],
    rename_freed => [10, \&rename_freed],
    rename_table => [4, \&rename_table],
    rename_value => [4, \&rename_value],
    set_default => [4, \&set_default],
    swap => [6, \&swap],
    swap_tables => [3, \&swap_tables],
    truncate => [3, \&truncate_table],
    unlogged => [4, \&unlogged],
    unpublish => [5, \&unpublish],
    vacuum_full => [5, \&vacuum_full],
    widen => [8, \&widen],
);

# Changes that docs/LIMITS.md names: made only on request. The label of an enum changes
# rows without a word in the stream.
my @LIMITS = qw(rename_value);

# What else can be left out.
my %FEATURES = (
    early => 'transactions that have an xid before others, and change the table after them',
    prepared => 'PREPARE TRANSACTION',
    two_phase => 'a slot that receives it at PREPARE',
    streamed => 'transactions that are larger than logical_decoding_work_mem',
    savepoint => 'savepoints, released and rolled back',
    abort => 'transactions that are rolled back',
    live => 'reading while the history is made',
    restart => 'stopping and starting again meanwhile',
    split => 'reading what is there so far, and the rest later',
    full => 'a table without a key, REPLICA IDENTITY FULL',
    column_list => 'a publication with a list of columns',
    partitioned => 'a partitioned table, published by its root',
    generated => 'a generated column',
    enum => 'columns of an enum type',
    second => 'a second table, with the same names of columns',
    toast => 'values that are stored out of line',
);

my %WIDER = (
    'smallint' => ['int', 'bigint'],
    'int' => ['bigint'],
    'varchar(6)' => ['varchar(9)', 'text'],
    'varchar(9)' => ['varchar(12)', 'varchar', 'text'],
    'numeric(8,2)' => ['numeric(12,2)'],
);
my @TYPES = (qw(smallint int int bigint text text varchar(6) varchar(9) boolean bytea mood), 'numeric(8,2)');
# Of these no two values are alike.
my @TELLING = grep { !/boolean|mood/ } @TYPES;

# The names that only() and without() take.
sub kinds { return sort keys %DDL }
sub features { return sort keys %FEATURES }
sub explain { return $FEATURES{ $_[1] } }

# Pg2any::History->new(
#     seed    => N,
#     major   => 15,             # of the server: what it lacks is left out
#     without => [NAME...],      # kinds of DDL, features
#     only    => [KIND...],      # no DDL but these kinds
# )
sub new {
    my ($class, %arg) = @_;
    my @only = @{ $arg{only} // [] };
    my %off = map { $_ => 1 } @{ $arg{without} // [] }, @only ? () : @LIMITS;
    for my $name (keys %off, @only) {
        croak "no such name: $name; there are @{[kinds(), features()]}" if !$DDL{$name} && !$FEATURES{$name};
    }
    if (@only) {
        my %on = map { $_ => 1 } @only;
        $off{$_} = 1 for grep { !$on{$_} } keys %DDL;
    }
    if (($arg{major} // 15) < 15) {
        $off{$_} = 1 for qw(two_phase column_list list);
    }
    my $self = bless {
        seed => $arg{seed}, name => "h$arg{seed}", major => $arg{major} // 15, off => \%off,
        state => mixed($arg{seed}), count => 0, setup => [], steps => [], unit => 0, early => [],
        sessions => [2, 3],
    }, $class;
    $self->start;
    my $transactions = 1 + $self->roll(7);
    $self->{ddl_share} = $self->pick(15, 25, 35, 50);
    $self->transaction for 1 .. $transactions;
    $self->end;
    $self->read_it;
    return $self;
}

sub seed { return $_[0]{seed} }

# Schema, slot, publication and origin are called the same.
sub name { return $_[0]{name} }
sub two_phase { return $_[0]{two_phase} }

# Statements before the slot is made.
sub setup { return @{ $_[0]{setup} } }

# In order, each a hash: {session => N, sql => TEXT, kind => of DDL} or {reader => WHAT}:
#   run     the pipeline runs until it has all there is by now, and ends
#   start   it runs from here on
#   wait    until it has all there is
#   stop    it is asked to stop, and has ended
#   finish  it gets all there is, and has ended
# Numbers say what goes together: unit, a transaction; group, the statements of one DDL, or the beginning
# and end of a transaction or savepoint. A step that is last has to stay.
sub steps { return @{ $_[0]{steps} } }

# The kinds of DDL in it, some steps left out.
sub ddl_kinds {
    my ($self, @leave_out) = @_;
    my %left_out = map { $_ => 1 } @leave_out;
    my $n = 0;
    my %kinds = map { defined $_->{kind} ? ($_->{kind} => 1) : () } grep { !$left_out{ ++$n } } $self->steps;
    return sort keys %kinds;
}

# The history as SQL, with the numbers of its steps.
sub sql {
    my ($self, %option) = @_;
    my %left_out = map { $_ => 1 } @{ $option{leave_out} // [] };
    my $out = join '', map { "$_;\n" } $self->setup;
    $out .= "select pg_create_logical_replication_slot('$self->{name}', 'pgoutput', false"
        . ($self->{two_phase} ? ', true' : '') . ");\n";
    my $n = 0;
    for my $step ($self->steps) {
        next if $left_out{ ++$n };
        $out .= sprintf "%s  -- %d%s\n", $step->{reader} ? "-- pipeline: $step->{reader}" : "$step->{sql};", $n,
            $step->{reader} ? '' : " in session $step->{session}";
    }
    return $out;
}

# ---- random numbers ----

# Of our own, so that they are the same with every Perl: mulberry32.
sub next_number {
    my ($self) = @_;
    use integer;
    my $t = $self->{state} = $self->{state} + 0x6D2B79F5 & 0xffffffff;
    $t = ($t ^ $t >> 15) * ($t | 1) & 0xffffffff;
    $t = $t ^ ($t + (($t ^ $t >> 7) * ($t | 61) & 0xffffffff) & 0xffffffff);
    return ($t ^ $t >> 14) & 0xffffffff;
}

# Neighbouring seeds begin far from each other.
sub mixed {
    my ($seed) = @_;
    use integer;
    my $x = $seed * 0x9E3779B1 & 0xffffffff;
    return ($x ^ $x >> 16) * 0x85EBCA6B & 0xffffffff;
}

sub roll {
    my ($self, $n) = @_;
    return int($self->next_number / 4_294_967_296 * $n);
}

sub chance {
    my ($self, $percent) = @_;
    return $self->roll(100) < $percent;
}

sub pick {
    my ($self, @list) = @_;
    return $list[$self->roll(scalar @list)];
}

# A few of them, in their order.
sub some {
    my ($self, $percent, @list) = @_;
    return grep { $self->chance($percent) } @list;
}

# One of (what => weight, …).
sub weighted {
    my ($self, @pairs) = @_;
    my $sum = 0;
    $sum += $pairs[2 * $_ + 1] for 0 .. $#pairs / 2;
    my $at = $self->roll($sum);
    while (@pairs) {
        my ($what, $weight) = splice @pairs, 0, 2;
        return $what if $at < $weight;
        $at -= $weight;
    }
    croak 'nothing to choose from';
}

# Whether a feature is there, in so many of a hundred histories.
sub has {
    my ($self, $feature, $percent) = @_;
    my $yes = $self->chance($percent);
    return $yes && !$self->{off}{$feature};
}

# ---- the start ----

sub start {
    my ($self) = @_;
    my $name = $self->{name};
    $self->{now} = { tables => {}, labels => ['l1', 'l2', 'l3'] };
    $self->{two_phase} = $self->has('two_phase', 60);
    $self->{publishes} = $self->weighted(table => 70, all => 15, schema => 15);
    $self->{publishes} = 'all' if $self->{publishes} eq 'schema' && $self->{major} < 15;
    push @{ $self->{setup} }, "create schema $name", "set search_path = $name",
        q{create type mood as enum ('l1', 'l2', 'l3')}, 'create sequence volatile start 1000000',
        'create table pad (id int primary key, pad text not null)',
        'alter table pad alter pad set storage external';

    my $partitioned = $self->has('partitioned', 12);
    my $full = $self->has('full', 25);
    my $t = $self->make_table('t', full => $full, partitioned => $partitioned);
    if ($self->has('column_list', 20) && $self->{publishes} eq 'table' && !$t->{full}) {
        $t->{list} = { map { $_->{id} => 1 } handle($t), $self->some(60, listable($t)) };
    }
    if ($self->has('second', 25)) {
        $self->make_table('u', full => $full);
    }
    my $option = $partitioned ? ' with (publish_via_partition_root = true)' : '';
    push @{ $self->{setup} }, "create publication $name for "
        . { all => 'all tables', schema => "all tables in schema $name" =~ s/all t/t/r,
            table => join ', ', 'table pad', map { $self->listed($_) } $self->all_tables }->{ $self->{publishes} }
        . $option;
    return;
}

sub all_tables {
    my ($self) = @_;
    return map { $self->{now}{tables}{$_} } sort keys %{ $self->{now}{tables} };
}

# The table with its columns, as ALTER PUBLICATION takes it; `table` is said by whoever asks.
sub listed {
    my ($self, $t) = @_;
    return $t->{name} if !$t->{list};
    return "$t->{name} (" . join(', ', map { $_->{name} } published($t)) . ')';
}

# Every table has one column that tells its rows apart, key or not; it is never dropped.
sub make_table {
    my ($self, $name, %arg) = @_;
    my @names = qw(a b c d e);
    my $key_type = $self->weighted(int => 5, bigint => 1, text => 1, 'varchar(9)' => 1);
    my @columns = ({ id => ++$self->{count}, name => 'id', type => $key_type, not_null => 1 });
    for my $column (splice @names, 0, 2 + $self->roll(4)) {
        push @columns, $self->new_column($column);
        if ($self->chance(15)) {
            $columns[-1]{default} = $self->value($columns[-1]{type});
        }
    }
    my ($base) = grep { $_->{type} =~ /\A(?:smallint|int)\z/ && $_->{name} ne 'id' } @columns;
    # PostgreSQL 18 has no identity of what is not published.
    if ($base && $self->has('generated', 35) && !($arg{full} && $self->{major} >= 18)) {
        push @columns, { id => ++$self->{count}, name => 'g', type => 'int', from => $base->{id} };
    }
    my $t = {
        base => $name, name => $name, full => $arg{full}, keyed => !$arg{full}, partitioned => $arg{partitioned},
        columns => \@columns, handle => $columns[0]{id}, rows => [], freed => [], names => [],
        published => 1,
    };
    $self->{now}{tables}{$name} = $t;
    push @{ $self->{setup} }, $self->create_table($t);
    return $t;
}

sub new_column {
    my ($self, $name) = @_;
    my @types = grep { $_ ne 'mood' || !$self->{off}{enum} } $self->chance(75) ? @TELLING : @TYPES;
    return { id => ++$self->{count}, name => $name, type => $self->pick(@types) };
}

sub definition {
    my ($t, $c) = @_;
    my ($base) = grep { defined $c->{from} && $_->{id} == $c->{from} } @{ $t->{columns} };
    return "$c->{name} $c->{type}" . ($base ? " generated always as ($base->{name} * 2) stored" : '')
        . (defined $c->{default} ? " default $c->{default}" : '') . ($c->{not_null} ? ' not null' : '');
}

sub create_table {
    my ($self, $t) = @_;
    my $key = $t->{keyed} ? ', primary key (' . handle($t)->{name} . ')' : '';
    my @sql = ("create table $t->{name} (" . join(', ', map { definition($t, $_) } @{ $t->{columns} }) . "$key)"
        . ($t->{partitioned} ? ' partition by hash (id)' : ''));
    if ($t->{partitioned}) {
        # The second has its columns in another order, and has lost one.
        push @sql, "create table $t->{name}_0 partition of $t->{name} for values with (modulus 2, remainder 0)",
            "create table $t->{name}_1 (gone int, " . join(', ', map { definition($t, $_) } reverse @{ $t->{columns} })
            . ')', "alter table $t->{name}_1 drop gone",
            "alter table $t->{name} attach partition $t->{name}_1 for values with (modulus 2, remainder 1)";
    }
    push @sql, map { "alter table $_ replica identity full" } $self->parts($t) if $t->{full};
    return @sql;
}

# The table and its partitions, whose names stay.
sub parts {
    my ($self, $t) = @_;
    return ($t->{name}, $t->{partitioned} ? ("$t->{base}_0", "$t->{base}_1") : ());
}

sub handle {
    my ($t) = @_;
    my ($c) = grep { $_->{id} == $t->{handle} } @{ $t->{columns} };
    return $c;
}

# What a list of columns may hold besides the handle.
sub listable {
    my ($t) = @_;
    return grep { $_->{id} != $t->{handle} && !defined $_->{from} } @{ $t->{columns} };
}

sub published {
    my ($t) = @_;
    return grep { !defined $_->{from} && (!$t->{list} || $t->{list}{ $_->{id} }) } @{ $t->{columns} };
}

# ---- values ----

sub value {
    my ($self, $type) = @_;
    my $n = ++$self->{count};
    return $n if $type =~ /\A(?:smallint|int)\z/;
    return $self->chance(50) ? $n : 5_000_000_000 + $n if $type eq 'bigint';
    return "'v$n'" if $type =~ /\Avarchar\(/;
    return sprintf '%d.%02d', $n, $n % 100 if $type =~ /\Anumeric/;
    return $self->chance(50) ? 'true' : 'false' if $type eq 'boolean';
    return sprintf q{'\x%08x'}, $n if $type eq 'bytea';
    return "'" . $self->pick(@{ $self->{now}{labels} }) . "'" if $type eq 'mood';
    return "'text $n'" if $type =~ /\A(?:text|varchar)\z/;
    croak "no value of type $type";
}

# Out of line, and large enough to be streamed where asked for.
sub long_value {
    my ($self, $large) = @_;
    my $n = ++$self->{count};
    return "(select string_agg(md5('$n ' || g), '') from generate_series(1, " . ($large ? 2500 : 100) . ') g)';
}

# ---- rows ----

# One statement that changes rows of a table.
sub rows {
    my ($self, $t, $what) = @_;
    $what //= @{ $t->{rows} } ? $self->weighted(insert => 45, update => 40, delete => 15) : 'insert';
    my $handle = handle($t);
    if ($what eq 'insert') {
        my @columns = grep { !defined $_->{from} } @{ $t->{columns} };
        my (@names, @values);
        for my $c (@columns) {
            my $must = $c->{id} == $t->{handle} || $c->{not_null} && !defined $c->{default};
            next if !$must && $self->chance(15);
            push @names, $c->{name};
            push @values, !$must && !$c->{not_null} && $self->chance(10) ? 'null'
                : $c->{type} eq 'text' && $c->{id} != $t->{handle} && !$self->{off}{toast} && $self->chance(6)
                ? $self->long_value : $self->value($c->{type});
            push @{ $t->{rows} }, $values[-1] if $c->{id} == $t->{handle};
        }
        return "insert into $t->{name} (" . join(', ', @names) . ') values (' . join(', ', @values) . ')';
    }
    my $at = $self->roll(scalar @{ $t->{rows} });
    my $where = "where $handle->{name} = $t->{rows}[$at]";
    if ($what eq 'delete') {
        splice @{ $t->{rows} }, $at, 1;
        return "delete from $t->{name} $where";
    }
    my @set;
    for my $c (grep { !defined $_->{from} } @{ $t->{columns} }) {
        next if !$self->chance($c->{id} == $t->{handle} ? 12 : 50);
        my $value = !$c->{not_null} && $self->chance(12) ? 'null' : $self->value($c->{type});
        push @set, "$c->{name} = $value";
        $t->{rows}[$at] = $value if $c->{id} == $t->{handle};
    }
    @set = "$handle->{name} = $t->{rows}[$at]" if !@set;
    return "update $t->{name} set " . join(', ', @set) . " $where";
}

# ---- DDL ----

# Some DDL of a table: its kind and statements, or nothing.
sub ddl {
    my ($self, $t, %arg) = @_;
    my @pairs = map { $_ => $DDL{$_}[0] } grep { !$self->{off}{$_} } sort keys %DDL;
    return if !@pairs;
    for (1 .. 6) {
        my $kind = $self->weighted(@pairs);
        local $self->{alone} = $arg{alone};
        my @sql = $DDL{$kind}[1]->($self, $t);
        return ($kind, @sql) if @sql;
    }
    return;
}

sub alter { return "alter table $_[0]{name} $_[1]" }

sub fresh_column_name { return 'n' . ++$_[0]{count} }

sub in_use {
    my ($t, $name) = @_;
    return scalar grep { $_->{name} eq $name } @{ $t->{columns} };
}

# A name that another column of the table had.
sub freed_name {
    my ($self, $t) = @_;
    my @names = grep { !in_use($t, $_) } @{ $t->{freed} };
    return @names ? $self->pick(@names) : undef;
}

sub name_for_new {
    my ($self, $t) = @_;
    my $freed = $self->freed_name($t);
    return defined $freed && $self->chance(60) ? $freed : $self->fresh_column_name;
}

sub add_column {
    my ($self, $t, $c) = @_;
    push @{ $t->{columns} }, $c;
    return alter($t, 'add ' . definition($t, $c));
}

sub add {
    my ($self, $t) = @_;
    return $self->add_column($t, $self->new_column($self->name_for_new($t)));
}

sub add_default {
    my ($self, $t) = @_;
    my $c = $self->new_column($self->name_for_new($t));
    $c->{default} = $self->value($c->{type});
    my @sql = $self->add_column($t, $c);
    push @sql, $self->forget_default($t, $c) if $self->chance(30);
    return @sql;
}

sub add_not_null {
    my ($self, $t) = @_;
    my $c = $self->new_column($self->name_for_new($t));
    $c->{default} = $self->value($c->{type});
    $c->{not_null} = 1;
    return $self->add_column($t, $c);
}

sub add_volatile {
    my ($self, $t) = @_;
    my $c = { id => ++$self->{count}, name => $self->name_for_new($t), type => 'int', volatile => 1,
        default => q{nextval('volatile')} };
    return $self->add_column($t, $c);
}

sub forget_default {
    my ($self, $t, $c) = @_;
    delete $c->{default};
    return alter($t, "alter $c->{name} drop default");
}

sub drop_default {
    my ($self, $t) = @_;
    my ($c) = $self->pick(grep { defined $_->{default} && !$_->{volatile} && !$_->{not_null} } @{ $t->{columns} });
    return $c ? $self->forget_default($t, $c) : ();
}

sub set_default {
    my ($self, $t) = @_;
    my ($c) = $self->pick(listable($t));
    return if !$c;
    $c->{default} = $self->value($c->{type});
    return alter($t, "alter $c->{name} set default $c->{default}");
}

sub drop_not_null {
    my ($self, $t) = @_;
    my ($c) = $self->pick(grep { $_->{not_null} } listable($t));
    return if !$c;
    $c->{not_null} = 0;
    return alter($t, "alter $c->{name} drop not null");
}

sub drop_expression {
    my ($self, $t) = @_;
    my ($c) = grep { defined $_->{from} } @{ $t->{columns} };
    return if !$c;
    delete $c->{from};
    return alter($t, "alter $c->{name} drop expression");
}

# Not needed by a generated column.
sub loose {
    my ($t) = @_;
    my %needed = map { defined $_->{from} ? ($_->{from} => 1) : () } @{ $t->{columns} };
    return grep { !$needed{ $_->{id} } } @{ $t->{columns} };
}

sub drop_column {
    my ($self, $t, $c) = @_;
    my @sql;
    if ($t->{list} && delete $t->{list}{ $c->{id} } && $t->{published}) {
        push @sql, $self->set_publication;
    }
    @{ $t->{columns} } = grep { $_->{id} != $c->{id} } @{ $t->{columns} };
    push @{ $t->{freed} }, $c->{name};
    return (@sql, alter($t, "drop $c->{name}"));
}

sub drop {
    my ($self, $t) = @_;
    my ($c) = $self->pick(grep { $_->{id} != $t->{handle} } loose($t));
    return $c ? $self->drop_column($t, $c) : ();
}

sub readd {
    my ($self, $t) = @_;
    my ($c) = $self->pick(grep { $_->{id} != $t->{handle} } loose($t));
    return if !$c;
    my @sql = $self->drop_column($t, $c);
    my $new = $self->new_column($c->{name});
    $new->{type} = $c->{type} if $self->chance(60);
    $new->{default} = $self->value($new->{type}) if $self->chance(50);
    push @sql, $self->add_column($t, $new);
    push @sql, $self->forget_default($t, $new) if defined $new->{default} && $self->chance(25);
    return @sql;
}

sub rename_to {
    my ($t, $c, $to) = @_;
    my $from = $c->{name};
    push @{ $t->{freed} }, $from;
    $c->{name} = $to;
    return alter($t, "rename $from to $to");
}

sub rename_fresh {
    my ($self, $t) = @_;
    return rename_to($t, $self->pick(@{ $t->{columns} }), $self->fresh_column_name);
}

sub rename_freed {
    my ($self, $t) = @_;
    my $to = $self->freed_name($t) // return;
    return rename_to($t, $self->pick(@{ $t->{columns} }), $to);
}

# To the name that a target may take for the same.
sub rename_case {
    my ($self, $t) = @_;
    my $c = $self->pick(@{ $t->{columns} });
    my $to = $c->{name} =~ /\A"(.*)"\z/ ? lc $1 : '"' . uc($c->{name}) . '"';
    return in_use($t, $to) ? () : rename_to($t, $c, $to);
}

# Two columns, at times three, go in a ring.
sub swap {
    my ($self, $t) = @_;
    my @ring = @{ $t->{columns} };
    return if @ring < 3;
    my $size = $self->chance(80) ? 2 : 3;
    splice @ring, $self->roll(scalar @ring), 1 while @ring > $size;
    my @names = map { $_->{name} } @ring;
    my $aside = $self->fresh_column_name;
    my @sql = alter($t, "rename $names[0] to $aside");
    push @sql, alter($t, "rename $names[$_] to $names[$_ - 1]") for 1 .. $#ring;
    push @sql, alter($t, "rename $aside to $names[-1]");
    $ring[$_]{name} = $names[$_ - 1] for 0 .. $#ring;
    return @sql;
}

sub widen {
    my ($self, $t) = @_;
    my %generated = map { defined $_->{from} ? ($_->{id} => 1) : () } @{ $t->{columns} };
    # Nor does PostgreSQL change the type of a partition key, or of what is on a publication's list.
    my %fixed = ($t->{partitioned} ? ($t->{handle} => 1) : (), $t->{published} ? %{ $t->{list} // {} } : ());
    my ($c) = $self->pick(grep { $WIDER{ $_->{type} } && !$generated{ $_->{id} } && !$fixed{ $_->{id} } } loose($t));
    return if !$c;
    $c->{type} = $self->pick(@{ $WIDER{ $c->{type} } });
    return alter($t, "alter $c->{name} type $c->{type}");
}

sub identity {
    my ($self, $t) = @_;
    return if !$t->{keyed} || $t->{partitioned} || $t->{list};
    return if $self->{major} >= 18 && grep { defined $_->{from} } @{ $t->{columns} };
    $t->{full} = !$t->{full};
    return alter($t, 'replica identity ' . ($t->{full} ? 'full' : 'default'));
}

sub set_publication {
    my ($self) = @_;
    return "alter publication $self->{name} set table "
        . join ', ', 'pad', map { $self->listed($_) } grep { $_->{published} } $self->all_tables;
}

# Columns go on the list, off it, or the list goes.
sub list {
    my ($self, $t) = @_;
    return if $self->{publishes} ne 'table' || !$t->{published} || $t->{full} || $self->{off}{column_list};
    my $before = $self->listed($t);
    $t->{list} = $self->chance($t->{list} ? 30 : 0) ? undef
        : { map { $_->{id} => 1 } handle($t), $self->some(65, listable($t)) };
    return if $self->listed($t) eq $before;
    return $self->set_publication;
}

# Out of the publication and back. Meanwhile the table may change, but not its rows.
sub unpublish {
    my ($self, $t) = @_;
    return if $self->{publishes} ne 'table' || !$t->{published};
    my @sql = "alter publication $self->{name} drop table $t->{name}";
    $t->{published} = 0;
    for (1 .. $self->roll(3)) {
        my ($kind, @more) = $self->ddl($t, alone => $self->{alone});
        push @sql, @more;
    }
    $t->{published} = 1;
    return (@sql, "alter publication $self->{name} add table " . $self->listed($t));
}

sub truncate_table {
    my ($self, $t) = @_;
    return if !$t->{published};
    $t->{rows} = [];
    return "truncate $t->{name}";
}

# Both write the table anew. VACUUM only outside transactions.
sub vacuum_full {
    my ($self, $t) = @_;
    return $self->{alone} ? "vacuum full $t->{name}" : ();
}

# A table that is in a publication by its name has to stay logged.
sub unlogged {
    my ($self, $t) = @_;
    return if $t->{partitioned} || ($self->{publishes} eq 'table' && $t->{published});
    return (alter($t, 'set unlogged'), alter($t, 'set logged'));
}

# Of a partitioned one the new name is not sent while its partitions stay as they are.
sub rename_table {
    my ($self, $t) = @_;
    return if $t->{partitioned};
    my %used = map { $_->{name} => 1 } $self->all_tables;
    my @before = grep { !$used{$_} } @{ $t->{names} };
    my $to = @before && $self->chance(60) ? $self->pick(@before) : 't' . ++$self->{count};
    push @{ $t->{names} }, $t->{name};
    my $sql = alter($t, "rename to $to");
    $t->{name} = $to;
    return $sql;
}

sub swap_tables {
    my ($self, $t) = @_;
    my ($other) = grep { $_ != $t } $self->all_tables;
    return if !$other || grep { $_->{partitioned} } $t, $other;
    my ($one, $two) = ($t->{name}, $other->{name});
    my $aside = 't' . ++$self->{count};
    ($t->{name}, $other->{name}) = ($two, $one);
    return ("alter table $one rename to $aside", "alter table $two rename to $one",
        "alter table $aside rename to $two");
}

sub rename_value {
    my ($self, $t) = @_;
    return if $self->{off}{enum} || !grep { $_->{type} eq 'mood' } map { @{ $_->{columns} } } $self->all_tables;
    my $labels = $self->{now}{labels};
    my $at = $self->roll(scalar @$labels);
    my $from = $labels->[$at];
    my $to = 'l' . ++$self->{count};
    my $sql = "alter type mood rename value '$from' to '$to'";
    $labels->[$at] = $to;
    for my $c (grep { $_->{type} eq 'mood' && defined $_->{default} } map { @{ $_->{columns} } } $self->all_tables) {
        $c->{default} =~ s/\A'\Q$from\E'\z/'$to'/;
    }
    return $sql;
}

# Dropped, and made again with the same name.
sub recreate {
    my ($self, $t) = @_;
    return if $t->{partitioned} || !$t->{published};
    $t->{rows} = [];
    my @sql = ("drop table $t->{name}", $self->create_table($t));
    if ($self->{publishes} eq 'table') {
        push @sql, "alter publication $self->{name} add table " . $self->listed($t);
    }
    return @sql;
}

# ---- transactions ----

sub step {
    my ($self, $session, $sql, %arg) = @_;
    push @{ $self->{steps} }, { session => $session, sql => $sql, unit => $self->{unit},
        group => $arg{group} // ++$self->{groups}, kind => $arg{kind} };
    return;
}

# All statements of one DDL, or nothing.
sub ddl_step {
    my ($self, $session, $t, %arg) = @_;
    my ($kind, @sql) = $self->ddl($t, %arg);
    return 0 if !$kind;
    my $group = ++$self->{groups};
    $self->step($session, $_, kind => $kind, group => $group) for @sql;
    return 1;
}

sub any_table {
    my ($self) = @_;
    my @tables = $self->all_tables;
    return $self->chance(75) ? $tables[0] : $self->pick(@tables);
}

sub pad {
    my ($self, $size) = @_;
    my $n = ++$self->{count};
    return "insert into pad values ($n, repeat('p', $size))";
}

sub act {
    my ($self, $session, $depth) = @_;
    my $what = $self->weighted(rows => 90 - $self->{ddl_share}, ddl => $self->{ddl_share},
        savepoint => $depth ? 0 : 10);
    my $t = $self->any_table;
    if ($what eq 'savepoint' && !$self->{off}{savepoint}) {
        my $before = dclone($self->{now});
        my $group = ++$self->{groups};
        $self->step($session, 'savepoint s', group => $group);
        $self->act($session, 1) for 0 .. $self->roll(3);
        if ($self->chance(55)) {
            $self->step($session, 'rollback to s', group => $group);
            $self->{now} = $before;
        } else {
            $self->step($session, 'release s', group => $group);
        }
        return;
    }
    if ($what eq 'ddl' && $self->ddl_step($session, $t)) {
        $self->{locks} = 1;
        return;
    }
    $self->step($session, $self->rows($t)) for 0 .. $self->roll(2);
    return;
}

sub body {
    my ($self, $session, $streamed) = @_;
    my $acts = 1 + $self->roll(5);
    my $pad_at = $self->roll($acts + 1);
    for my $n (0 .. $acts - 1) {
        $self->step($session, $self->pad(70_000)) if $streamed && ($n == $pad_at || $self->chance(15));
        $self->act($session, 0);
    }
    $self->step($session, $self->pad(70_000)) if $streamed && $pad_at == $acts;
    return;
}

sub transaction {
    my ($self) = @_;
    $self->begin_early if @{ $self->{sessions} } && $self->has('early', 15);
    my $way = $self->weighted(alone => 38, ordinary => 26, streamed => 20, prepared => 16);
    $way = 'ordinary' if $self->{off}{$way};
    return $self->alone if $way eq 'alone';

    my $early = @{ $self->{early} } && $self->chance(50) ? shift @{ $self->{early} } : undef;
    my $session = $early ? $early->{session} : 1;
    local $self->{unit} = $early ? $early->{unit} : ++$self->{units};
    my $group = $early ? $early->{group} : ++$self->{groups};
    my $before = dclone($self->{now});
    $self->{locks} = 0;
    $self->step($session, 'begin', group => $group) if !$early;
    $self->body($session, $way eq 'streamed' || $way eq 'prepared' && !$self->{off}{streamed} && $self->chance(40));
    push @{ $self->{sessions} }, $session if $early;
    my $undo = $self->has('abort', 12);
    if ($way ne 'prepared') {
        $self->step($session, $undo ? 'rollback' : 'commit', group => $group);
        $self->{now} = $before if $undo;
        return;
    }
    my $gid = "$self->{name} " . ++$self->{count};
    $self->step($session, "prepare transaction '$gid'", group => $group);
    $self->meanwhile for 1 .. $self->roll(3);
    $self->step(0, ($undo ? 'rollback' : 'commit') . " prepared '$gid'", group => $group);
    $self->{now} = $before if $undo;
    return;
}

# A statement by itself; several where the DDL is made of them.
sub alone {
    my ($self) = @_;
    my $t = $self->any_table;
    local $self->{unit} = ++$self->{units};
    return if $self->chance($self->{ddl_share} + 15) && $self->ddl_step(0, $t, alone => 1);
    $self->step(0, $self->rows($t));
    return;
}

# Between PREPARE and its outcome: what no lock of it forbids.
sub meanwhile {
    my ($self) = @_;
    local $self->{unit} = ++$self->{units};
    $self->begin_early if @{ $self->{sessions} } && $self->has('early', 15);
    if ($self->{locks} || $self->chance(30)) {
        $self->step(0, $self->pad($self->chance(30) ? 70_000 : 1));
    } else {
        $self->step(0, $self->rows($self->any_table, 'insert'));
    }
    return;
}

# It has an xid from here on, and touches the table when others have changed it.
sub begin_early {
    my ($self) = @_;
    my $session = shift @{ $self->{sessions} };
    local $self->{unit} = ++$self->{units};
    my $group = ++$self->{groups};
    $self->step($session, 'begin', group => $group);
    $self->step($session, $self->pad(1));
    push @{ $self->{early} }, { session => $session, unit => $self->{unit}, group => $group };
    return;
}

# Whatever is open ends, and a row of each table tells what became of it.
sub end {
    my ($self) = @_;
    for my $early (@{ $self->{early} }) {
        local $self->{unit} = $early->{unit};
        $self->step($early->{session}, 'commit', group => $early->{group});
    }
    local $self->{unit} = ++$self->{units};
    for my $t ($self->all_tables) {
        $self->step(0, $self->rows($t, 'insert'));
        $self->{steps}[-1]{last} = 1;
    }
    return;
}

# ---- reading ----

# Between the steps, transactions cut in two or not.
sub read_it {
    my ($self) = @_;
    my @ways = map { @$_ } grep { !$self->{off}{ $_->[0] } } ['late', 35], ['split', 25], ['live', 25], ['mixed', 15];
    my $way = $self->weighted(@ways);
    $way = 'late' if $way eq 'mixed' && $self->{off}{live};
    my @steps;
    my $running = $way eq 'live';
    my $put = sub { push @steps, { reader => $_[0], unit => ++$self->{units}, group => ++$self->{groups} }; return };
    $put->('start') if $running;
    my %split = $way eq 'split' ? map { $self->roll(scalar $self->steps) => 1 } 0 .. $self->roll(3) : ();
    my $n = 0;
    for my $step ($self->steps) {
        if ($split{ $n++ }) {
            $put->('run');
        } elsif ($running && $self->chance(20)) {
            $put->('wait');
        } elsif ($running && $self->has('restart', 5)) {
            $put->('stop');
            $way eq 'mixed' ? $running = 0 : $put->('start');
        } elsif (!$running && $way eq 'mixed' && $self->chance(12)) {
            my $run = $self->chance(30);
            $put->($run ? 'run' : 'start');
            $running = !$run;
        }
        push @steps, $step;
    }
    push @steps, { reader => 'finish', last => 1 };
    $self->{steps} = \@steps;
    return;
}

1;

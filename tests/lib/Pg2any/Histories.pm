package Pg2any::Histories;

# Runs random histories (Pg2any::History) on one server, each with a slot, a target and pipelines of its
# own, and judges how they end:
#   equal    the target holds what the source holds, in the columns that are published and no others
#   stopped  a stage has left with 100 and said why
#   failed   anything else: different, another exit status, no end
# Sessions are kept from one history to the next; what a history made is dropped after it.

use strict;
use warnings;
use File::Path ();
use Pg2any::Compare qw(compare_tables);
use Pg2any::History;
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Target qw(new_target);
use Pg2any::Wait qw(wait_for);

my $LIMIT = 60;
my $SESSIONS = 4;
# Catalogs grow by what was dropped; nobody else looks after them.
my $VACUUM_AFTER = 200;

# Pg2any::Histories->new(target => KIND): with a server of its own.
sub new {
    my ($class, %arg) = @_;
    my $pg = Pg2any::Postgres->new(settings => { track_commit_timestamp => 'off', logical_decoding_work_mem => '64kB', lock_timeout => '10s',
        log_min_messages => 'fatal' });
    return bless { pg => $pg, major => $pg->major, target => $arg{target}, runs => 0,
        sessions => [map { $pg->connect } 1 .. $SESSIONS] }, $class;
}

# The history of a seed on this server; options are those of Pg2any::History->new.
sub history {
    my ($self, $seed, %option) = @_;
    return Pg2any::History->new(seed => $seed, major => $self->{major}, %option);
}

# Run a history: {verdict => 'equal', 'stopped', 'failed' or 'invalid', reason => TEXT, kind => the reason
# without names, differences => [TEXT], said => [lines of the stages' logs]}. Invalid is one of which a statement
# fails. leave_out: numbers of steps that are not done; it may be invalid without them. tamper: called with the
# target before it is compared.
sub run {
    my ($self, $history, %option) = @_;
    $self->{runs}++;
    my %left_out = map { $_ => 1 } @{ $option{leave_out} // [] };
    my $run = { history => $history, target => new_target(origin => $history->name,
        $self->{target} ? (kind => $self->{target}) : ()), pipelines => [] };
    my $result = eval { $self->make($run); $self->follow($run, \%left_out, $option{tamper}) };
    if (!$result) {
        my $error = "$@";
        my $verdict = $error =~ /DBD::Pg/ ? 'invalid' : 'failed';
        $result = { verdict => $verdict, reason => $error =~ s/\s+\z//r, kind => 'cannot be run' };
    }
    $result->{seed} = $history->seed;
    $result->{said} = [map { said($_) } @{ $run->{pipelines} }];
    if (!eval { $self->clean($run, $result->{verdict}); 1 }) {
        $result = { seed => $history->seed, verdict => 'failed', reason => "cleaning up: $@",
            kind => 'cannot be cleaned up' };
    }
    return $result;
}

sub session { return $_[0]{sessions}[$_[1]] }

sub make {
    my ($self, $run) = @_;
    my $history = $run->{history};
    my $name = $history->name;
    $self->session(0)->do(join ';', $history->setup);
    $self->session($_)->do("set search_path = $name") for 1 .. $SESSIONS - 1;
    $self->session(0)->selectrow_array(q{select pg_create_logical_replication_slot(?, 'pgoutput', false, ?)}, undef,
        $name, $history->two_phase ? 't' : 'f');
    return;
}

sub follow {
    my ($self, $run, $left_out, $tamper) = @_;
    my $n = 0;
    for my $step ($run->{history}->steps) {
        next if $left_out->{ ++$n };
        if (!$step->{reader}) {
            if (!eval { $self->session($step->{session})->do($step->{sql}); 1 }) {
                die "step $n: $@";
            }
        } elsif (my $stopped = $self->read_on($run, $step->{reader})) {
            $stopped->{at} = $n;
            return $stopped;
        }
    }
    $tamper->($run->{target}) if $tamper;
    my @differences = $self->differences($run);
    return { verdict => 'equal' } if !@differences;
    return { verdict => 'failed', kind => 'different', reason => 'silently different', differences => \@differences };
}

# ---- the pipeline ----

# What a step of the reader does. A result where the pipeline has ended by itself.
sub read_on {
    my ($self, $run, $what) = @_;
    if ($what eq 'start') {
        return $self->judge($run) if $run->{running} && !$run->{running}->running;
        $self->start($run) if !$run->{running};
        return;
    }
    if (!$run->{running}) {
        # Where steps were left out.
        return if $what eq 'wait' || $what eq 'stop';
        $self->start($run, '--until-lsn', $self->mark);
        return $self->judge($run);
    }
    if ($what eq 'run' || $what eq 'wait' || $what eq 'finish') {
        my $lsn = $self->mark;
        return $self->judge($run) if !eval { $run->{running}->wait_applied($lsn, $LIMIT); 1 }
            && !$run->{running}->running;
        return { verdict => 'failed', kind => 'behind', reason => "it runs, but does not reach $lsn: $@" } if $@;
    }
    if ($what eq 'stop' || $what eq 'finish') {
        wait_for(sub { !$run->{running}->running || connected($run->{running}) }, $LIMIT, 'the pipeline to start');
        $run->{running}->process('capture')->signal('TERM');
        return $self->judge($run);
    }
    return;
}

# A commit, and what is written by then: with an open transaction only, the end of what is flushed may be in
# the middle of a record, which is not sent before the rest is.
sub mark {
    my ($self) = @_;
    $self->session(0)->do(q{insert into pad values (- nextval('volatile'), 'mark')});
    return $self->{pg}->current_lsn;
}

# The applier has had its first frame, and can acknowledge.
sub connected {
    my ($pipeline) = @_;
    my $fifo = $pipeline->ack_fifo;
    return scalar grep { (readlink($_) // '') eq $fifo } glob '/proc/' . $pipeline->pid('apply') . '/fd/*';
}

sub start {
    my ($self, $run, @until) = @_;
    my $history = $run->{history};
    $run->{running} = Pg2any::Pipeline->new(pg => $self->{pg}, target => $run->{target}, slot => $history->name,
        publication => $history->name,
        args => { capture => ['--streaming', 'on', $history->two_phase ? '--two-phase' : (), @until] });
    push @{ $run->{pipelines} }, $run->{running};
    $run->{running}->start;
    return;
}

# It ends: nothing where all leave with 0.
sub judge {
    my ($self, $run) = @_;
    my $pipeline = delete $run->{running};
    my $statuses = eval { $pipeline->wait_all($LIMIT) };
    if (!$statuses) {
        $pipeline->kill_all;
        return { verdict => 'failed', kind => 'no end', reason => "not all stages have ended: $@" };
    }
    my @stages = sort keys %$statuses;
    return if !grep { $statuses->{$_} ne '0' } @stages;
    my ($stage) = grep { $statuses->{$_} eq '100' } @stages;
    my $told = join ', ', map { "$_ $statuses->{$_}" } @stages;
    if (defined $stage && !grep { $statuses->{$_} !~ /\A(?:0|100|111)\z/ } @stages) {
        my $error = last_error($pipeline->log_text($stage));
        # Nobody else writes into the target: a row that is missing there was lost before.
        return { verdict => 'failed', kind => 'conflict', reason => $error }
            if ($error // '') =~ /\bconflict \w+_\w+:/;
        return { verdict => 'stopped', kind => "$stage: " . kind_of($error), reason => $error } if defined $error;
    }
    my $errors = join '; ', map { last_error($pipeline->log_text($_)) // () } @stages;
    return { verdict => 'failed', kind => 'exit status', reason => "$told; $errors" };
}

sub last_error {
    my ($log) = @_;
    my ($line) = reverse grep { /level=error/ } split /\n/, $log;
    return if !defined $line;
    return $line =~ /\bmsg="((?:[^"\\]|\\.)*)"/ ? $1 : $line;
}

# What its stages have said of tables, and complained of.
sub said {
    my ($pipeline) = @_;
    my @lines = map { split /\n/, $pipeline->log_text($_) } qw(capture assemble apply);
    my $telling = qr{level=(?:error|warning)|level=info msg="(?:table|column)};
    return grep { /$telling/ && !/the target has no checkpoint/ } @lines;
}

# What an error says, without of whom it says it.
sub kind_of {
    my ($error) = @_;
    my $kind = $error =~ s/\Atransaction \d+ committed at \S+: //r;
    $kind =~ s/\A(?:frame at byte \d+|table \S+): //g;
    $kind =~ s/[;:(].*//s;
    $kind =~ s/ from .+ to .+/ from ... to .../;
    $kind =~ s/\b(column|table|of) (?!of\b|was\b|is\b)\S+/$1 .../g;
    $kind =~ s/\brenamed to \S+/renamed to .../;
    $kind =~ s/\bh\d+[_.]\S+/.../g;
    $kind =~ s/\d+/N/g;
    return $kind =~ s/,?\s*\z//r;
}

# ---- the verdict ----

sub differences {
    my ($self, $run) = @_;
    my ($history, $target) = @$run{qw(history target)};
    my $name = $history->name;
    my $dbh = $self->session(0);
    my (@tables, %ignore, @differences);
    for my $table (@{ $dbh->selectcol_arrayref('select tablename from pg_publication_tables where pubname = ?'
        . ' and schemaname = ? order by 1', undef, $name, $name) }) {
        my $full = "$name.$table";
        push @tables, $full;
        my $columns = $dbh->selectall_arrayref($self->columns_query, undef, $name, $full);
        $ignore{$full} = [map { $_->[0] } grep { !$_->[1] } @$columns];
        # The comparison lets those be; here nothing may be there but what is published.
        my $there = $target->table_name($name, $table);
        next if !$target->dbh || !$target->has_table($there);
        my $has = join ' ', sort $target->column_names($there);
        my $must = join ' ', sort map { $_->[0] } grep { $_->[1] } @$columns;
        push @differences, "$full: the target has the columns $has, must have $must" if $has ne $must;
    }
    push @differences, compare_tables($dbh, $target, \@tables, ignore => \%ignore);
    return @differences;
}

# The columns of a table, and whether they are published.
sub columns_query {
    my ($self) = @_;
    my $listed = $self->{major} < 15 ? 'true' : 'a.attname = any (p.attnames)';
    return "select a.attname, a.attgenerated = '' and $listed from pg_attribute a, pg_publication_tables p"
        . " where p.pubname = ? and a.attrelid = ?::regclass and a.attnum > 0 and not a.attisdropped"
        . ' and format(\'%I.%I\', p.schemaname, p.tablename)::regclass = a.attrelid';
}

# What there is to say of a result that is neither equal nor stopped; options are those of history() and run().
sub report {
    my ($self, $result, %option) = @_;
    my $leave_out = $option{leave_out} // [];
    my $history = $self->history($result->{seed}, %option{ grep { exists $option{$_} } qw(only without) });
    my @again = map { @{ $option{$_} // [] } ? '--' . tr/_/-/r . ' ' . join ',', @{ $option{$_} } : () }
        qw(only without leave_out);
    return join "\n", "seed $result->{seed}: $result->{kind}: $result->{reason}",
        (map { "    $_" } @{ $result->{differences} // [] }),
        '  the history' . (@$leave_out ? ' without what it does not take:' : ':'),
        (map { "    $_" } split /\n/, $history->sql(leave_out => $leave_out)),
        (map { "  $_" } @{ $result->{said} // [] }),
        "  again: tests/histories --seeds 1 --seed $result->{seed} @again\n";
}

# ---- the smallest ----

# The numbers of steps without which the history still fails in the same way.
sub shrink {
    my ($self, $history, $kind, %option) = @_;
    my @steps = $history->steps;
    my %gone = map { $_ => 1 } @{ $option{leave_out} // [] };
    my $runs = $option{runs} // 300;
    my $fails_without = sub {
        return 0 if $runs-- <= 0;
        my $result = $self->run($history, leave_out => [keys %gone, @_]);
        return $result->{verdict} eq 'failed' && $result->{kind} eq $kind;
    };
    # Whole transactions, then statements: as many at once as can go.
    my $progress = 1;
    while ($progress) {
        $progress = 0;
        for my $by (qw(unit group)) {
            my %parts;
            for my $n (grep { !$gone{$_} && !$steps[$_ - 1]{last} } 1 .. @steps) {
                push @{ $parts{ $steps[$n - 1]{$by} } }, $n;
            }
            my @left = map { $parts{$_} } sort { $b <=> $a } keys %parts;
            for (my $size = @left; $size >= 1; $size = int($size / 2)) {
                for (my $at = 0; $at < @left;) {
                    my $end = $at + $size - 1 < $#left ? $at + $size - 1 : $#left;
                    my @try = map { @$_ } @left[$at .. $end];
                    if ($fails_without->(@try)) {
                        $gone{$_} = 1 for @try;
                        splice @left, $at, $end - $at + 1;
                        $progress = 1;
                    } else {
                        $at = $end + 1;
                    }
                }
            }
        }
    }
    return sort { $a <=> $b } keys %gone;
}

# ---- after it ----

sub clean {
    my ($self, $run, $verdict) = @_;
    my $name = $run->{history}->name;
    if (my $pipeline = delete $run->{running}) {
        $pipeline->kill_all;
    }
    my $dbh = $self->session(0);
    if ($verdict ne 'equal') {
        # It may have come to its end in the middle.
        $_->do('rollback') for @{ $self->{sessions} };
        my $prepared = $dbh->selectcol_arrayref('select gid from pg_prepared_xacts');
        $dbh->do('rollback prepared ' . $dbh->quote($_)) for @$prepared;
    }
    if ($self->{pg}->slot($name)) {
        $self->{pg}->drop_slot($name);
    }
    $dbh->do("set client_min_messages = error; drop publication if exists $name; drop schema if exists $name cascade");
    if ($self->{runs} % $VACUUM_AFTER == 0) {
        $dbh->do("vacuum pg_catalog.$_")
            for qw(pg_attribute pg_class pg_type pg_depend pg_index pg_constraint pg_attrdef pg_publication_rel);
    }
    if ($ENV{PG2ANY_KEEP}) {
        $run->{target}->disconnect;
    } else {
        File::Path::remove_tree($_->dir) for @{ $run->{pipelines} };
        $run->{target}->drop;
    }
    return;
}

1;

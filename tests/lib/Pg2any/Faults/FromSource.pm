package Pg2any::Faults::FromSource;

# Programs of Pg2any::Faults::Programs that have a source: each a table that changes before each fault, a slot, and a SQLite
# target that goes on from fault to fault.

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Program';
use Pg2any::Compare qw(compare_tables);
use Pg2any::LSN qw(lsn_number);
use Pg2any::Postgres;
use Pg2any::Target qw(new_target);

my $pg;    # one for all

sub pg { return $pg }
sub lasting { return 0 }
sub share { return 1 / 50 }

sub prepare {
    my ($self) = @_;
    $pg //= Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
    my $table = $self->{table} = $self->{name} =~ tr/-/_/r;
    $pg->do("create table $table (id int primary key, n int, v text)", "create publication $table for table $table",
        "select pg_create_logical_replication_slot('$table', 'pgoutput')",
        "insert into $table select g, 0, 'v' || g from generate_series(1, 600) g");
    $self->{target} = new_target(kind => 'sqlite', origin => $table, file => "$self->{dir}/target.db");
    return;
}

# One transaction that is streamed, with a part that is rolled back, and small ones.
sub change_source {
    my ($self) = @_;
    my $table = $self->{table};
    my $n = ++$self->{changes};
    $pg->do('begin', "update $table set n = n + 1", 'savepoint s', "update $table set n = -1", 'rollback to s', 'commit',
        "insert into $table values (1000 + $n, $n, 'é')", "update $table set id = id + 1000000 where id = 1000 + $n",
        "delete from $table where id = $n");
    return;
}

sub same_content {
    my ($self) = @_;
    return compare_tables($pg->dbh, $self->{target}, [$self->{table}], limit => 1);
}

# The slot is not ahead of the target.
sub slot_ahead {
    my ($self) = @_;
    my $confirmed = $pg->slot($self->{table})->{confirmed_flush_lsn};
    my $checkpoint = $self->{target}->checkpoint;
    $self->{target}->disconnect;
    return $checkpoint && lsn_number($confirmed) > lsn_number($checkpoint->{remote_lsn}) ? 'the slot is ahead of the target' : ();
}

package Pg2any::Faults::Capture;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::FromSource';
use Carp qw(croak);
use Pg2any::Pipeline;
use Pg2any::Process;
use POSIX ();

sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    POSIX::mkfifo($self->stdout, 0600) or croak "mkfifo: $!";
    return;
}

sub reset {    ## no critic: what it does
    my ($self) = @_;
    $self->SUPER::reset;
    $self->change_source;
    return;
}

sub argv {
    my ($self) = @_;
    return ($self->tool, '--slot', $self->{table}, '--publication', $self->{table}, '--until-lsn', 'current',
        '--ack', "$self->{work}/ack", '--lsn-file', "$self->{work}/lsn", $self->stats);
}
sub env { my ($self) = @_; return { %{ $self->SUPER::env }, CDC_SOURCE_CONNECTION_STRING => $self->pg->uri } }
sub expected_files { return qr/\A(?:stats|ack|lsn)\z/ }

# The rest of the pipeline.
sub begin {
    my ($self) = @_;
    my @rest = ([Pg2any::Pipeline::tool('txn-assemble'), '--spill-dir', $self->{dir}],
        [Pg2any::Pipeline::tool('apply-sqlite'), '--dest', "sqlite:$self->{dir}/target.db?synchronous=off",
            '--ack', "$self->{work}/ack"]);
    pipe my $from, my $to or croak "pipe: $!";
    unlink "$self->{dir}/rest.log";
    my @between = ([$self->stdout, $to], [$from, '/dev/null']);
    $self->{rest} = [map {
        my ($in, $out) = @{ $between[$_] };
        Pg2any::Process->start(name => $rest[$_][0] =~ s{.*/}{}r, argv => $rest[$_], stdin => $in, stdout => $out,
            stderr => "$self->{dir}/rest.log");
    } 0 .. 1];
    return;
}

sub learn { my ($self) = @_; return $self->wrong_after(0) }

sub wrong_after {
    my ($self, $status) = @_;
    my @wrong;
    for my $process (@{ $self->{rest} }) {
        my $ended = eval { $process->wait_exit(40) } // 'hangs';
        push @wrong, $process->name . " ended with $ended: " . Pg2any::Faults::Program::read_file("$self->{dir}/rest.log")
            if $ended ne $status && $ended ne '111';
    }
    push @wrong, $self->slot_ahead;
    push @wrong, $self->same_content if $status eq '0';
    return @wrong;
}

# ---- pg2any: what is to be done is in the environment ----

package Pg2any::Faults::Front;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::FromSource';
use Pg2any::Front;

sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    $self->{front} = Pg2any::Front->new(pg => $self->pg, targets => [$self->{target}],
        env => { CDC_REPLICATION_SLOT => $self->{table}, CDC_PUBLICATION => $self->{table}, CDC_SPILL_DIR => $self->{dir} });
    $self->{front}{state_dir} = $self->{front}{env}{CDC_STATE_DIR} = "$self->{work}/state";
    return;
}

sub tool { return Pg2any::Pipeline::tool('pg2any') }
sub argv { my ($self) = @_; return ($self->tool, $self->{name} =~ s/\Apg2any-//r) }

sub env {
    my ($self) = @_;
    my $env = $self->{front}->environment(%{ $self->SUPER::env });
    return { map { $_ => $env->{$_} } grep { defined $env->{$_} } keys %$env };
}

# A report, without its numbers.
sub report { my ($self) = @_; return $self->out =~ s/\d+(?:[.,]\d+)*/N/gr }
sub learn { my ($self) = @_; $self->{whole} = $self->report; return $self->wrong_after(0) }

sub wrong_after {
    my ($self, $status) = @_;
    return $status eq '0' && $self->report ne $self->{whole} ? ('the report is another one: ' . $self->report) : ();
}

package Pg2any::Faults::Run;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Front';
use Pg2any::Postgres;

sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    $self->{front}{env}{METRICS_PORT} = Pg2any::Postgres::free_port();
    return;
}

sub reset {    ## no critic: what it does
    my ($self) = @_;
    $self->SUPER::reset;
    $self->change_source;
    return;
}
sub argv { my ($self) = @_; return ($self->SUPER::argv, '--until-lsn', 'current') }
sub expected_files { return qr{\Astate(?:/[a-z-]+(?:\.(?:prom|ack|fifo|lock))?)?\z} }

sub wrong_after {
    my ($self, $status) = @_;
    return ($self->slot_ahead, $status eq '0' ? $self->same_content : ());
}

package Pg2any::Faults::Check;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Front';

package Pg2any::Faults::Status;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Front';

# Of a pipeline that runs.
sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    $self->{front}{state_dir} = $self->{front}{env}{CDC_STATE_DIR} = "$self->{dir}/state";
    $self->{front}->start;
    $self->{front}->wait_all_ready(60);
    $self->{front}->wait_caught_up;
    return;
}

# Only what is asked of a side that answers has more or fewer lines.
sub report { my ($self) = @_; return join '', map { /^(\S+)/ ? "$1\n" : () } split /\n/, $self->out }

package Pg2any::Faults::Init;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Front';
use File::Find ();
use File::Path qw(remove_tree);

sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    $self->{front}{env}{CDC_USER} = 'nobody' if $> == 0;
    return;
}

sub argv { my ($self) = @_; return ($self->SUPER::argv, "$self->{work}/svc") }
sub expected_files { my ($self) = @_; return qr{\Asvc(?:\z|/(?:service|env|run|log)(?:/|\z))} }

# Every file with its rights and what it holds.
sub report {
    my ($self) = @_;
    my @files;
    File::Find::find({ no_chdir => 1, wanted => sub {
        push @files, sprintf '%s %o %s', $_, (lstat)[2], -f _ ? Pg2any::Faults::Program::read_file($_) : '';
    } }, grep { -d } "$self->{work}/svc");
    return join "\n", sort @files;
}

# Where it is done it would refuse to do it again.
sub again {
    my ($self, $status) = @_;
    remove_tree("$self->{work}/svc") if $status eq '0';
    return;
}

# All or nothing.
sub wrong_after {
    my ($self, $status) = @_;
    my $report = $self->report;
    return $self->SUPER::wrong_after($status) if $status eq '0';
    return $report ne '' && $report ne $self->{whole} ? "a part of it was made: $report" : ();
}

1;

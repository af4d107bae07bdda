package Pg2any::Faults::Compare;

# Programs of Pg2any::Faults::Programs that compare. The target has differences that were planted, and beside them a table
# that is equal. What a disturbed comparison has said is a beginning of what an undisturbed one says: nothing is
# equal in it that is not, and nothing of it is missing where the program says that it is whole.

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Program';
use Carp qw(croak);
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Target qw(new_target);

my $pg;    # one for all
my $DIFFERENT = 1;

sub lasting { return 0 }
sub share { return $_[0]->kind eq 'sqlite' ? 1 / 4 : 1 / 20 }
sub status { return $DIFFERENT }
sub kind { return $_[0]{name} =~ /-(sqlite|mysql|mssql)\z/ ? $1 : 'sqlite' }

sub run_to_end {
    my ($self, $name, %more) = @_;
    my $process = Pg2any::Process->start(name => $name, stderr => "$self->{dir}/$name.log",
        env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri }, %more);
    my $status = $process->wait_exit(60);
    $status eq '0' or croak "$name: $status: ", Pg2any::Faults::Program::read_file("$self->{dir}/$name.log");
    return;
}

sub prepare {
    my ($self) = @_;
    if (!$pg) {
        $pg = Pg2any::Postgres->new;
        $pg->do('create table same (id int primary key, v text)', q{insert into same select g, 'v' || g from generate_series(1, 40) g},
            'create table wrong (a int, b text, n numeric(10, 2), at timestamptz, primary key (a, b))',
            q{insert into wrong select g, 'b' || g, g / 4.0, timestamptz '2026-01-01' + g * interval '1 hour'
                from generate_series(1, 400) g}, 'create publication compared for table same, wrong');
    }
    my $target = $self->{target} = new_target(kind => $self->kind, origin => my $slot = 'fault_' . $self->{name} =~ tr/-/_/r,
        $self->kind eq 'sqlite' ? (file => "$self->{dir}/target.db") : ());
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot, publication => 'compared',
        args => { capture => ['--copy', 'initial', '--until-lsn', 'current'] });
    my $statuses = $pipeline->start->wait_all;
    croak $self->{name}, ': ', map { $pipeline->log_text($_) } qw(capture apply) if grep { $_ ne '0' } values %$statuses;
    my $table = $target->sql_name('public', 'wrong');
    $target->dbh->do($_) for "update $table set n = 77 where a in (7, 300)", "delete from $table where a = 8",
        "update $table set b = 'other' where a = 9",
        # No pipeline runs: it has all that comes, the WAL of a server that is idle, too.
        'update ' . $target->sql_name('public', 'pg2any_checkpoint') . q{ set remote_lsn = 'FFFF/0'};
    $target->disconnect;
    $self->{input} = "$self->{dir}/rows.frames";
    $self->run_to_end('pg-capture', stdout => $self->{input},
        argv => [Pg2any::Pipeline::tool('pg-capture'), '--publication', 'compared', '--slot', $slot, '--rows', 'all']);
    return;
}

sub pg { return $pg }
sub stdin { return $_[0]{input} }
sub keys_file { return "$_[0]{work}/keys" }
sub expected_files { return qr/\Akeys\z/ }

sub compare_argv {
    my ($self, @more) = @_;
    my $target = $self->{target};
    return (Pg2any::Pipeline::tool($target->applier), '--dest', $target->dest, $target->applier_args, '--compare', 'all', '--json',
        '--keys', $self->keys_file, @more);
}
sub argv { my ($self) = @_; return $self->compare_argv }

# A line a table, and which keys. Tables come in the order in which they are asked for.
sub report_file { return $_[0]->stdout }
sub report { my ($self) = @_; return Pg2any::Faults::Program::read_file($self->report_file) =~ s/"seconds":[\d.]+/"seconds":0/gr }
sub found { my ($self) = @_; return -e $self->keys_file ? Pg2any::Faults::Program::read_file($self->keys_file) : '' }

sub learn {
    my ($self) = @_;
    @{$self}{qw(whole keys)} = ($self->report, $self->found);
    my @as_planted = (qr/"table":"same","result":"equal"/, qr/"table":"wrong","result":"different".*"differ":5,"more":false,"undecided":0,/);
    return (map({ $self->{whole} =~ $_ ? () : "not what was planted: $self->{whole}" } @as_planted), $self->wrong_after($self->status));
}

sub wrong_after {
    my ($self, $status) = @_;
    my ($report, $keys) = ($self->report, $self->found);
    return "what was said is not what is so: $report" if $report ne substr $self->{whole}, 0, length $report;
    return if $status ne $DIFFERENT;
    return ("the report is not whole: $report") x ($report ne $self->{whole}), ("the keys are others: $keys") x ($keys ne $self->{keys});
}

# ---- the two programs joined: the applier asks, pg-capture answers. One of them is under test, the other one is the peer ----

package Pg2any::Faults::Joined;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Compare';
use Carp qw(croak);
use Fcntl qw(O_WRONLY O_NONBLOCK);
use POSIX ();
use Pg2any::Pipeline;
use Pg2any::Process;

sub requests { return "$_[0]{work}/requests" }
sub peer_log { return "$_[0]{dir}/peer.log" }
sub env { my ($self) = @_; return { %{ $self->SUPER::env }, CDC_SOURCE_CONNECTION_STRING => $self->pg->uri } }
sub expected_files { return qr/\A(?:keys|requests)\z/ }

sub applier { my ($self) = @_; return $self->compare_argv('--ask', $self->requests) }
sub capture {
    my ($self) = @_;
    return (Pg2any::Pipeline::tool('pg-capture'), '--publication', 'compared', '--slot', $self->{target}{origin}, '--rows', '-');
}

sub start_peer {
    my ($self, %more) = @_;
    unlink $self->peer_log;
    $self->{peer} = Pg2any::Process->start(name => 'peer', stderr => $self->peer_log, env => $self->env, %more);
    return;
}

# The applier opens the FIFO before it reads, so that whoever waits there has a writer. Each time one of its own.
sub begin {
    my ($self) = @_;
    unlink $self->requests;
    POSIX::mkfifo($self->requests, 0600) or croak "mkfifo: $!";
    pipe $self->{from}, $self->{to} or croak "pipe: $!";
    $self->begin_peer;
    return;
}

# The ends of the pipe that the program has got.
sub meanwhile { my ($self) = @_; delete @{$self}{qw(from to)}; return }

# The peer does not outlive it, whatever it waits for.
sub peer_status {
    my ($self) = @_;
    if (sysopen my $fifo, $self->requests, O_WRONLY | O_NONBLOCK) {
        close $fifo or croak "close: $!";
    }
    return eval { $self->{peer}->wait_exit(40) } // 'hangs';
}

sub learn { my ($self) = @_; $self->peer_status; return $self->SUPER::learn }

sub wrong_peer {
    my ($self, @fine) = @_;
    my $status = $self->peer_status;
    return "the peer ended with $status: " . Pg2any::Faults::Program::read_file($self->peer_log) if !grep { $status eq $_ } @fine;
    return;
}

package Pg2any::Faults::Asks;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Joined';

sub argv { return $_[0]->applier }
sub stdin { return '/proc/self/fd/' . fileno $_[0]{from} }
sub begin_peer { my ($self) = @_; return $self->start_peer(argv => [$self->capture], stdin => $self->requests, stdout => $self->{to}) }
sub wrong_after { my ($self, $status) = @_; return ($self->wrong_peer(0, 111), $self->SUPER::wrong_after($status)) }

# What has been disturbed is no comparison, whichever of the two it was.
package Pg2any::Faults::Answers;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Joined';

sub status { return 0 }
sub argv { return $_[0]->capture }
sub stdin { return $_[0]->requests }
sub stdout { return '/proc/self/fd/' . fileno $_[0]{to} }
sub report_file { return "$_[0]{dir}/report" }
sub begin_peer { my ($self) = @_; return $self->start_peer(argv => [$self->applier], stdin => $self->{from}, stdout => $self->report_file) }

# An applier that has all it wants does not wait for the end of the input: what pg-capture writes then has room in the pipe.
sub meanwhile { my ($self) = @_; delete $self->{to}; return }

sub wrong_after {
    my ($self, $status) = @_;
    my $peer = $self->peer_status;
    my @wrong = $self->SUPER::wrong_after($peer);
    push @wrong, $self->wrong_peer($status eq '0' ? 1 : (1, 111));
    return @wrong;
}

package Pg2any::Faults::FrontCompares;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Compare';
use Pg2any::Front;
use Pg2any::Pipeline;

sub env {
    my ($self) = @_;
    my $front = $self->{front} //= Pg2any::Front->new(pg => $self->pg, targets => [$self->{target}],
        env => { CDC_REPLICATION_SLOT => $self->{target}{origin}, CDC_PUBLICATION => 'compared' });
    my $env = $front->environment(%{ $self->SUPER::env });
    return { map { $_ => $env->{$_} } grep { defined $env->{$_} } keys %$env };
}

sub argv { my ($self) = @_; return (Pg2any::Pipeline::tool('pg2any'), 'compare', '--json', '--still', '--keys', $self->keys_file) }
sub stdin { return '/dev/null' }

# ---- rows that are to be read again: the target says so of all that were asked for, or of none ----

package Pg2any::Faults::Again;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Compare';
use Carp qw(croak);
use File::Copy qw(copy);

sub status { return 0 }
sub lasting { return 1 }
sub stdin { return "$_[0]{dir}/keys" }
sub expected_files { return qr/\Atarget\.db(?:-wal|-shm)?\z/ }

sub prepare {
    my ($self) = @_;
    $self->SUPER::prepare;
    open my $fh, '>', $self->stdin or croak "keys: $!";
    print {$fh} map { "different\tpublic\twrong\ta\t$_\tb\tb$_\n" } 7, 300;
    close $fh or croak "keys: $!";
    $self->{untouched} = $self->marks;
    rename $self->{target}->file, "$self->{dir}/kept.db" or croak "rename: $!";
    $self->{target} = Pg2any::Target::new_target(kind => 'sqlite', origin => $self->{target}{origin}, file => "$self->{work}/target.db");
    return;
}

sub reset {    ## no critic: what it does
    my ($self) = @_;
    $self->SUPER::reset;
    copy("$self->{dir}/kept.db", "$self->{work}/target.db") or croak "copy: $!";
    return;
}

sub argv {
    my ($self) = @_;
    return (Pg2any::Pipeline::tool('apply-sqlite'), '--dest', $self->{target}->dest, '--read-again', '--origin', $self->{target}{origin});
}

sub marks {
    my ($self) = @_;
    my $marks = join '', map { join('|', map { unpack 'H*', $_ // '' } @$_), "\n" }
        $self->{target}->rows('select relid, frame from pg2any_relation order by relid');
    $self->{target}->disconnect;
    return $marks;
}

sub learn {
    my ($self) = @_;
    $self->{whole} = $self->marks;
    return ('nothing is marked') x ($self->{whole} eq $self->{untouched});
}

sub wrong_after {
    my ($self, $status) = @_;
    my $marks = $self->marks;
    return ('the target does not say which rows') x ($status eq '0' && $marks ne $self->{whole}),
        ('some of the rows are marked') x ($marks ne $self->{whole} && $marks ne $self->{untouched});
}

1;

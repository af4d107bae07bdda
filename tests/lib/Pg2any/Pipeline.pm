package Pg2any::Pipeline;

# pg-capture | txn-assemble | apply-…, or a part of it, as child processes joined by pipes. Each has
# its own pid to signal and its own log; the test plays the supervisor.

use strict;
use warnings;
use Carp qw(croak);
use Cwd ();
use File::Basename ();
use Pg2any::LSN qw(lsn_number);
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);

my @STAGES = qw(capture assemble apply);

# The folder of the tools under test.
sub tool_dir {
    my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
    return $ENV{PG2ANY_BIN} // "$root/build/bin";
}

sub tool {
    my ($name) = @_;
    my $file = $name =~ m{/} ? $name : tool_dir() . "/$name";
    croak "$file is not there: run make" if !-x $file;
    return $file;
}

# Pg2any::Pipeline->new(
#     pg      => $pg,                 # source; pg_uri => [options of its uri()]
#     target  => $target,             # what apply writes to
#     stages  => [qw(capture assemble apply)],   # or fewer, in this order
#     input   => FILE,                # stdin of the first stage
#     output  => FILE,                # stdout of the last stage
#     slot, publication               # cdc_slot, cdc_pub
#     ack     => 0,                   # no acknowledgements
#     args    => {capture => [...], assemble => [...], apply => [...]},
#     capture => FILE,                # another program than pg-capture
#     tee     => {capture => FILE},   # a copy of what that stage writes; its process is 'tee-capture'
#     env     => {NAME => value},     # for all stages
# )
sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        stages => $arg{stages} // [@STAGES],
        slot => $arg{slot} // 'cdc_slot',
        publication => $arg{publication} // 'cdc_pub',
        args => $arg{args} // {},
        tee => $arg{tee} // {},
        dir => fresh_name('pipeline'),
        restarts => 0,
        process => {},
        map { $_ => $arg{$_} } qw(pg pg_uri target input output env capture),
    }, $class;
    mkdir $self->{dir} or croak "mkdir $self->{dir}: $!";
    my %has = map { $_ => 1 } @{ $self->{stages} };
    if ($has{capture} && $has{apply} && ($arg{ack} // 1)) {
        $self->{ack} = "$self->{dir}/ack";
    }
    return $self;
}

# The command of each process, in order: [name, argv].
sub commands {
    my ($self) = @_;
    my @ack = defined $self->{ack} ? ('--ack', $self->{ack}) : ();
    my %argv = (
        capture => sub {
            return (tool($self->{capture} // 'pg-capture'), '--slot', $self->{slot},
                '--publication', $self->{publication}, @ack);
        },
        assemble => sub { return (tool('txn-assemble'), '--spill-dir', $self->spill_dir) },
        apply => sub {
            return (tool($self->{target}->applier), '--dest', $self->{target}->dest,
                $self->{target}->applier_args, @ack);
        },
    );
    my @commands;
    for my $stage (@{ $self->{stages} }) {
        push @commands, [$stage, [$argv{$stage}->(), '--stats', $self->stats_file($stage),
            @{ $self->{args}{$stage} // [] }]];
        if (defined(my $copy = $self->{tee}{$stage})) {
            push @commands, ["tee-$stage", ['tee', '-a', $copy]];
        }
    }
    return @commands;
}

sub spill_dir {
    my ($self) = @_;
    my $dir = "$self->{dir}/spill";
    -d $dir or mkdir $dir or croak "mkdir $dir: $!";
    return $dir;
}

# Start all the stages. Fails when some still run.
sub start {
    my ($self) = @_;
    croak 'the pipeline runs already' if grep { $_->running } values %{ $self->{process} };
    # Only what the test says, nothing from the caller's environment.
    my %env = map { $_ => undef } grep { /^(?:CDC_|PG(?!2ANY_))/ } keys %ENV;
    if ($self->{pg}) {
        $env{CDC_SOURCE_CONNECTION_STRING} = $self->{pg}->uri(@{ $self->{pg_uri} // [] });
    }
    my @commands = $self->commands;
    my $stdin = $self->{input};
    for my $i (0 .. $#commands) {
        my ($name, $argv) = @{ $commands[$i] };
        my ($stdout, $next_stdin);
        if ($i < $#commands) {
            pipe $next_stdin, $stdout or croak "pipe: $!";
        } else {
            $stdout = $self->{output};
        }
        $self->{process}{$name} = Pg2any::Process->start(
            name => $name, argv => $argv, stdin => $stdin, stdout => $stdout,
            stderr => $self->log_file($name), env => { %env, %{ $self->{env} // {} } },
        );
        $stdin = $next_stdin;
    }
    $self->{order} = [map { $_->[0] } @commands];
    return $self;
}

sub process {
    my ($self, $stage) = @_;
    return $self->{process}{$stage} // croak "no stage $stage";
}

sub processes {
    my ($self) = @_;
    return map { $self->{process}{$_} } @{ $self->{order} // [] };
}

sub pid { return $_[0]->process($_[1])->pid }
sub status { return $_[0]->process($_[1])->status }
sub signal { return $_[0]->process($_[1])->signal($_[2]) }
sub wait_exit { return $_[0]->process($_[1])->wait_exit($_[2]) }
sub dir { return $_[0]{dir} }
sub ack_fifo { return $_[0]{ack} }
sub restarts { return $_[0]{restarts} }
sub log_file { return "$_[0]{dir}/$_[1].log" }
sub stats_file { return "$_[0]{dir}/$_[1].prom" }
sub log_text { return Pg2any::Postgres::read_file($_[0]->log_file($_[1])) }

# The value of a metric in a stage's statistics file, summed over its labels; undef when it is not
# there (yet). The file is at most a second old.
sub metric {
    my ($self, $stage, $name) = @_;
    open my $fh, '<', $self->stats_file($stage) or return;
    my @values = map { /\A\Q$name\E(?:\{.*\})? (\S+)/ ? $1 : () } <$fh>;
    close $fh or return;
    return if !@values;
    my $sum = 0;
    $sum += $_ for @values;
    return $sum;
}

# All stages run.
sub running {
    my ($self) = @_;
    my @processes = $self->processes;
    return @processes && !grep { !$_->running } @processes;
}

# Wait until all have ended: {capture => 0, assemble => 0, apply => 'SIGKILL'}.
sub wait_all {
    my ($self, $limit) = @_;
    my $end = now() + ($limit //= 60);
    for my $process ($self->processes) {
        my $left = $end - now();
        $process->wait_exit($left > 1 ? $left : 1);
    }
    return $self->statuses;
}

sub statuses {
    my ($self) = @_;
    return { map { $_->name => $_->status } $self->processes };
}

# Ask the first stage to stop and let the others follow; what has not left after the limit is
# killed and shows as 'SIGKILL' in the statuses that are returned.
sub stop {
    my ($self, $limit) = @_;
    my ($first) = $self->processes or return {};
    $first->signal('TERM');
    if (!eval { $self->wait_all($limit // 60); 1 }) {
        $self->kill_all;
    }
    return $self->statuses;
}

sub kill_all {
    my ($self) = @_;
    $_->signal('KILL') for $self->processes;
    return $self->wait_all(60);
}

# What a supervisor does: when a stage has ended, wait for the others to follow, then start them
# all again. An exit of 100 is permanent, so it dies. True when it restarted.
sub tend {
    my ($self, $limit) = @_;
    return 0 if $self->running;
    my $statuses = $self->wait_all($limit // 60);
    my $told = join ', ', map { "$_ $statuses->{$_}" } @{ $self->{order} };
    croak "a stage has ended for good: $told" if grep { $_ eq '100' } values %$statuses;
    croak "the pipeline has ended: $told" if !grep { $_ ne '0' } values %$statuses;
    $self->{restarts}++;
    $self->start;
    return 1;
}

# Wait while tending, or dying at once when a stage has ended.
sub wait_while_running {
    my ($self, $condition, $limit, $what, %option) = @_;
    return wait_for(sub {
        my $result = $condition->();
        return $result if $result;
        if ($option{tend}) {
            $self->tend;
        } elsif (my @ended = grep { !$_->running } $self->processes) {
            croak 'ended while waiting for ', $what, ': ',
                join ', ', map { $_->name . ' ' . $_->status } @ended;
        }
        return 0;
    }, $limit, $what);
}

# Wait until the capture streams: changes made from here on will come.
sub wait_streaming {
    my ($self, $limit, %option) = @_;
    return $self->wait_while_running(sub {
        my $slot = eval { $self->{pg}->slot($self->{slot}) } or return 0;
        # While the slot is being made it is active too, but confirms nothing yet.
        return $slot->{active} && defined $slot->{confirmed_flush_lsn};
    }, $limit // 60, "the slot $self->{slot} to be active", %option);
}

# Wait until the target has the tables by copies that are whole (common/sql/copied.h).
sub wait_copied {
    my ($self, $tables, $limit, %option) = @_;
    my @relids = map { $self->{pg}->value("select '$_'::regclass::oid") } @$tables;
    return $self->wait_while_running(sub {
        my %line = map { ($_->[0] => $_->[1] =~ /\A(cop[^\n]*)\n/ ? $1 : '') }
            eval { $self->{target}->rows('select relid, frame from pg2any_relation') };
        return !grep { ($line{$_} // '') !~ /\Acopied \S+ \S+(?: until \S+)?\z/ } @relids;
    }, $limit // 180, "copies of @$tables", %option);
}

# Wait until the target holds everything up to that LSN.
sub wait_applied {
    my ($self, $lsn, $limit, %option) = @_;
    my $end = lsn_number($lsn);
    return $self->wait_while_running(sub {
        my $checkpoint = $self->{target}->checkpoint or return 0;
        return lsn_number($checkpoint->{remote_lsn}) >= $end;
    }, $limit // 180, "the target to reach $lsn", %option);
}

# Wait until the target holds all that is committed now. tend => 1 restarts stages that end.
sub wait_caught_up {
    my ($self, $limit, %option) = @_;
    return $self->wait_applied($self->{pg}->current_lsn, $limit, %option);
}

1;

package Pg2any::Front;

# A pipeline as a user sets it up: configuration in the environment, the front command pg2any, and
# what supervises it. `pg2any run` in the foreground here; Pg2any::S6 has the same under s6.

use strict;
use warnings;
use Carp qw(croak);
use Pg2any::LSN qw(lsn_number);
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);

my %TYPE = (sqlite => 'SQLite', mysql => 'MySQL', mssql => 'SqlServer');

# Pg2any::Front->new(
#     pg      => $pg,
#     targets => [$target, ...],
#     env     => {NAME => value, or undef for a variable to leave out},
# )
sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        pg => $arg{pg},
        targets => $arg{targets},
        dir => fresh_name('front'),
    }, $class;
    mkdir $self->{dir} or croak "mkdir $self->{dir}: $!";
    $self->{state_dir} = "$self->{dir}/state";
    my %env = (
        CDC_SOURCE_CONNECTION_STRING => $arg{pg}->uri,
        CDC_STATE_DIR => $self->{state_dir},
        CDC_SPILL_DIR => $self->{dir},
    );
    my $n = 0;
    for my $target (@{ $arg{targets} }) {
        my $suffix = ++$n > 1 ? "_$n" : '';
        $env{"CDC_DEST_TYPE$suffix"} = $TYPE{ $target->kind };
        $env{"CDC_DEST_URI$suffix"} = $target->dest;
    }
    $self->{env} = { %env, %{ $arg{env} // {} } };
    return $self;
}

# Only what the test says, nothing from the caller's environment.
sub environment {
    my ($self, %more) = @_;
    my %nothing = map { $_ => undef } grep { /^(?:CDC_|METRICS_|XDG_|PG(?!2ANY_))/ } keys %ENV;
    return { %nothing, %{ $self->{env} }, %more };
}

sub dir { return $_[0]{dir} }
sub state_dir { return $_[0]{state_dir} }
sub process { return $_[0]{process} }
sub stats_file { return "$_[0]{state_dir}/$_[1].prom" }
sub metric { return Pg2any::Pipeline::metric(@_) }
sub log_file { return "$_[0]{dir}/run.log" }
sub log_text { return Pg2any::Postgres::read_file($_[0]->log_file) }

# pg2any COMMAND ... to its end: its status, stdout, stderr.
sub command {
    my ($self, $words, %arg) = @_;
    my ($out, $err) = map { fresh_name("pg2any.$_.log") } qw(out err);
    my $process = Pg2any::Process->start(name => "pg2any $words->[0]",
        argv => [Pg2any::Pipeline::tool('pg2any'), @$words],
        stdin => $arg{stdin}, stdout => $out, stderr => $err,
        env => $self->environment(%{ $arg{env} // {} }));
    my $status = $process->wait_exit($arg{limit} // 60);
    return ($status, map { Pg2any::Postgres::read_file($_) } $out, $err);
}

sub start {
    my ($self, @words) = @_;
    $self->{process} = Pg2any::Process->start(name => 'pg2any run',
        argv => [Pg2any::Pipeline::tool('pg2any'), 'run', @words],
        stdout => $self->log_file, stderr => $self->log_file,
        env => $self->environment, parent_death => 'TERM');
    return $self;
}

# The state of a stage, from the first line of its statistics: {pid, state, status, reason}.
sub state {
    my ($self, $stage) = @_;
    open my $fh, '<', $self->stats_file($stage) or return {};
    my $line = <$fh>;
    close $fh or return {};
    my %state = ($line // '') =~ /\b(pid|state|status)=(\S+)/g;
    ($state{reason}) = ($line // '') =~ / reason=(.*)/;
    return \%state;
}

sub pid_of {
    my ($self, $stage) = @_;
    return $self->state($stage)->{pid};
}

# The stage runs and is ready, as another process than `$not`.
sub wait_ready {
    my ($self, $stage, $not, $limit) = @_;
    return wait_for(sub {
        my $state = $self->state($stage);
        return ($state->{state} // '') eq 'ready' && $state->{pid} != ($not // 0)
            && kill(0, $state->{pid});
    }, $limit // 60, "$stage to be ready");
}

sub stages {
    my ($self) = @_;
    my $n = @{ $self->{targets} };
    my @apply = ('apply', map { "apply-$_" } 2 .. $n);
    return ('capture', 'assemble', $n > 1 || $self->{env}{CDC_AUDIT_FILE} ? 'tee' : (), @apply);
}

sub wait_all_ready {
    my ($self, $limit) = @_;
    $self->wait_ready($_, 0, $limit) for $self->stages;
    return;
}

# Every target holds what is committed now.
sub wait_caught_up {
    my ($self, $limit) = @_;
    my $end = lsn_number($self->{pg}->current_lsn);
    for my $target (@{ $self->{targets} }) {
        wait_for(sub {
            my $checkpoint = $target->checkpoint or return 0;
            return lsn_number($checkpoint->{remote_lsn}) >= $end;
        }, $limit // 180, 'the target to catch up');
    }
    return;
}

# Processes whose environment or arguments name the state directory: all of this pipeline.
sub processes {
    my ($self) = @_;
    my @pids;
    for my $path (glob '/proc/[0-9]*') {
        my ($pid) = $path =~ m{/(\d+)\z};
        next if $pid == $$;
        my $text = join '', map { my $t = Pg2any::Postgres::read_file("$path/$_"); $t =~ /\A\(cannot/ ? '' : $t }
            qw(environ cmdline);
        push @pids, $pid if index($text, $self->{state_dir}) >= 0;
    }
    return @pids;
}

sub stop {
    my ($self, $limit) = @_;
    return $self->{process}->stop('TERM', $limit // 40);
}

1;

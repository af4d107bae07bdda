package Pg2any::Chaos;

# What befalls a pipeline: moves, which a seed chooses, and how each is made and ended. Moves come in rounds of
# one to three; after most rounds the pipeline has to catch up, and how long that takes is measured.

use strict;
use warnings;
use Carp qw(croak);
use Pg2any::Postgres;
use Pg2any::Wait qw(wait_for);

# kind => [weight, seconds at most, what it is made of: a list to choose from for each word]
my @STAGE = qw(capture assemble tee apply apply-2 apply-3);
my @WAY = qw(source mysql mssql);
my @DIRECTION = qw(up down both);
my @KINDS = (
    [cut => 6, 4, \@WAY],
    [half => 3, 0, \@WAY, [qw(up down)]],
    [hole => 6, 8, \@WAY, \@DIRECTION],
    [stall => 4, 12, \@WAY],
    [delay => 3, 8, \@WAY, [20, 100, 300]],
    [split => 3, 6, \@WAY],
    [stop => 8, 9, [@STAGE, 'front']],
    [stop_server => 4, 9, [qw(walsender mysql mssql)]],
    [kill => 10, 0, [@STAGE, 'front']],
    [terminate => 3, 0, ['walsender']],
    [kill_backend => 3, 0, ['walsender']],
    [restart => 4, 2, ['source'], [qw(fast immediate kill)]],
    [restart => 4, 2, [qw(mysql mssql)], [qw(TERM KILL)]],
    [full => 8, 6, [qw(spill sqlite audit)]],
    [clock => 6, 0, ['stages'], [qw(+1 -1 +60 -60 +3600 -3600 +30000000 -30000000)]],
    [source_clock => 4, 0, ['source'], [qw(+1 -1 +60 -60 +3600 -3600)]],
);

# A generator of numbers from 0 to below its argument, always the same for one seed, whatever else is random.
sub dice {
    my ($seed) = @_;
    my $state = $seed ^ 25_214_903_917;
    return sub {
        my ($sides) = @_;
        use integer;
        $state = ($state * 25_214_903_917 + 11) & ((1 << 48) - 1);
        return ($state >> 17) % $sides;
    };
}

# The rounds of a seed, one with each call: {wait, moves => [{after, kind, words, seconds}]}. `has`: what can
# be struck, {word => true}; a move with another word is left out, which changes no other.
sub plan {
    my ($seed, $has) = @_;
    my $dice = dice($seed);
    my $weights = 0;
    $weights += $_->[1] for @KINDS;
    return sub {
        my $moves = (1, 1, 2, 3)[$dice->(4)];
        my $wait = $dice->(4) > 0;
        my @moves;
        for (1 .. $moves) {
            my $at = $dice->($weights);
            my ($kind) = grep { ($at -= $_->[1]) < 0 } @KINDS;
            my ($name, undef, $seconds, @choices) = @$kind;
            my @words = map { $_->[$dice->(scalar @$_)] } @choices;
            my $move = { kind => $name, words => \@words, seconds => $seconds * $dice->(1000) / 1000,
                after => $dice->(2000) / 1000 };
            push @moves, $move if !grep { exists $has->{$_} && !$has->{$_} } $name, @words;
        }
        return { wait => $wait, moves => \@moves };
    };
}

sub told {
    my ($move) = @_;
    my $long = $move->{seconds} ? sprintf ' for %.1f s', $move->{seconds} : '';
    return "$move->{kind} @{ $move->{words} }$long";
}

# Pg2any::Chaos->new(pg, front, servers => {mysql, mssql}, networks => {source, mysql, mssql},
#     disks => {name => mount point}, clocks => {stages => FILE, source => FILE})
sub new {
    my ($class, %arg) = @_;
    return bless {%arg}, $class;
}

# Makes a move; what ends it. A server is up again when that returns.
sub begin {
    my ($self, $move) = @_;
    my ($what, $how) = @{ $move->{words} };
    my $method = "begin_$move->{kind}";
    return $self->$method($what, $how // '', $move);
}

sub network {
    my ($self, $way, $order) = @_;
    my $network = $self->{networks}{$way};
    $network->order($order);
    return sub { $network->order('pass') };
}

sub begin_cut { my ($self, $way) = @_; return $self->network($way, 'cut') }
sub begin_half { my ($self, $way, $direction) = @_; return $self->network($way, "half $direction") }
sub begin_hole { my ($self, $way, $direction) = @_; return $self->network($way, "hole $direction") }
sub begin_stall { my ($self, $way) = @_; return $self->network($way, 'stall') }
sub begin_delay { my ($self, $way, $ms) = @_; return $self->network($way, "delay $ms") }
sub begin_split { my ($self, $way) = @_; return $self->network($way, 'split') }

# The process of a stage, or of pg2any; undef where it is not there just now.
sub pid {
    my ($self, $stage) = @_;
    my $pid = $stage eq 'front' ? $self->{front}->process->pid : $self->{front}->pid_of($stage);
    # The file of a stage that was killed stays until the next has written its own.
    my $program = $pid ? Pg2any::Postgres::read_file("/proc/$pid/comm") : '';
    return $program =~ /\A(?:pg-capture|txn-assemble|frame-tee|apply-\w+|pg2any)$/ ? $pid : undef;
}

sub walsender {
    my ($self) = @_;
    return eval {
        $self->{pg}->value(q{select active_pid from pg_replication_slots where slot_name = 'cdc_slot'});
    };
}

sub strike {
    my ($signal, $pid) = @_;
    kill $signal, $pid if $pid;
    return sub { kill 'CONT', $pid if $pid && $signal eq 'STOP' };
}

sub begin_stop { my ($self, $stage) = @_; return strike('STOP', $self->pid($stage)) }
sub begin_kill { my ($self, $stage) = @_; return strike('KILL', $self->pid($stage)) }

sub begin_stop_server {
    my ($self, $server) = @_;
    return strike('STOP', $server eq 'walsender' ? $self->walsender : $self->{servers}{$server}->pid);
}

# All backends go down with one that is killed, and the server recovers.
sub begin_kill_backend { my ($self) = @_; return strike('KILL', $self->walsender) }
sub begin_terminate { my ($self) = @_; return strike('TERM', $self->walsender) }

# One that another restart of the same round has stopped, or started again, is left as it is.
sub begin_restart {
    my ($self, $name, $how) = @_;
    my $server = $name eq 'source' ? $self->{pg} : $self->{servers}{$name};
    my @limit = $name eq 'source' ? 90 : ();
    $server->stop($how, @limit) if $server->running;
    return sub { $server->start($name eq 'source' ? 120 : ()) if !$server->running };
}

sub run_command {
    my (@command) = @_;
    system(@command) == 0 or croak "@command: $?";
    return;
}

# The file system is as large as what is in it.
sub begin_full {
    my ($self, $disk) = @_;
    my $place = $self->{disks}{$disk};
    my $size = $self->{disk_size};
    wait_for(sub {
        my ($used) = `df --output=used -k $place` =~ /(\d+)/;
        # No less than a page: 0 is no limit.
        $used = 4 if !$used;
        return system("mount -o remount,size=${used}k $place 2>/dev/null") == 0;
    }, 10, "$place to be full");
    return sub { run_command('mount', '-o', "remount,size=$size", $place) };
}

sub set_clock {
    my ($file, $seconds) = @_;
    open my $fh, '>', "$file.new" or croak "$file: $!";
    print {$fh} "$seconds\n";
    close $fh or croak "$file: $!";
    rename "$file.new", $file or croak "$file: $!";
    return;
}

# By so much from the true time, until the next jump.
sub begin_clock {
    my ($self, $which, $seconds) = @_;
    set_clock($self->{clocks}{$which}, $seconds);
    return sub { };
}

sub begin_source_clock { my ($self, @words) = @_; return $self->begin_clock(@words) }

1;

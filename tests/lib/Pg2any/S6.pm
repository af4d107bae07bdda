package Pg2any::S6;

# A pipeline under s6: set up by pg2any init, run by s6-svscan. As root the stages run as another user,
# so the programs are copied to where that user can reach them.

use strict;
use warnings;
use parent qw(Pg2any::Front);
use Carp qw(croak);
use Cwd ();
use File::Basename ();
use File::Copy ();
use File::Path ();
use Pg2any::Pipeline;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for);

# The user that the stages run as: undef for our own.
sub stage_user { return $> == 0 ? 'nobody' : undef }

# A folder that the stages may write into, for targets and audit files.
sub writable_dir {
    my ($name) = @_;
    my $dir = fresh_name($name);
    mkdir $dir or croak "mkdir $dir: $!";
    if (defined stage_user()) {
        chown((getpwnam stage_user())[2, 3], $dir) or croak "chown $dir: $!";
    }
    return $dir;
}

# As `make install` lays it out, below the scratch directory.
sub install {
    my $prefix = fresh_name('installed');
    my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
    File::Path::make_path("$prefix/bin", "$prefix/share/pg2any/s6/stage/log");
    for my $file (glob Pg2any::Pipeline::tool_dir() . '/*') {
        copy($file, "$prefix/bin/" . File::Basename::basename($file));
    }
    for my $file (qw(run finish notification-fd timeout-finish max-death-tally log/run)) {
        copy("$root/svc/s6/stage/$file", "$prefix/share/pg2any/s6/stage/$file");
    }
    return $prefix;
}

sub copy {
    my ($from, $to) = @_;
    File::Copy::copy($from, $to) or croak "copy $from: $!";
    chmod +(stat $from)[2] & 07777, $to or croak "chmod $to: $!";
    return;
}

# As Pg2any::Front; sets the services up.
sub new {
    my ($class, %arg) = @_;
    my $self = $class->SUPER::new(%arg);
    $self->{prefix} = install();
    $self->{root} = "$self->{dir}/pipeline";
    $self->{state_dir} = "$self->{root}/run";
    delete @{ $self->{env} }{qw(CDC_STATE_DIR CDC_SPILL_DIR)};
    $self->{env}{CDC_USER} = stage_user() if defined stage_user();
    my $init = Pg2any::Process->start(name => 'pg2any init', argv => ["$self->{prefix}/bin/pg2any", 'init', $self->{root}],
        stderr => $self->log_file, env => $self->environment);
    $init->wait_exit(30) eq '0' or croak 'pg2any init failed: ' . $self->log_text;
    $self->{env}{CDC_STATE_DIR} = $self->{state_dir};
    return $self;
}

sub root { return $_[0]{root} }
sub service { return "$_[0]{root}/service/$_[1]" }
sub stage_log { return Pg2any::Postgres::read_file("$_[0]{root}/log/$_[1]/current") }

sub start {
    my ($self) = @_;
    $self->{process} = Pg2any::Process->start(name => 's6-svscan', argv => ['s6-svscan', "$self->{root}/service"],
        stdout => $self->log_file, stderr => $self->log_file, env => $self->environment, parent_death => 'TERM');
    return $self;
}

# A program of s6 about a service, or the scan directory: its status and output.
sub s6 {
    my ($self, @words) = @_;
    my $out = fresh_name("$words[0].out");
    my $process = Pg2any::Process->start(name => $words[0], argv => \@words, stdout => $out, stderr => $out);
    my $status = $process->wait_exit(30);
    return ($status, Pg2any::Postgres::read_file($out));
}

sub svstat {
    my ($self, $stage) = @_;
    my (undef, $text) = $self->s6('s6-svstat', $self->service($stage));
    return $text;
}

# The process of a service as s6 knows it; 0 while there is none.
sub service_pid {
    my ($self, $name) = @_;
    my (undef, $text) = $self->s6('s6-svstat', '-o', 'pid', $self->service($name));
    return $text =~ /\A(\d+)/ ? $1 : 0;
}

sub stop {
    my ($self, $limit) = @_;
    $self->s6('s6-svscanctl', '-t', "$self->{root}/service");
    return $self->{process}->wait_exit($limit // 60);
}

1;

package Pg2any::MSSQL;

# A throw-away TDS peer (tests/tds-peer), which stands for SQL Server: its own directory below the
# test's scratch directory, its own port on 127.0.0.1, gone when the test ends. What a test does to it
# goes through a session of its own in the test's process, on the same file, without the wire.

use strict;
use warnings;
use Carp qw(croak);
use Cwd ();
use File::Basename ();
use JSON::PP ();
use Pg2any::Certificates;
use Pg2any::Needs ();
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for);

my $peer_dir;

BEGIN {
    $peer_dir = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../tds-peer');
}
use lib "$peer_dir/lib";
use TdsPeer::Faults;
use TdsPeer::Session;

# Pg2any::MSSQL->new(
#     fast       => 1,              # commits are written, not synced
#     tls        => [names],        # with a certificate for these (IP:127.0.0.1, DNS:…), of its own CA
#     encryption => 'off',          # the server's policy: login, on, required; default: on with tls
#     user, password                # sa, and one that is hard to write down
#     databases  => ['name'],
#     level      => 160,            # compatibility level of its databases
#     alter      => 0,              # its users may not alter tables
#     start      => 0,              # do not start it yet
#     name       => 'peer',         # of its directory
#     dir        => DIR,            # which must not be there yet, and stays
# )
sub new {
    my ($class, %arg) = @_;
    Pg2any::Needs::demand('peer');
    my $self = bless {
        dir => $arg{dir} // fresh_name($arg{name} // 'peer'), fast => $arg{fast}, level => $arg{level} // 160,
        user => $arg{user} // 'sa', password => $arg{password} // q{p@ss:w/0?r#d'%é},
        databases => $arg{databases} // [], encryption => $arg{encryption} // ($arg{tls} ? 'on' : 'off'),
        alter => $arg{alter} // 1,
    }, $class;
    mkdir $self->{dir} or croak "mkdir $self->{dir}: $!";
    $self->{log} = "$self->{dir}/server.log";
    $self->{faults} = TdsPeer::Faults->new($self->{dir});
    $self->make_certificates(@{ $arg{tls} }) if $arg{tls};
    open my $out, '>:encoding(UTF-8)', "$self->{dir}/password" or croak "$self->{dir}/password: $!";
    print {$out} "$self->{password}\n";
    close $out or croak "$self->{dir}/password: $!";
    $self->start if $arg{start} // 1;
    return $self;
}

sub make_certificates {
    my ($self, @names) = @_;
    my $dir = "$self->{dir}/tls";
    mkdir $dir or croak "mkdir $dir: $!";
    $self->{ca} = Pg2any::Certificates->new(dir => $dir, name => 'ca');
    $self->{wrong_ca} = Pg2any::Certificates->new(dir => $dir, name => 'wrong-ca');
    ($self->{certificate}, $self->{key}) = $self->{ca}->issue('server', @names);
    return;
}

# The file of the CA that the server's certificate is of, and of one that has nothing to do with it.
sub ca_file { return $_[0]{ca}->file }
sub wrong_ca_file { return $_[0]{wrong_ca}->file }

# Start, and wait until it answers.
sub start {
    my ($self) = @_;
    croak 'the server runs already' if $self->running;
    $self->{port} //= Pg2any::Postgres::free_port();
    unlink "$self->{dir}/port";
    my @argv = ($^X, "$peer_dir/tds-peer", '--dir', $self->{dir}, '--port', $self->{port}, '--user', $self->{user},
        '--password-file', "$self->{dir}/password", '--level', $self->{level}, '--encryption', $self->{encryption},
        (map { ('--database', $_) } @{ $self->{databases} }), $self->{fast} ? '--fast' : (), $self->{alter} ? () : '--no-alter');
    push @argv, '--certificate', $self->{certificate}, '--key', $self->{key} if $self->{certificate};
    $self->{process} = Pg2any::Process->start(name => 'the TDS peer', argv => \@argv, stderr => $self->{log});
    wait_for(sub { !$self->running || -e "$self->{dir}/port" }, 30, "the TDS peer; its log: $self->{log}");
    $self->running or croak 'the TDS peer: ', $self->log_text;
    return;
}

sub running { return defined $_[0]{process} && $_[0]{process}->running }

sub stop {
    my ($self, $signal) = @_;
    return if !$self->running;
    $self->{process}->signal($signal // 'KILL');
    $self->{process}->wait_exit(60);
    return;
}

sub kill9 { return $_[0]->stop('KILL') }

sub restart {
    my ($self, $signal) = @_;
    $self->stop($signal);
    $self->start;
    return;
}

sub signal { return $_[0]{process}->signal($_[1]) }
sub pid { return $_[0]{process}->pid }
sub port { return $_[0]{port} }
sub log_text { return Pg2any::Postgres::read_file($_[0]{log}) }
sub db_file { return "$_[0]{dir}/peer.db" }

# For --dest: uri(db => 'name', user, password, host => '127.0.0.1', parameters => {encrypt => 'no'}).
sub uri {
    my ($self, %arg) = @_;
    my ($user, $password, $db) = map { uri_escape($_) } $arg{user} // $self->{user}, $arg{password} // $self->{password}, $arg{db};
    my $host = $arg{host} // '127.0.0.1';
    my %parameters = %{ $arg{parameters} // {} };
    my $rest = join '&', map { "$_=" . uri_escape($parameters{$_}) } sort keys %parameters;
    return "sqlserver://$user:$password\@$host:$self->{port}/$db" . ($rest eq '' ? '' : "?$rest");
}

sub uri_escape {
    my ($text) = @_;
    utf8::encode($text);
    return Pg2any::Postgres::uri_escape($text);
}

# --- what a test does to it

# A session in a database, for itself.
sub session {
    my ($self, $db) = @_;
    return TdsPeer::Session->new(dir => $self->{dir}, database => $db // 'master', user => $self->{user}, fast => 1, spid => 20,
        compatibility_level => $self->{level});
}

# Runs statements; dies with the first error: do('…', …, {db => 'name', session => …}).
sub do {    ## no critic: DBI's name for it
    my ($self, @statements) = @_;
    my $where = ref $statements[-1] ? pop @statements : {};
    my $session = $where->{session} // $self->session($where->{db});
    for my $statement (@statements) {
        my $sink = Pg2any::MSSQL::Sink->new;
        $session->run_batch($statement, $sink);
        croak "$statement: $sink->{errors}[0]" if @{ $sink->{errors} };
    }
    $session->close if !$where->{session};
    return;
}

# The rows of a query: rows('select …', db => 'name').
sub rows {
    my ($self, $query, %where) = @_;
    my $session = $self->session($where{db});
    my $sink = Pg2any::MSSQL::Sink->new;
    $session->run_batch($query, $sink);
    $session->close;
    croak "$query: $sink->{errors}[0]" if @{ $sink->{errors} };
    return @{ $sink->{rows} };
}

# What it was asked to execute: [{session, kind, text, declaration}].
sub statements {
    my ($self) = @_;
    return if !-e "$self->{dir}/statements.log";
    my $text = Pg2any::Postgres::read_file("$self->{dir}/statements.log");
    my $json = JSON::PP->new->utf8;
    return map { $json->decode($_) } split /\n/, $text;
}

# Something goes wrong: fault(match => 'a pattern', action => 'error', number => 1205, skip => 0, times => 1).
sub fault {
    my ($self, %rule) = @_;
    $self->{faults}->add(severity => 16, state => 1, %rule);
    return;
}

# How many have not happened yet.
sub faults_left { return scalar $_[0]{faults}->rules }
sub clear_faults { return $_[0]{faults}->clear }

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    delete $self->{process};
    return;
}

package Pg2any::MSSQL::Sink;

# Collects what a session reports.

use strict;
use warnings;

sub new { return bless { rows => [], errors => [] }, $_[0] }
sub columns { return }
sub row { my ($self, $row) = @_; push @{ $self->{rows} }, $row; return }
sub done { return }
sub info { return }
sub environment { return }
sub error { my ($self, $e) = @_; push @{ $self->{errors} }, "$e->{number} $e->{message}"; return }

1;

package Pg2any::MySQL;

# A throw-away server of the MySQL family: its own data directory below the test's scratch
# directory, its own port on 127.0.0.1, a Unix socket, gone when the test ends. It refuses to run
# as root, so as root it runs as another user. Which server that is, is the flavour's say:
# MariaDB from the machine, or Oracle's from a Debian system in a folder.

use strict;
use warnings;
use Carp qw(croak);
use DBI;
use Pg2any::Certificates;
use Pg2any::MySQL::MariaDB;
use Pg2any::MySQL::Oracle;
use Pg2any::Needs ();
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);

my %FLAVOUR = (mariadb => 'Pg2any::MySQL::MariaDB', oracle => 'Pg2any::MySQL::Oracle');

# What every test wants. Durability is the server's own default.
my %SETTINGS = (
    bind_address => '127.0.0.1',
    skip_name_resolve => 'ON',
    innodb_buffer_pool_size => '64M',
    max_connections => 50,
    performance_schema => 'OFF',
);

# Where the server is killed and the machine stays up, what the kernel has is enough.
my %FAST = (innodb_flush_log_at_trx_commit => 2, innodb_flush_method => 'nosync');

# The user that runs the server: undef for our own.
sub server_user {
    return if $> != 0;
    for my $user (qw(mysql nobody)) {
        return $user if defined getpwnam $user;
    }
    croak 'root cannot run a MySQL server, and there is no user mysql or nobody';
}

# Pg2any::MySQL->new(
#     settings => {server setting => value},   # as in an option file
#     fast     => 1,             # commits are written, not synced
#     tls      => [names],       # with a certificate for these (IP:127.0.0.1, DNS:…), of its own CA
#     flavour  => 'mariadb',     # or oracle; default PG2ANY_MYSQL_FLAVOUR
#     start    => 0,             # do not start it yet
#     name     => 'mysql',       # of its directory
# )
sub new {
    my ($class, %arg) = @_;
    Pg2any::Needs::demand('mariadb');
    my $flavour = $arg{flavour} // $ENV{PG2ANY_MYSQL_FLAVOUR} // 'mariadb';
    my $self = bless {
        flavour => $FLAVOUR{$flavour} // croak("no such flavour: $flavour"),
        dir => fresh_name($arg{name} // 'mysql'),
        user => scalar server_user(),
    }, $class;
    $self->{data} = "$self->{dir}/data";
    $self->{log} = "$self->{dir}/server.log";
    $self->{socket} = "$self->{dir}/socket";
    $self->{options} = "$self->{dir}/my.cnf";
    # Temporary files in a place of its own: a server that starts removes what others left.
    for my $dir ($self->{dir}, "$self->{dir}/tmp") {
        mkdir $dir or croak "mkdir $dir: $!";
        $self->own($dir);
    }

    my %fast = $arg{fast} ? (%FAST, $self->{flavour}->fast_settings) : ();
    $self->{settings} = { %SETTINGS, $self->{flavour}->settings, %fast,
        pid_file => "$self->{dir}/pid", socket => $self->{socket}, tmpdir => "$self->{dir}/tmp",
        %{ $arg{settings} // {} } };
    if ($arg{tls}) {
        $self->make_certificates(@{ $arg{tls} });
    }
    $self->initialise;
    $self->start if $arg{start} // 1;
    return $self;
}

sub own {
    my ($self, @files) = @_;
    if (defined $self->{user}) {
        my ($uid, $gid) = (getpwnam $self->{user})[2, 3];
        chown $uid, $gid, @files or croak "chown @files: $!";
    }
    return;
}

sub make_certificates {
    my ($self, @names) = @_;
    my $dir = "$self->{dir}/tls";
    mkdir $dir or croak "mkdir $dir: $!";
    $self->{ca} = Pg2any::Certificates->new(dir => $dir, name => 'ca');
    $self->{wrong_ca} = Pg2any::Certificates->new(dir => $dir, name => 'wrong-ca');
    my ($certificate, $key) = $self->{ca}->issue('server', @names);
    $self->own($key);
    @{ $self->{settings} }{qw(ssl_ca ssl_cert ssl_key)} = ($self->{ca}->file, $certificate, $key);
    return;
}

# The file of the CA that the server's certificate is of, and of one that has nothing to do with it.
sub ca_file { return $_[0]{ca}->file }
sub wrong_ca_file { return $_[0]{wrong_ca}->file }

# How the server's processes are started, the command aside.
sub server_process {
    my ($self) = @_;
    my %env = map { $_ => undef } grep { /^(?:MYSQL|MARIADB)/ } keys %ENV;
    return (stderr => $self->{log}, dir => $self->{dir}, env => { %env, LC_ALL => 'C' });
}

sub initialise {
    my ($self) = @_;
    $self->write_options;
    my $process = Pg2any::Process->start(
        $self->{flavour}->process($self->{user}, $self->{flavour}->initialise_command($self)),
        name => 'initialisation', stdout => "$self->{dir}/initialise.out", $self->server_process);
    if ($process->wait_exit(120) ne '0') {
        croak "no data directory: $self->{flavour}, run by ", $self->{user} // 'you', ': ',
            Pg2any::Postgres::read_file("$self->{dir}/initialise.out"), $self->log_text;
    }
    return;
}

sub write_options {
    my ($self) = @_;
    open my $fh, '>', $self->{options} or croak "$self->{options}: $!";
    print {$fh} "[server]\n";
    for my $name (sort keys %{ $self->{settings} }) {
        my $value = $self->{settings}{$name};
        print {$fh} "$name = $value\n" if defined $value;
    }
    close $fh or croak "$self->{options}: $!";
    return;
}

# Change settings (undef: back to the default); they hold from the next start.
sub configure {
    my ($self, %settings) = @_;
    @{ $self->{settings} }{ keys %settings } = values %settings;
    $self->write_options;
    return;
}

# Start, and wait until it answers, recovery included.
sub start {
    my ($self, $limit) = @_;
    croak 'the server runs already' if $self->running;
    $limit //= 60;
    my $end = now() + $limit;
    wait_for(sub {
        $self->configure(port => Pg2any::Postgres::free_port()) if !$self->{settings}{port};
        $self->{process} = Pg2any::Process->start(
            $self->{flavour}->process($self->{user}, $self->{flavour}->server_command($self)),
            name => 'the MySQL server', $self->server_process);
        # Nobody reads its files again.
        $self->{process}->set_stop_signal('KILL');
        wait_for(sub { !$self->running || $self->answers }, $end - now() + 1, 'the server');
        return 1 if $self->running;
        if (!$self->{started} && $self->log_text =~ /Can't start server|port: \d+ already/) {
            # Somebody took the port between the choice and now.
            delete $self->{settings}{port};
        }
        return 0;
    }, $limit, "the MySQL server to start; its log: $self->{log}");
    if (!$self->{started}) {
        $self->{flavour}->welcome($self);
        $self->{started} = 1;
    }
    return;
}

sub answers {
    my ($self) = @_;
    my $dbh = eval { $self->connect } or return 0;
    $dbh->disconnect;
    return 1;
}

sub running { return defined $_[0]{process} && $_[0]{process}->running }

# Ask it to shut down and wait until it has.
sub stop {
    my ($self, $signal) = @_;
    $self->forget_handle;
    return if !$self->running;
    $self->{process}->signal($signal // 'TERM');
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
sub port { return $_[0]{settings}{port} }
sub socket { return $_[0]{socket} }    ## no critic: what MySQL calls it
sub log_file { return $_[0]{log} }
sub log_text { return Pg2any::Postgres::read_file($_[0]{log}) }
sub is_mariadb { return $_[0]{flavour} eq $FLAVOUR{mariadb} }

# For --dest: uri(db => 'name', user => 'root', password => …, tcp => 1, host => '127.0.0.1',
# parameters => {tls => 'required'}). Without tcp it goes through the socket.
sub uri {
    my ($self, %arg) = @_;
    my ($user, $db) = map { uri_escape($_) } $arg{user} // 'root', $arg{db};
    my $secret = defined $arg{password} ? ':' . uri_escape($arg{password}) : '';
    my $place = $arg{tcp} ? ($arg{host} // '127.0.0.1') . ':' . $self->port : 'localhost';
    my %parameters = ($arg{tcp} ? () : (socket => $self->{socket}), %{ $arg{parameters} // {} });
    my $rest = join '&', map { "$_=" . uri_escape($parameters{$_}) } sort keys %parameters;
    return "mysql://$user$secret\@$place/$db" . ($rest eq '' ? '' : "?$rest");
}

sub uri_escape {
    my ($text) = @_;
    utf8::encode($text);
    return Pg2any::Postgres::uri_escape($text);
}

# A new DBI connection that dies on errors: connect(db => …, user => …, password => …, and DBI's own
# attributes). Text comes back as characters, blobs as bytes. DBD::mysql, because DBD::MariaDB reads
# nothing under use_result.
sub connect {    ## no critic: DBI's name for it
    my ($self, %arg) = @_;
    my $db = delete $arg{db};
    my $user = delete $arg{user} // 'root';
    my $password = delete $arg{password} // '';
    my $dsn = "dbi:mysql:mysql_socket=$self->{socket};mysql_connect_timeout=10"
        . (defined $db ? ";database=$db" : '');
    my $dbh = DBI->connect($dsn, $user, $password,
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0,
            AutoInactiveDestroy => 1, mysql_enable_utf8mb4 => 1, %arg })
        || die "$DBI::errstr\n";
    $dbh->do(q{set time_zone = '+00:00'});
    return $dbh;
}

# The kept connection of root, without a database; made again when the server was restarted.
sub dbh {
    my ($self) = @_;
    my $dbh = $self->{dbh};
    if (!$dbh || !$dbh->ping) {
        $dbh = $self->{dbh} = $self->connect;
    }
    return $dbh;
}

sub forget_handle {
    my ($self) = @_;
    if (my $dbh = delete $self->{dbh}) {
        eval { $dbh->disconnect };
    }
    return;
}

sub do {    ## no critic: DBI's name for it
    my ($self, @statements) = @_;
    my $count;
    $count = $self->dbh->do($_) for @statements;
    return $count;
}

# The first column of the first row.
sub value {
    my ($self, $query, @bind) = @_;
    return scalar $self->dbh->selectrow_array($query, undef, @bind);
}

# An account that may do everything: create_user('name', 'password', 'require ssl').
sub create_user {
    my ($self, $user, $password, $more) = @_;
    my ($name, $secret) = map { $self->dbh->quote($_) } $user, $password;
    $self->do("create user $name\@'%' identified by $secret " . ($more // ''),
        "grant all on *.* to $name\@'%'");
    return;
}

# End all sessions but our own ones, as an administrator does. How many there were.
sub kill_sessions {
    my ($self, @keep) = @_;
    my $dbh = $self->dbh;
    my %keep = map { $_->selectrow_array('select connection_id()') => 1 } $dbh, @keep;
    my $ids = $dbh->selectcol_arrayref('select id from information_schema.processlist'
        . q{ where user not in ('system user', 'event_scheduler')});
    # One may end by itself before its turn comes.
    return scalar grep { !$keep{$_} && eval { $dbh->do("kill $_"); 1 } } @$ids;
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->forget_handle;
    delete $self->{process};
    return;
}

1;

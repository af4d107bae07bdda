package Pg2any::Postgres;

# A throw-away PostgreSQL server: its own data directory below the test's scratch directory, its
# own port on 127.0.0.1, a Unix socket, gone when the test ends. Root cannot run PostgreSQL, so as
# root it runs as another user. Only the server's programs are needed: everything else is DBI.

use strict;
use warnings;
use Carp qw(croak);
use DBI;
use File::Path qw(remove_tree);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Pg2any::Needs ();
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for now);

my %STOP_SIGNAL = (smart => 'TERM', fast => 'INT', immediate => 'QUIT', kill => 'KILL');

# What most tests want. fsync is off: the machine is not going to lose power in a way a test sees.
my %SETTINGS = (
    wal_level => 'logical',
    max_wal_senders => 20,
    max_replication_slots => 20,
    max_prepared_transactions => 20,
    max_connections => 50,
    track_commit_timestamp => 'on', # what was done to a table before a row is told from what after it, however soon
    shared_buffers => '64MB',
    fsync => 'off',
    autovacuum => 'off',
    log_min_messages => 'warning',
    log_line_prefix => '%m [%p] %a ',
    timezone => 'UTC',
    lc_messages => 'C',
);

my $made = 0;

# The folder of the server's programs: PG_BIN, or the newest Debian has, or pg_config's.
sub bin_dir {
    my @candidates = $ENV{PG_BIN} // ();
    if (!@candidates) {
        my %version = map { m{/postgresql/(\d+)/bin\z} ? ($_ => $1) : () }
            glob '/usr/lib/postgresql/*/bin';
        @candidates = sort { $version{$b} <=> $version{$a} } keys %version;
        my $config = `pg_config --bindir 2>/dev/null`;
        chomp $config;
        push @candidates, $config if $config ne '';
    }
    for my $dir (@candidates) {
        return $dir if -x "$dir/initdb" && -x "$dir/postgres";
    }
    croak 'no PostgreSQL server found in ' . (join(', ', @candidates) || '/usr/lib/postgresql')
        . ': install it with `make deps`, or name its folder in PG_BIN';
}

# The user that runs the server: undef for our own.
sub server_user {
    return if $> != 0;
    for my $user (qw(postgres nobody)) {
        return $user if defined getpwnam $user;
    }
    croak 'root cannot run PostgreSQL, and there is no user postgres or nobody';
}

# Pg2any::Postgres->new(settings => {name => value}, fsync => 1, start => 0, name => 'pg',
# initdb => [options], under => [a command that becomes the server]): made by initdb and, unless start is 0, started.
sub new {
    my ($class, %arg) = @_;
    my ($unknown) = grep { !/\A(?:settings|fsync|start|name|initdb|under)\z/ } keys %arg;
    croak "a server has no '$unknown'" if defined $unknown;
    Pg2any::Needs::demand('postgres');
    my $self = bless {
        bin => bin_dir(),
        dir => fresh_name($arg{name} // 'pg'),
        user => scalar server_user(),
        under => $arg{under} // [],
        handles => {},
    }, $class;
    $self->{data} = "$self->{dir}/data";
    $self->{log} = "$self->{dir}/server.log";
    mkdir $self->{dir} or croak "mkdir $self->{dir}: $!";
    if (defined $self->{user}) {
        my ($uid, $gid) = (getpwnam $self->{user})[2, 3];
        chown $uid, $gid, $self->{dir} or croak "chown $self->{dir}: $!";
    }

    # Each cluster of a test is one of its own, by its system identifier; the first may be that of another test.
    my $kept = $ENV{PG2ANY_CLUSTERS} && !$arg{initdb} && !$made++ ? "$ENV{PG2ANY_CLUSTERS}/" . $self->{bin} =~ tr{/}{-}r : undef;
    if (!defined $kept || !-d $kept) {
        $self->initdb(@{ $arg{initdb} // [] });
        keep($self->{data}, $kept) if defined $kept;
    } else {
        system('cp', '-a', $kept, $self->{data}) == 0 or croak "cp $kept: $?";
    }
    my %settings = (%SETTINGS, $arg{fsync} ? (fsync => 'on') : (), %{ $arg{settings} // {} });
    $self->configure(%settings);
    $self->start if $arg{start} // 1;
    return $self;
}

sub initdb {
    my ($self, @options) = @_;
    my $initdb = Pg2any::Process->start(
        name => 'initdb',
        argv => [
            "$self->{bin}/initdb", '-D', $self->{data}, '-U', 'postgres', '--auth=trust',
            '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions', @options,
        ],
        $self->server_process,
    );
    if ($initdb->wait_exit(120) ne '0') {
        my $user = $self->{user} // 'you';
        croak "initdb failed ($self->{bin}, run by $user): " . read_file($self->{log});
    }
    return;
}

# A new cluster for the tests that come. Of two that are made at once the first one stays.
sub keep {
    my ($data, $kept) = @_;
    system('cp', '-a', $data, "$kept.$$") == 0 or croak "cp $data: $?";
    rename "$kept.$$", $kept or remove_tree("$kept.$$");
    return;
}

sub server_process {
    my ($self) = @_;
    # The server must not be led astray by the caller's environment, nor start in a folder that
    # its user cannot enter.
    my %env = map { $_ => undef } grep { /^PG(?!2ANY_)/ } keys %ENV;
    return (stderr => $self->{log}, user => $self->{user}, dir => $self->{dir},
        env => { %env, LC_ALL => 'C' }, parent_death => 'QUIT');
}

sub read_file {
    my ($file) = @_;
    open my $fh, '<', $file or return "(cannot read $file: $!)";
    local $/ = undef;
    my $text = <$fh>;
    close $fh or return "(cannot read $file: $!)";
    return $text;
}

# Append settings to postgresql.conf; they hold from the next reload or restart.
sub configure {
    my ($self, %settings) = @_;
    open my $fh, '>>', "$self->{data}/postgresql.conf" or croak "postgresql.conf: $!";
    for my $name (sort keys %settings) {
        (my $value = $settings{$name}) =~ s/'/''/g;
        print {$fh} "$name = '$value'\n";
    }
    close $fh or croak "postgresql.conf: $!";
    return;
}

# Make running sessions and new ones see changed settings.
sub reload {
    my ($self) = @_;
    my $before = $self->value('select pg_conf_load_time()');
    $self->do('select pg_reload_conf()');
    wait_for(sub { $self->value('select pg_conf_load_time() > ?', $before) }, 60, 'a reload');
    return;
}

# A port that nobody listens on, below the range that the kernel takes outgoing ones from. No other test is given
# it until this one ends: a server may come to it later, and be away for a while. An abstract socket says that it is taken.
my @taken;

sub free_port {
    for (1 .. 200) {
        my $port = 10_000 + int rand 20_000;
        my $mark = IO::Socket::UNIX->new(Local => "\0pg2any-test-port-$port", Listen => 1) or next;
        my $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp', Listen => 1) or next;
        close $socket or next;
        push @taken, $mark;
        return $port;
    }
    croak 'no free port on 127.0.0.1';
}

# Start, and wait until it answers. After a crash this includes the wait for what is left of the
# old server.
sub start {
    my ($self, $limit) = @_;
    croak 'the server runs already' if $self->running;
    $limit //= 60;
    my $end = now() + $limit;
    wait_for(sub {
        $self->{port} //= free_port();
        $self->{process} = Pg2any::Process->start(
            name => 'postgres',
            argv => [@{ $self->{under} }, "$self->{bin}/postgres", '-D', $self->{data}, '-p', $self->{port}, '-k',
                $self->{dir}, '-c', 'listen_addresses=127.0.0.1'],
            $self->server_process,
        );
        $self->{process}->set_stop_signal('INT');
        wait_for(sub { !$self->running || $self->answers }, $end - now() + 1, 'the server');
        return 1 if $self->running;
        if (!$self->{started}) {
            # Somebody took the port between the choice and now.
            delete $self->{port} if read_file($self->{log}) =~ /could not bind/;
        }
        return 0;
    }, $limit, "PostgreSQL to start; its log: $self->{log}");
    $self->{started} = 1;
    return;
}

sub answers {
    my ($self) = @_;
    my $dbh = eval { $self->connect(PrintError => 0) } or return 0;
    $dbh->disconnect;
    return 1;
}

sub running { return defined $_[0]{process} && $_[0]{process}->running }

# mode: smart, fast (default), immediate, or kill (SIGKILL to the postmaster).
sub stop {
    my ($self, $mode, $limit) = @_;
    $mode //= 'fast';
    my $signal = $STOP_SIGNAL{$mode} // croak "no such stop mode: $mode";
    $self->forget_handles;
    return if !$self->running;
    $self->{process}->signal($signal);
    $self->{process}->wait_exit($limit // 60);
    return;
}

sub kill9 { return $_[0]->stop('kill') }

sub restart {
    my ($self, $mode) = @_;
    $self->stop($mode);
    $self->start;
    return;
}

sub pid { return $_[0]{process}->pid }
sub port { return $_[0]{port} }
sub socket_dir { return $_[0]{dir} }
sub data_dir { return $_[0]{data} }
sub log_file { return $_[0]{log} }
sub log_text { return read_file($_[0]{log}) }

# A connection URI for libpq: uri(db => 'postgres', user => 'postgres', password => …, socket => 1).
sub uri {
    my ($self, %arg) = @_;
    my ($user, $db) = map { uri_escape($_) } $arg{user} // 'postgres', $arg{db} // 'postgres';
    my $secret = defined $arg{password} ? ':' . uri_escape($arg{password}) : '';
    my $host = $arg{socket} ? uri_escape($self->{dir}) : '127.0.0.1';
    return "postgresql://$user$secret\@$host:$self->{port}/$db";
}

sub uri_escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

# A new DBI connection that dies on errors: connect(db => …, user => …, password => …, and DBI's
# own attributes). Strings are characters, bytea are bytes.
sub connect {    ## no critic: DBI's name for it
    my ($self, %arg) = @_;
    my $db = delete $arg{db} // 'postgres';
    my $user = delete $arg{user} // 'postgres';
    my $password = delete $arg{password} // '';
    my $dsn = "dbi:Pg:host=127.0.0.1;port=$self->{port};dbname=$db;connect_timeout=10";
    return DBI->connect($dsn, $user, $password,
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0, pg_enable_utf8 => 1,
            pg_server_prepare => 0, AutoInactiveDestroy => 1, %arg })
        || die "$DBI::errstr\n";
}

# The kept connection to a database; made again when the server was restarted.
sub dbh {
    my ($self, $db) = @_;
    $db //= 'postgres';
    my $dbh = $self->{handles}{$db};
    if (!$dbh || ($dbh->{AutoCommit} && !$dbh->ping)) {
        $dbh = $self->{handles}{$db} = $self->connect(db => $db);
    }
    return $dbh;
}

sub forget_handles {
    my ($self) = @_;
    for my $dbh (values %{ $self->{handles} }) {
        eval { $dbh->disconnect };
    }
    $self->{handles} = {};
    return;
}

# Run each statement in the database postgres.
sub do {    ## no critic: DBI's name for it
    my ($self, @statements) = @_;
    my $dbh = $self->dbh;
    my $count;
    $count = $dbh->do($_) for @statements;
    return $count;
}

# The first column of the first row.
sub value {
    my ($self, $query, @bind) = @_;
    return scalar $self->dbh->selectrow_array($query, undef, @bind);
}

# All rows, as arrays.
sub rows {
    my ($self, $query, @bind) = @_;
    return @{ $self->dbh->selectall_arrayref($query, undef, @bind) };
}

# 15 for 15.20.
sub major { return int($_[0]->dbh->{pg_server_version} / 10_000) }

# Flush all the WAL there is, as a commit does that has something in the WAL: the lock of a row. On an idle server the last
# records, and what waits for them to be sent, otherwise wait for a quarter of a minute.
sub flush {
    my ($self) = @_;
    $self->do(q{do $$ begin perform set_config('synchronous_commit', 'local', true);
        perform from pg_am where amname = 'heap' for share; end $$});
    return;
}

# Every commit that was waited for ends at or before it. Not the insert LSN: what lies between the
# two is not sent before something flushes it, which on an idle server takes a quarter of a minute.
sub current_lsn { return $_[0]->value('select pg_current_wal_flush_lsn()') }

# confirmed_flush_lsn and the other columns of a slot, as a hash; undef when there is none.
sub slot {
    my ($self, $name) = @_;
    return $self->dbh->selectrow_hashref(
        'select * from pg_replication_slots where slot_name = ?', undef, $name);
}

# Drop a slot as soon as nobody uses it: a walsender outlives its client for a moment.
sub drop_slot {
    my ($self, $name) = @_;
    $self->_slot_free($name);
    return $self->value('select pg_drop_replication_slot(?)', $name);
}

# Move a slot as soon as nobody uses it.
sub advance_slot {
    my ($self, $name, $lsn) = @_;
    $self->_slot_free($name);
    return $self->value('select pg_replication_slot_advance(?, ?)', $name, $lsn);
}

sub _slot_free {
    my ($self, $name) = @_;
    return wait_for(sub { !($self->slot($name) // {})->{active} }, 30, "the slot $name to be free");
}

# A role that has to give a password (SCRAM) over TCP, allowed to replicate.
sub create_password_user {
    my ($self, $user, $password) = @_;
    my $dbh = $self->dbh;
    $dbh->do("set password_encryption = 'scram-sha-256'");
    $dbh->do(sprintf 'create role %s login replication superuser password %s',
        $dbh->quote_identifier($user), $dbh->quote($password));
    my $file = "$self->{data}/pg_hba.conf";
    my $rules = read_file($file);
    open my $fh, '>', $file or croak "$file: $!";
    print {$fh} qq{host all "$user" 127.0.0.1/32 scram-sha-256\n$rules};
    close $fh or croak "$file: $!";
    $self->reload;
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($., $@, $!, $^E, $?);
    $self->forget_handles;
    delete $self->{process};
    return;
}

1;

package Pg2any::MySQL::Oracle;

# What is peculiar to Oracle's server when a test starts it. It runs in a Debian system of its own,
# in the folder that PG2ANY_ORACLE_ROOT names, which sees the scratch directory at the same place
# (tests/oracle-mysql makes all that). It is one of the flavours of Pg2any::MySQL, a class without
# objects.

use strict;
use warnings;
use Carp qw(croak);

sub root {
    return $ENV{PG2ANY_ORACLE_ROOT} // croak 'run tests/oracle-mysql, which makes the server';
}

sub settings {
    return (mysqlx => 'OFF', secure_file_priv => '""');
}

sub fast_settings { return (disable_log_bin => 'ON') }

# How to run one of its commands as that user: arguments for Pg2any::Process->start. chroot needs
# root, and the change of user undoes that the child dies with us, so both come late.
sub process {
    my ($class, $user, @argv) = @_;
    croak 'chroot needs root' if !defined $user;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    return (argv => ['chroot', root(), 'setpriv', '--pdeathsig', 'KILL', '--reuid', $uid,
        '--regid', $gid, '--clear-groups', '--', @argv]);
}

sub initialise_command {
    my ($class, $server) = @_;
    return ('mysqld', "--defaults-file=$server->{options}", "--datadir=$server->{data}",
        '--initialize-insecure', '--innodb-flush-method=nosync', '--disable-log-bin');
}

sub server_command {
    my ($class, $server) = @_;
    return ('mysqld', "--defaults-file=$server->{options}", "--datadir=$server->{data}");
}

# MariaDB makes both; without names to resolve 127.0.0.1 is not localhost.
sub welcome {
    my ($class, $server) = @_;
    $server->do(q{create user root@'127.0.0.1'},
        q{grant all on *.* to root@'127.0.0.1' with grant option});
    return;
}

1;

package Pg2any::MySQL::MariaDB;

# What is peculiar to MariaDB's server when a test starts it. It is one of the flavours of
# Pg2any::MySQL, a class without objects.

use strict;
use warnings;
use Carp qw(croak);

# The first that is there: Debian keeps servers in a folder that is not everyone's.
sub program {
    my (@names) = @_;
    for my $name (@names) {
        for my $dir (split(/:/, $ENV{PATH} // ''), qw(/usr/sbin /usr/bin)) {
            return "$dir/$name" if -x "$dir/$name";
        }
    }
    croak "no MariaDB server: $names[0] is not there; install it with `make deps`";
}

sub settings {
    return (log_warnings => 1, feedback => 'OFF');
}

sub fast_settings { return () }

# How to run one of its commands as that user: arguments for Pg2any::Process->start.
sub process {
    my ($class, $user, @argv) = @_;
    return (argv => [@argv], user => $user);
}

# root may log in without a password, from here.
sub initialise_command {
    my ($class, $server) = @_;
    return (program('mariadb-install-db', 'mysql_install_db'), "--defaults-file=$server->{options}",
        "--datadir=$server->{data}", '--auth-root-authentication-method=normal',
        '--skip-test-db', '--skip-name-resolve', '--innodb-flush-method=nosync');
}

sub server_command {
    my ($class, $server) = @_;
    return (program('mariadbd', 'mysqld'), "--defaults-file=$server->{options}",
        "--datadir=$server->{data}");
}

# After the first start.
sub welcome { return }

1;

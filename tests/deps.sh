#!/bin/sh
# Install what is missing to build and test pg2any.
#
# usage: tests/deps.sh [npm|debootstrap|faketime|matplotlib] or tests/deps.sh --service
#
# What is there is found by looking for it, not by asking the package manager, so that what was
# installed by other means counts; when nothing is missing, no network and no root is needed. On
# Debian and its relatives what is missing comes from apt-get, as root or through sudo. Anywhere
# else it is named, and the exit status is 100.
set -eu

missing=
packages=

# need WHAT PACKAGE COMMAND...: note WHAT and its Debian PACKAGE as missing unless COMMAND succeeds.
need()
{
    what=$1 package=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        missing="$missing
  $what ($package)"
        packages="$packages $package"
    fi
}

has_header()
{
    printf '#include <%s>\n' "$1" | "${CC:-cc}" -E -x c - -o /dev/null
}

has_mysql_client()
{
    pkg-config --exists libmariadb || pkg-config --exists mysqlclient
}

has_mariadb()
{
    command -v mariadbd || command -v mysqld || [ -x /usr/sbin/mariadbd ] || [ -x /usr/sbin/mysqld ]
}

has_server()
{
    for initdb in "${PG_BIN:-/nonexistent}/initdb" /usr/lib/postgresql/*/bin/initdb \
        "$(pg_config --bindir 2>/dev/null)/initdb"; do
        if [ -x "$initdb" ]; then
            return 0
        fi
    done
    return 1
}

need 'a C compiler' gcc command -v "${CC:-cc}"
need 'C library headers' libc6-dev has_header stdio.h
need pkg-config pkg-config command -v pkg-config
need libpq libpq-dev pkg-config --exists libpq
need SQLite libsqlite3-dev pkg-config --exists sqlite3
need msgpack-c libmsgpack-dev pkg-config --exists msgpack
need jansson libjansson-dev pkg-config --exists jansson
[ "${METRICS:-1}" = 0 ] || need libmicrohttpd libmicrohttpd-dev pkg-config --exists libmicrohttpd
need xxHash libxxhash-dev pkg-config --exists libxxhash
need 'a MySQL client library' default-libmysqlclient-dev has_mysql_client
need FreeTDS freetds-dev has_header sybdb.h
if [ "${1:-}" = --service ]; then # what tests need is not needed to run a pipeline
    shift
    for_tests=false
else
    for_tests=true
fi
need uthash uthash-dev has_header uthash.h
need s6 s6 command -v s6-svscan
if $for_tests; then
    need cmocka libcmocka-dev pkg-config --exists cmocka
    need 'Perl with Test::More' perl perl -MTest::More -MTAP::Parser -e1
    need 'Perl DBI' libdbi-perl perl -MDBI -e1
    need 'Perl DBD::Pg' libdbd-pg-perl perl -MDBD::Pg -e1
    need 'Perl DBD::SQLite' libdbd-sqlite3-perl perl -MDBD::SQLite -e1
    need 'Perl DBD::mysql' libdbd-mysql-perl perl -MDBD::mysql -e1
    need 'Perl Net::SSLeay' libnet-ssleay-perl perl -MNet::SSLeay -e1
    need 'the PostgreSQL server' postgresql has_server
    # The package without a service: nothing is started by installing it.
    need 'the MariaDB server' mariadb-server-core has_mariadb
    need 'the MariaDB client' mariadb-client-core command -v my_print_defaults
    need openssl openssl command -v openssl
    need 'the SQLite shell' sqlite3 command -v sqlite3
    need jq jq command -v jq
    need mandoc mandoc command -v mandoc
    need zsh zsh command -v zsh
    need valgrind valgrind command -v valgrind
fi
for extra; do
    if [ "$extra" = matplotlib ]; then
        need matplotlib python3-matplotlib /usr/bin/python3 -c 'import matplotlib'
    elif [ "$extra" = build-essential ]; then # dpkg-checkbuilddeps(1) asks for the package itself
        need build-essential build-essential test -d /usr/share/build-essential
    else
        need "${extra%=*}" "${extra#*=}" command -v "${extra%=*}"
    fi
done

if [ -z "$missing" ]; then
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "deps: missing, with the name of the Debian package that has it:$missing" >&2
    exit 100
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "deps: missing, and neither root nor sudo to install it:$missing" >&2
    exit 100
fi

echo "deps: installing$packages"

# Installing the server package would make and start a cluster on this machine. A test suite has
# no business doing that, so the choice is made for the length of the installation only.
no_cluster=/etc/postgresql-common/createcluster.d/pg2any-deps.conf
allow_clusters()
{
    $as_root rm -f "$no_cluster"
}
case " $packages " in
*' postgresql '*)
    trap allow_clusters EXIT
    trap 'exit 100' HUP INT TERM
    $as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | $as_root tee "$no_cluster" >/dev/null
    ;;
esac

$as_root apt-get -qq update
# shellcheck disable=SC2086 # a list of package names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 install $packages

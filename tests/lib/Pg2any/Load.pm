package Pg2any::Load;

# A mixed load on the source: writer processes, each with its own connection and its own keys, that
# go on until they are asked to stop, whatever happens to the server meanwhile. What they wrote is
# for the comparison to find out.

use strict;
use warnings;
use Carp qw(croak);
use DBI;
use File::Basename qw(dirname);
use Pg2any::Wait qw(let_pass);

our @TABLES = qw(account entry word);

# Where changes of keys lead: beyond int, and the remainder by the number of writers (up to 7) stays.
my $FAR = 42_000_000_000;

# What has to be at the source before the load begins.
sub schema {
    return (
        'create table account (id bigint primary key, n int not null, pad text)',
        'create table entry (id bigserial primary key, writer int, at timestamptz, pad text)',
        'create table word (word text primary key, n int not null)',
    );
}

# Starts writers: start($pg, writers => 3, seed => N, pause => seconds between two transactions,
# big => rows of a big transaction, prepare => 1: some transactions are prepared and decided later).
# Asked to stop they decide what is prepared and end with 0.
sub start {
    my ($pg, %arg) = @_;
    require Pg2any::Process;
    require Pg2any::Scratch;
    my $lib = dirname(dirname(__FILE__));
    my $writers = $arg{writers} // 3;
    return map {
        Pg2any::Process->start(
            name => "writer $_",
            argv => [$^X, "-I$lib", '-MPg2any::Load', '-e', 'Pg2any::Load::run(@ARGV)', $pg->port,
                $_, $writers, ($arg{seed} // 1) + $_, $arg{pause} // 0.01, $arg{big} // 1000,
                $arg{prepare} // 0],
            stderr => Pg2any::Scratch::fresh_name('writer.log'),
        )
    } 0 .. $writers - 1;
}

# Dies when one of the writers came to grief.
sub check {
    my (@writers) = @_;
    for my $writer (grep { !$_->running } @writers) {
        croak $writer->name . ' has ended with ' . $writer->status;
    }
    return;
}

# Asks the writers to stop; dies when one of them came to grief.
sub stop {
    my (@writers) = @_;
    $_->signal('TERM') for @writers;
    for my $writer (@writers) {
        my $status = $writer->wait_exit(60);
        # The signal itself ends one that has not begun.
        croak $writer->name . " ended with $status" if $status !~ /\A(?:0|SIGTERM)\z/;
    }
    return;
}

# ---- in the writer ----

sub connection {
    my ($port) = @_;
    return DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;dbname=postgres;connect_timeout=10",
        'postgres', '', { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0,
            pg_server_prepare => 0 });
}

# The server is away or the transaction lost to another: both are part of the load.
sub passing {
    my ($state) = @_;
    return $state =~ /\A(?:08|57P|40|53|XX000\z|22000\z)/ || $state eq '';
}

sub run {
    my ($port, $writer, $writers, $seed, $pause, $big, $prepare) = @_;
    my $stop = 0;
    $SIG{TERM} = sub { $stop = 1 };
    srand $seed;
    my $dbh;
    my $next = 1;
    until ($stop) {
        my $done = eval {
            $dbh //= connection($port);
            transaction($dbh, $writer, $writers, $big, \$next);
            prepared_transaction($dbh, $writer, $big) if $prepare && rand() < 0.1;
            1;
        };
        if (!$done) {
            my $state = $DBI::state // '';
            die "writer $writer: $state $@" if !passing($state);
            eval { $dbh->rollback if !$dbh->{AutoCommit} } if $dbh;
            eval { $dbh->disconnect } if $dbh;
            undef $dbh;
            let_pass(0.1);
        }
        let_pass($pause);
    }
    decide($dbh, $writer) if $dbh && $prepare;
    exit 0;
}

# New keys of this writer, which no other touches.
sub fresh_rows {
    my ($writer, $writers, $next, $count) = @_;
    my $from = $$next;
    $$next += $count;
    return sprintf "insert into account select g::bigint * %d + %d, 0, repeat(md5(g::text), 3)"
        . ' from generate_series(%d, %d) g on conflict do nothing',
        $writers, $writer, $from, $from + $count - 1;
}

sub transaction {
    my ($dbh, $writer, $writers, $big, $next) = @_;
    my $mine = "id % $writers = $writer";
    my $some = int rand 50;
    my $dice = int rand 100;
    if ($dice < 20) {
        $dbh->do(fresh_rows($writer, $writers, $next, 1 + int rand 5));
    } elsif ($dice < 45) {
        $dbh->do("update account set n = n + 1 where $mine and id % 50 = $some");
    } elsif ($dice < 52) {
        $dbh->do("delete from account where $mine and id % 97 = $some");
    } elsif ($dice < 62) {
        # Key changes, in chains: each key goes where another has been.
        $dbh->begin_work;
        $dbh->do("update account set id = id + $FAR where $mine and id % 61 = $some and id < $FAR");
        $dbh->do("update account set id = id - $FAR, n = n + 1 where $mine and id % 7 = 3"
            . " and id >= $FAR and not exists (select from account o where o.id = account.id - $FAR)");
        $dbh->commit;
    } elsif ($dice < 70) {
        $dbh->do('insert into word values (?, 1) on conflict (word) do update set n = word.n + 1',
            undef, "$writer-" . int rand 200);
    } elsif ($dice < 75) {
        $dbh->do("update word set word = word || '''' where word = ?"
            . " and not exists (select from word w where w.word = word.word || '''')",
            undef, "$writer-" . int rand 200);
    } elsif ($dice < 85) {
        $dbh->do(q{insert into entry (writer, at, pad) select ?, clock_timestamp(), repeat('é', g)
            from generate_series(1, 20) g}, undef, $writer);
    } elsif ($dice < 88) {
        $dbh->do("delete from entry where writer = $writer and id % 2 = 0");
    } else {
        big_transaction($dbh, $writer, $writers, $big, $next);
    }
    return;
}

# One at a time, of rows that no other transaction touches; it stays undecided until the next.
sub prepared_transaction {
    my ($dbh, $writer, $big) = @_;
    decide($dbh, $writer);
    my $mine = 1000 + $writer;
    my $rows = rand() < 0.5 ? 5 : $big;
    my $insert = "insert into entry (writer, at, pad) select $mine, now(), repeat('p', 100)"
        . " from generate_series(1, $rows)";
    $dbh->begin_work;
    $dbh->do("update entry set pad = pad || '+' where writer = $mine and id % 5 = 0");
    $dbh->do("delete from entry where writer = $mine and id % 2 = 1");
    $dbh->do($insert);
    $dbh->do('savepoint s');
    $dbh->do($insert);
    $dbh->do('rollback to s');
    $dbh->do("prepare transaction 'writer $writer'");
    $dbh->commit if !$dbh->{AutoCommit};
    return;
}

sub decide {
    my ($dbh, $writer) = @_;
    my ($there) = $dbh->selectrow_array('select gid from pg_prepared_xacts where gid = ?', undef,
        "writer $writer");
    if (defined $there) {
        $dbh->do((rand() < 0.3 ? 'rollback' : 'commit') . " prepared '$there'");
    }
    return;
}

# Big enough to be streamed; parts of it are rolled back, at times all of it.
sub big_transaction {
    my ($dbh, $writer, $writers, $big, $next) = @_;
    my $mine = "id % $writers = $writer";
    $dbh->begin_work;
    $dbh->do(fresh_rows($writer, $writers, $next, $big));
    $dbh->do('savepoint s');
    $dbh->do("update account set n = n + 1 where $mine and id % 10 < 3");
    $dbh->do("delete from account where $mine and id % 10 = 7");
    $dbh->do(rand() < 0.7 ? 'rollback to s' : 'release s');
    $dbh->do('savepoint t');
    $dbh->do("update account set n = n + 100 where $mine and id % 10 = 1");
    $dbh->do("insert into entry (writer, at, pad) select $writer, now(), 'big'"
        . ' from generate_series(1, 100)');
    $dbh->do(rand() < 0.5 ? 'rollback to t' : 'release t');
    # The table does not grow for ever.
    $dbh->do("delete from account where $mine and id < " . (($$next - 4 * $big) * $writers));
    rand() < 0.15 ? $dbh->rollback : $dbh->commit;
    return;
}

1;

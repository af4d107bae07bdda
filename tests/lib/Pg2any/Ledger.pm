package Pg2any::Ledger;

# A load of which every reader can tell, from one look at a copy, whether it has whole transactions in the
# order of their commits. Each transaction takes the next number as its last lock, so that numbers
# are in commit order, writes it to several tables, and counts in the one row of `tally` what it did. Small
# transactions, streamed and prepared ones, savepoints that are rolled back, changed keys, TRUNCATE, TOASTed
# values that stay, columns that are added.

use strict;
use warnings;
use DBI;
use Exporter qw(import);
use File::Basename qw(dirname);
use Pg2any::Load;
use Pg2any::Wait qw(let_pass);

our @EXPORT_OK = qw(violations);
our @TABLES = qw(tally posted detail money bulk wide toasted);

my $ACCOUNTS = 20;
my $FAR = 1000;              # where an account goes when its key changes
my $DETAILS = 3;             # rows of a transaction in `detail`
my $MOST_COLUMNS = 25;       # that are added to `wide`

sub schema {
    return (
        'create table tally (id int primary key, n bigint, bulk_rows bigint, wide_rows bigint, toast_n bigint)',
        'create table posted (n bigint primary key, pad text)',
        'create table detail (id bigserial primary key, n bigint not null, part int not null)',
        'create table money (id int primary key, amount bigint not null)',
        'create table bulk (n bigint, i int, pad text, primary key (n, i))',
        'create table wide (id bigserial primary key, n bigint)',
        'create table toasted (id int primary key, n bigint, value text)',
    );
}

# The rows that are there from the start: to be made when the slot is there.
sub first_rows {
    return (
        'insert into tally values (1, 0, 0, 0, 0)',
        "insert into money select g, 0 from generate_series(1, $ACCOUNTS) g",
        q{insert into toasted select g, 0, string_agg(md5((g * 1000 + i)::text), '')
            from generate_series(1, 5) g, generate_series(1, 300) i group by g},
    );
}

# What is wrong in a snapshot; nothing: it is a prefix of the source's history. $ask->($sql): the first row
# of a query, in which {table} stands for a table of ours. Also gives the number of transactions.
sub violations {
    my ($ask) = @_;
    my ($n, $bulk, $wide, $toast) = $ask->('select n, bulk_rows, wide_rows, toast_n from {tally}');
    return (0) if !defined $n;
    my @expected = (
        ['select count(*), coalesce(max(n), 0) from {posted}', $n, $n],
        ['select count(*), coalesce(sum(n), 0) from {detail}', $DETAILS * $n, $DETAILS * $n * ($n + 1) / 2],
        ['select count(*), sum(amount) from {money}', $ACCOUNTS, 0],
        ['select count(*) from {bulk}', $bulk],
        ['select count(*) from {wide}', $wide],
        ['select max(n), sum(length(value)) from {toasted}', $toast, 5 * 300 * 32],
    );
    my @wrong;
    for my $case (@expected) {
        my ($query, @want) = @$case;
        my @got = $ask->($query);
        push @wrong, "$query: (@got), and transaction $n left (@want)" if "@got" ne "@want";
    }
    return ($n, @wrong);
}

# Starts writers: start($pg, writers => 2, seed => N, pause => seconds, ddl => 1). See Pg2any::Load for check()
# and stop().
sub start {
    my ($pg, %arg) = @_;
    require Pg2any::Process;
    require Pg2any::Scratch;
    my $lib = dirname(dirname(__FILE__));
    return map {
        Pg2any::Process->start(
            name => "ledger $_",
            argv => [$^X, "-I$lib", '-MPg2any::Ledger', '-e', 'Pg2any::Ledger::run(@ARGV)', $pg->port, $_,
                ($arg{seed} // 1) * 100 + $_, $arg{pause} // 0.05, $arg{ddl} // 0],
            stderr => Pg2any::Scratch::fresh_name('ledger.log'))
    } 1 .. $arg{writers} // 2;
}

# ---- in the writer ----

sub run {
    my ($port, $writer, $seed, $pause, $ddl) = @_;
    my $stop = 0;
    local $SIG{TERM} = sub { $stop = 1 };
    srand $seed;
    my $dbh;
    until ($stop && $dbh) {
        my $done = eval {
            if (!$dbh) {
                $dbh = Pg2any::Load::connection($port);
                decide($dbh, $writer);
            }
            transaction($dbh, $writer, $ddl) if !$stop;
            1;
        };
        if (!$done) {
            my $state = $DBI::state // '';
            die "ledger $writer: $state $@" if !Pg2any::Load::passing($state);
            eval { $dbh->disconnect } if $dbh;
            undef $dbh;
            let_pass(0.1);
        }
        let_pass($pause * 2 * rand);
    }
    exit 0;
}

# What a server that died left prepared.
sub decide {
    my ($dbh, $writer) = @_;
    my ($there) = $dbh->selectrow_array('select gid from pg_prepared_xacts where gid = ?', undef, "ledger $writer");
    $dbh->do((rand() < 0.5 ? 'rollback' : 'commit') . " prepared '$there'") if defined $there;
    return;
}

sub transaction {
    my ($dbh, $writer, $ddl) = @_;
    my $dice = int rand 1000;
    my $count = '';
    $dbh->begin_work;
    my ($from, $to) = sort { $a <=> $b } 1 + int rand $ACCOUNTS, 1 + int rand $ACCOUNTS;
    my $amount = int rand 1000;
    $dbh->do("update money set amount = amount + case id % $FAR when $from then -$amount else $amount end"
        . " where id % $FAR in ($from, $to)") if $from != $to;
    if ($dice < 100) {
        $dbh->do('update money set id = case when id > ? then id - ? else id + ? end where id % ? = ?', undef,
            $FAR, $FAR, $FAR, $FAR, $from);
    } elsif ($dice < 200) {
        $count = ', toast_n = n + 1';
    } elsif ($dice < 300) {
        my $rows = 1 + int rand 3;
        $dbh->do("insert into wide (n) select 0 from generate_series(1, $rows)");
        $count = ", wide_rows = wide_rows + $rows";
    } elsif ($dice < 370) {
        # Enough to be streamed, with a part that does not count.
        my $rows = 100 + int rand 1200;
        my $key = "(extract(epoch from clock_timestamp()) * 1000000)::bigint * 10 + $writer";
        my $insert = "insert into bulk select k, g, repeat('b', 60) from (select $key as k offset 0) k, generate_series(1, %d) g";
        $dbh->do(sprintf $insert, $rows);
        $dbh->do('savepoint s');
        $dbh->do(sprintf $insert, 300);
        $dbh->do('rollback to s');
        $count = ", bulk_rows = bulk_rows + $rows";
    } elsif ($dice < 385) {
        $dbh->do('truncate bulk');
        $count = ', bulk_rows = 0';
    } elsif ($dice < 400 && $ddl) {
        change_schema($dbh);
    }
    my ($n) = $dbh->selectrow_array("update tally set n = n + 1$count where id = 1 returning n");
    $dbh->do('update toasted set n = ? where id = ?', undef, $n, 1 + $n % 5) if $count =~ /toast/;
    $dbh->do('insert into posted values (?, repeat(?, ?))', undef, $n, 'p', int rand 50);
    for my $part (1 .. $DETAILS) {
        $dbh->do('savepoint s');
        $dbh->do('insert into detail (n, part) values (?, ?)', undef, $n, -1);
        $dbh->do('update money set amount = amount + 1 where id % ? = ?', undef, $FAR, $from);
        $dbh->do('rollback to s');
        $dbh->do('insert into detail (n, part) values (?, ?)', undef, $n, $part);
    }
    if ($dice % 10 == 3) {
        $dbh->do("prepare transaction 'ledger $writer'");
        $dbh->commit if !$dbh->{AutoCommit};
        let_pass(rand 0.2);
        decide($dbh, $writer);
    } elsif ($dice % 20 == 7) {
        $dbh->rollback;
    } else {
        $dbh->commit;
    }
    return;
}

# Only what can be followed however late it is seen, which a renamed column cannot.
sub change_schema {
    my ($dbh) = @_;
    my ($columns) = $dbh->selectrow_array("select count(*) from pg_attribute where attrelid = 'wide'::regclass and attnum > 2");
    $dbh->do("alter table wide add column c$columns int default " . int rand 1000) if $columns < $MOST_COLUMNS;
    return;
}

1;

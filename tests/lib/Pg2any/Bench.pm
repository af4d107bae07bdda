package Pg2any::Bench;

# What the programs of tests/bench measure with: processor time, memory, medians; and the table of five columns that
# is copied and compared.

use strict;
use warnings;
use Exporter qw(import);
use POSIX ();
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(now);

our @EXPORT_OK = qw(make_big same_big timed processor_s server_pids children_s peak_kb median quantile $LIMIT_S);

our $LIMIT_S = 900;

# Of five columns, with that many rows.
sub make_big {
    my ($pg, $rows) = @_;
    $pg->do('create table big (id int primary key, n int, word text, price numeric(12,2), at timestamptz)',
        "insert into big select g, g % 1000, left(md5(g::text), 20), g / 100.0,
            timestamptz '2026-01-01' + g * interval '1 second' from generate_series(1, $rows) g",
        'vacuum analyze big');
    return;
}

# Dies where the target holds other rows of it.
sub same_big {
    my ($pg, $target) = @_;
    my $sums = 'select count(*), sum(id), sum(n), sum(length(word)) from big';
    my ($row) = $target->rows($sums);
    my ($expected) = $pg->dbh->selectrow_arrayref($sums);
    "@$row" eq "@$expected" or die "loaded @$row instead of @$expected\n";
    return;
}

# Runs a command of the shell to its end; how long it took.
sub timed {
    my ($command) = @_;
    my $begun = now();
    my $process = Pg2any::Process->start(name => 'loader', argv => ['sh', '-c', $command],
        stderr => fresh_name('loader.log'));
    $process->wait_exit($LIMIT_S) eq '0' or die "failed: $command\n";
    return now() - $begun;
}

# Seconds of processor time that processes have used; of their children that have ended, too.
sub processor_s {
    my $ticks = 0;
    for my $pid (@_) {
        open my $fh, '<', "/proc/$pid/stat" or next;
        my @times = (<$fh> // '') =~ /\A.*\) (?:\S+ ){11}(\d+) (\d+) (\d+) (\d+)/s;
        $ticks += $_ for @times;
    }
    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# The same of our own children that have been waited for.
sub children_s { my (undef, undef, $user, $system) = times; return $user + $system }

# The processes of a server.
sub server_pids {
    my ($server) = @_;
    my $pid = $server->pid;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return $pid;
    return $pid, split ' ', <$fh> // '';
}

# Kilobytes: the most that a process ever had resident, 0 when it is gone, or is still a copy of this one.
sub peak_kb {
    my ($pid) = @_;
    return 0 if (readlink("/proc/$pid/exe") // '') eq readlink('/proc/self/exe');
    open my $fh, '<', "/proc/$pid/status" or return 0;
    my ($kb) = map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$fh>;
    return $kb // 0;
}

sub median { return quantile(0.5, @_) }

# The smallest of the numbers that at least that part of them does not exceed.
sub quantile {
    my ($part, @numbers) = @_;
    my $rank = POSIX::ceil($part * @numbers);
    return (sort { $a <=> $b } @numbers)[$rank > 1 ? $rank - 1 : 0];
}

1;

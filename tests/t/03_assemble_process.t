# txn-assemble as a process: exit statuses, signals, a dead reader, spill files, every prefix of its
# input. What it makes of frames is tested in tests/unit/test_assemble.c.
# needs: nothing

use feature 'state';
use Fcntl qw(F_GETFD F_SETFD FD_CLOEXEC);
use IO::Handle;
use Pg2any::Test;

# ---- frames, written by hand ----

sub uint { return pack 'C Q>', 0xcf, $_[0] }
sub str { return pack 'C N/a*', 0xdb, $_[0] }
sub bool { return pack 'C', $_[0] ? 0xc3 : 0xc2 }
sub nil { return "\xc0" }
sub array { return pack('C N', 0xdd, scalar @_) . join '', @_ }

sub frame {
    my ($type, @fields) = @_;
    my $body = join '', @fields;
    return pack('C N a', 0xc9, length $body, $type) . $body;
}

sub hello {
    return frame('H', uint(1), str('test'), str('1'), str('7000000000000000001'), uint(1),
        str('db'), str('slot'), array(str('pub')), uint(1), bool(0), uint(1), uint(150018), uint(3),
        str(''), array());
}

sub relation {
    my ($relid) = @_;
    my $column = array(str('id'), uint(25), pack('C c', 0xd0, -1), bool(1), uint(1), bool(1),
        uint(25), str('text'), nil());
    return frame('R', uint($relid), str('public'), str('t'), str('d'), array($column),
        array(uint(0)));
}

sub insert {
    my ($xid, $value) = @_;
    return frame('I', uint($xid), uint(1), nil(), nil(), array(str($value)));
}

sub begin { return frame('B', uint($_[0]), uint($_[1]), uint(0)) }

sub commit {
    my ($xid, $lsn, $n) = @_;
    return frame('C', uint($xid), uint($lsn), uint($lsn + 10), uint(0), uint($n));
}

sub stream_start { return frame('S', uint($_[0]), bool($_[1])) }
sub stream_stop { return frame('E') }
sub stream_abort { return frame('A', uint($_[0]), uint($_[1]), uint(0), uint(0)) }
sub stream_commit { return frame('c', uint($_[0]), uint($_[1]), uint($_[1] + 10), uint(0)) }
sub end { return frame('Z', str('done'), uint($_[0])) }

# The types of the frames in a string, "HBRIC"; "?" for what is no whole frame.
sub types {
    my ($bytes) = @_;
    my $types = '';
    while (length $bytes) {
        my ($mark, $size, $type) = length $bytes >= 6 ? unpack 'C N a', $bytes : (0);
        return "$types?" if $mark != 0xc9 || length $bytes < 6 + $size;
        $types .= $type;
        $bytes = substr $bytes, 6 + $size;
    }
    return $types;
}

sub file {
    my ($bytes) = @_;
    state $name = fresh_name('input.frames');
    open my $fh, '>:raw', $name or die "$name: $!";
    print $fh $bytes;
    close $fh or die "$name: $!";
    return $name;
}

sub raw {
    my ($name) = @_;
    open my $fh, '<:raw', $name or die "$name: $!";
    local $/;
    return scalar <$fh>;
}

# A pipe whose ends only the test has, unless it gives one to a child.
sub new_pipe {
    pipe my $r, my $w or die "pipe: $!";
    for my $end ($r, $w) {
        fcntl $end, F_SETFD, fcntl($end, F_GETFD, 0) | FD_CLOEXEC or die "fcntl: $!";
    }
    $w->autoflush(1);
    binmode $_ for $r, $w;
    return ($r, $w);
}

sub start_assemble {
    my (%arg) = @_;
    my $log = fresh_name('assemble.log');
    return Pg2any::Process->start(
        name => 'txn-assemble',
        argv => [Pg2any::Pipeline::tool('txn-assemble'), @{ $arg{args} // [] }],
        stdin => $arg{stdin}, stdout => $arg{stdout}, stderr => $log, env => $arg{env} // {});
}

my $whole = hello() . begin(7, 100) . relation(1) . insert(7, 'a') . commit(7, 100, 1)
    . stream_start(8, 1) . relation(1) . insert(8, 'b') . insert(9, 'c') . stream_stop()
    . stream_abort(8, 9)
    . begin(10, 120) . insert(10, 'd') . commit(10, 120, 1)
    . stream_commit(8, 140);
my $assembled = hello() . begin(7, 100) . relation(1) . insert(7, 'a') . commit(7, 100, 1)
    . begin(10, 120) . insert(10, 'd') . commit(10, 120, 1)
    . begin(8, 140) . relation(1) . insert(8, 'b') . commit(8, 140, 1);

# ---- the end of input ----

for my $case (
    ['with an end frame', $whole . end(150), 0, qr/\A\z/, types($assembled) . 'Z'],
    ['without an end frame', $whole, 111, qr/without an end frame/, types($assembled)],
    ['empty', '', 111, qr/without an end frame/, ''],
    ['in the middle of a frame', $whole . substr(begin(11, 150), 0, 9), 111,
        qr/byte 790 .*in the middle of a frame/, types($assembled)],
    ['something else than frames', 'hello world', 100, qr/byte 0 of the input: not a frame/, ''],
    ['no hello first', begin(7, 100), 100, qr/begin frame at byte 0 .*before the hello frame/, ''],
    ['two streams joined', $whole . end(150) . hello(), 100,
        qr/hello frame at byte .*after the end frame/, types($assembled) . 'Z'],
    ['garbage after the end', $whole . end(150) . 'x', 100,
        qr/byte \d+ of the input: not a frame|goes on after the end frame/,
        types($assembled) . 'Z'],
    ['an error after good transactions', $whole . insert(7, 'x') . begin(11, 150), 100,
        qr/insert frame at byte \d+ .*after LSN 0\/96: unexpected insert frame/, types($assembled)],
) {
    my ($name, $input, $status, $error, $output) = @$case;
    my ($got, $out, $err) = run_tool('txn-assemble', stdin => file($input));
    is($got, $status, "$name: exit status");
    like($err, $error, "$name: message");
    is(types($out), $output, "$name: what is whole comes out");
}

# Every prefix: 111, never a signal, never a part of a transaction as committed.
{
    my $input = $whole . end(150);
    my (undef, $all) = run_tool('txn-assemble', stdin => file($whole));
    is(types($all), types($assembled), 'the whole of it');
    my $bad = 0;
    my $output = fresh_name('prefix.frames');
    for my $n (0 .. length($input) - 1) {
        my $p = Pg2any::Process->start(argv => [Pg2any::Pipeline::tool('txn-assemble')],
            stdin => file(substr $input, 0, $n), stdout => $output, stderr => '/dev/null');
        my $status = $p->wait_exit;
        my $out = raw($output);
        my $prefix = index($all, $out) == 0;
        $bad++ if $status ne '111' || !$prefix;
        diag("prefix of $n bytes: $status, " . types($out)) if $status ne '111' || !$prefix;
    }
    is($bad, 0, 'every prefix gives 111 and a prefix of the output: ' . length($input) . ' bytes');
}

# ---- passing through at once; signals ----
for my $argv (['txn-assemble'], ['frame-tee'], ['frame-dump'], ['apply-sqlite', '--dest', fresh_name('early.db')]) {
    my ($in_r, $in_w) = new_pipe();
    my ($name, @arguments) = @$argv;
    my $p = Pg2any::Process->start(name => $name, argv => [Pg2any::Pipeline::tool($name), @arguments, '--log-level', 'error'],
        stdin => $in_r);
    close $in_r;
    # Until it takes signals it ends by them.
    wait_for(sub { raw("/proc/@{[$p->pid]}/status") =~ /^SigBlk:\s+\w*4\w{3}$/m }, 60, "$name to take signals");
    $p->signal('TERM');
    is($p->wait_exit, 0, "$name, SIGTERM before a hello: exit status 0");
}
{
    my ($in_r, $in_w) = new_pipe();
    my ($out_r, $out_w) = new_pipe();
    my $p = start_assemble(stdin => $in_r, stdout => $out_w);
    close $_ for $in_r, $out_w;
    my $first = hello() . begin(7, 100) . relation(1) . insert(7, 'a');
    print $in_w $first;
    my $got = '';
    wait_for(sub {
        $out_r->blocking(0);
        sysread $out_r, $got, 65536, length $got;
        return length $got >= length $first;
    }, 60, 'the frames of a transaction that is not committed yet');
    is(types($got), 'HBRI', 'an ordinary transaction passes through as it comes');

    $p->signal('TERM');
    is($p->wait_exit, 0, 'SIGTERM: exit status 0');
    $out_r->blocking(1);
    local $/;
    is(types(scalar <$out_r>), 'Z', 'and an end frame after the unfinished transaction');
}

# A reader that does not read: the second signal ends it, in the middle of a held transaction.
{
    my $big = hello() . stream_start(8, 1) . relation(1)
        . insert(8, 'x' x 100_000) x 40 . stream_stop() . stream_commit(8, 140) . end(150);
    my ($out_r, $out_w) = new_pipe();
    my $stats = fresh_name('assemble.prom');
    my $p = start_assemble(stdin => file($big), stdout => $out_w, args => ['--stats', $stats]);
    close $out_w;
    wait_for(sub { -e $stats && raw($stats) =~ /queue_depth 1/ }, 10,
        'the transaction to be held');
    $p->signal('TERM');
    my $blocked = "/proc/@{[$p->pid]}/status";
    wait_for(sub { raw($blocked) =~ /^SigBlk:\s+0+$/m }, 60, 'the first signal to be taken');
    ok($p->running, 'one SIGTERM does not tear a transaction whose commit is in hand');
    $p->signal('TERM');
    is($p->wait_exit, 'SIGTERM', 'a second one does');

    # The same, but the reader goes on: the transaction is finished, then comes Z.
    ($out_r, $out_w) = new_pipe();
    $stats = fresh_name('assemble.prom');
    $p = start_assemble(stdin => file($big), stdout => $out_w, args => ['--stats', $stats]);
    close $out_w;
    wait_for(sub { -e $stats && raw($stats) =~ /queue_depth 1/ }, 10,
        'the transaction to be held');
    $p->signal('TERM');
    $blocked = "/proc/@{[$p->pid]}/status";
    wait_for(sub { raw($blocked) =~ /^SigBlk:\s+0+$/m }, 60, 'the first signal to be taken');
    local $/;
    is(types(scalar <$out_r>), 'HBR' . 'I' x 40 . 'CZ', 'SIGTERM during a commit: it is finished');
    is($p->wait_exit, 0, 'and the exit status is 0');
}

# ---- a reader that goes ----
{
    my ($in_r, $in_w) = new_pipe();
    my ($out_r, $out_w) = new_pipe();
    my $p = start_assemble(stdin => $in_r, stdout => $out_w);
    close $_ for $in_r, $out_w;
    print $in_w hello();
    sysread $out_r, my $got, 65536;
    close $out_r;
    is($p->wait_exit(60), 111, 'a dead reader is noticed while nothing comes in');
    like(raw($p->log_file), qr/the reader of stdout is gone/, 'and said');
}

# ---- spilling ----
{
    my $dir = fresh_name('spill');
    mkdir $dir or die "$dir: $!";
    my $stats = fresh_name('assemble.prom');
    my $start = hello() . stream_start(8, 1) . relation(1) . insert(8, 'x' x 1000) x 2000
        . stream_stop();
    my @args = ('--memory-limit', '64kB', '--spill-dir', $dir, '--stats', $stats);

    my ($in_r, $in_w) = new_pipe();
    my $p = start_assemble(stdin => $in_r, args => \@args);
    close $in_r;
    print $in_w $start;
    wait_for(sub { -e $stats && raw($stats) =~ /spill_bytes (\d+)/ && $1 > 1_900_000 }, 10,
        'the transaction to be spilled');
    my ($memory) = raw($stats) =~ /buffer_memory_usage_bytes (\d+)/;
    cmp_ok($memory, '<=', 64 * 1024, 'memory stays below the limit');
    ok((grep { (readlink // '') =~ m{\A\Q$dir\E/} } glob "/proc/@{[$p->pid]}/fd/*"),
        'a spill file is open');
    is_deeply([glob "$dir/*"], [], 'and has no name');
    $p->signal('KILL');
    $p->wait_exit;
    is_deeply([glob "$dir/*"], [], 'kill -9 leaves nothing behind');

    my $input = file($start . stream_start(9, 1) . relation(1) . insert(9, 'y' x 200_000)
        . stream_stop()
        . stream_start(8, 0) . insert(8, 'z') . stream_stop()
        . stream_commit(9, 100) . stream_commit(8, 120) . end(130));
    my ($status, $spilled) = run_tool('txn-assemble', stdin => $input, args => \@args);
    my (undef, $held) = run_tool('txn-assemble', stdin => $input);
    is($status, 0, 'a spilled transaction is committed');
    ok($spilled eq $held, 'and comes out as it would from memory');
    is(types($spilled), 'HBRICBR' . 'I' x 2001 . 'CZ', 'which is what it should be');

    my $err;
    ($status, undef, $err) = run_tool('txn-assemble', stdin => $input,
        args => ['--spill-dir', "$dir/missing"]);
    is($status, 100, 'a spill directory that is not there: exit status 100 at once');
    like($err, qr/\Q$dir\E\/missing.*No such file/, 'and its name');
    ($status, undef, $err) = run_tool('txn-assemble', stdin => $input,
        env => { CDC_SPILL_DIR => "$dir/gone", CDC_MEMORY_LIMIT => '64kB' });
    is($status, 100, 'CDC_SPILL_DIR is read');
    ($status, undef, $err) = run_tool('txn-assemble', stdin => $input,
        env => { CDC_MEMORY_LIMIT => '1kB' });
    is($status, 100, 'CDC_MEMORY_LIMIT is read');
    like($err, qr/CDC_MEMORY_LIMIT/, 'and named where it is wrong');
    ($status) = run_tool('txn-assemble', stdin => $input, env => { TMPDIR => "$dir/gone" });
    is($status, 100, 'TMPDIR is the next choice');
}

# ---- started with a standard descriptor closed ----
for my $case (
    ['<&-', 111, qr/reading the input/],
    ['>&-', 111, qr/writing to stdout/],
    ['2>&-', 0, qr/\A\z/],
) {
    my ($closed, $status, $error) = @$case;
    my $log = fresh_name('closed.log');
    my $p = Pg2any::Process->start(
        argv => ['sh', '-c', "exec \"\$0\" $closed", Pg2any::Pipeline::tool('txn-assemble')],
        stdin => file($whole . end(150)), stderr => $log);
    is($p->wait_exit, $status, "$closed: exit status");
    like(raw($log), $error, "$closed: message");
}

done_testing;

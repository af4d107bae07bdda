# frame-tee with a reader that does not read for a while: the other gets everything at once, up to the
# limit; the slow one gets the same bytes later, from a spill file. Stopped, killed, and with a full disk.
# needs: nothing

use Fcntl qw(O_RDONLY O_NONBLOCK F_SETFL);
use IO::Handle;
use Pg2any::FrameReader qw(read_frames split_frames version_1);
use Pg2any::Test;
use POSIX ();

my $MB = 1024 * 1024;

# Version 1: what leaves frame-tee has checksums besides.
sub uint { return pack 'C Q>', 0xcf, $_[0] }
sub str { return pack 'C N/a*', 0xdb, $_[0] }
sub array { return pack('C N', 0xdd, scalar @_) . join '', @_ }
sub frame { my ($type, @fields) = @_; my $body = join '', @fields; return pack('C N a', 0xc9, length $body, $type) . $body }
my ($NIL, $NO, $YES) = ("\xc0", "\xc2", "\xc3");

my $hello = frame('H', "\x01", str('test'), str('1'), str('7000000000000000001'), uint(1), str('db'), str('slot'), array(str('pub')),
    uint(1), $NO, uint(1), uint(150018), uint(3), str(''), array());
my $relation = frame('R', uint(1), str('public'), str('t'), str('d'),
    array(array(str('id'), uint(25), pack('C c', 0xd0, -1), $YES, uint(1), $YES, uint(25), str('text'), $NIL)), array(uint(0)));
my $input = fresh_name('in.frames');
my $transactions = 4000;
{
    open my $fh, '>:raw', $input or die "$input: $!\n";
    print {$fh} $hello, $relation;
    for my $n (1 .. $transactions) {
        my $lsn = 1000 + 100 * $n;
        print {$fh} frame('B', uint($n), uint($lsn), uint(0)),
            (map { frame('I', uint($n), uint(1), $NIL, $NIL, array(str("$n $_ " . 'x' x 2000))) } 1 .. 5),
            frame('C', uint($n), uint($lsn), uint($lsn + 10), uint(0), uint(5));
    }
    print {$fh} frame('Z', str('done'), uint(1000 + 100 * $transactions + 10));
    close $fh or die "$input: $!\n";
}
my $sent = read_frames($input);

# frame-tee to a reader that is fast, and writes a file, and to a FIFO.
sub start_tee {
    my (%arg) = @_;
    my ($fast, $log, $dir) = (fresh_name('fast'), fresh_name('log'), fresh_name('spill'));
    my ($fifo, $fast_fifo) = map { fresh_name('fifo') } 1, 2;
    for ($fifo, $fast_fifo) {
        POSIX::mkfifo($_, 0600) or die "mkfifo: $!\n";
    }
    mkdir $dir or die "$dir: $!\n";
    my $reader = Pg2any::Process->start(name => 'cat', argv => ['cat'], stdin => $fast_fifo, stdout => $fast);
    sysopen my $slow, $fifo, O_RDONLY | O_NONBLOCK or die "$fifo: $!\n";
    my $process = Pg2any::Process->start(name => 'frame-tee', stdin => $arg{stdin} // $input, stdout => $fast_fifo, stderr => $log,
        argv => ['sh', '-c', ($arg{before} // '') . qq{exec "\$@" 3>'$fifo'}, 'sh', Pg2any::Pipeline::tool('frame-tee'),
            '--output-fd', 3, '--spill-dir', $dir, '--log-level', 'debug', @{ $arg{args} // [] }]);
    fcntl $slow, F_SETFL, 0 or die "fcntl: $!\n";
    return { fast => $fast, log => $log, slow => $slow, process => $process, dir => $dir, reader => $reader };
}

sub write_file {
    my ($name, $content) = @_;
    open my $fh, '>:raw', my $file = fresh_name($name) or die "$name: $!\n";
    print {$fh} $content;
    close $fh or die "$file: $!\n";
    return $file;
}

sub log_of { return Pg2any::Postgres::read_file($_[0]{log}) }

# A writer opens a FIFO later than its reader here, so the first read would find its end.
sub wait_begun {
    my ($tee) = @_;
    return wait_for(sub { log_of($tee) =~ /msg=starting/ }, 60, 'frame-tee');
}

sub read_slow {
    my ($tee) = @_;
    my $got = '';
    1 while sysread $tee->{slow}, $got, 65536, length $got;
    return $got;
}

# The fast reader's file has so much, and does not grow any more while nobody else reads.
sub settled_size {
    my ($tee, $least) = @_;
    my ($size, $since) = (-1, now());
    my $waits = eval { wait_for(sub {
        my $now = -s $tee->{fast};
        ($size, $since) = ($now, now()) if $now != $size;
        return $size >= $least && now() > $since + 0.5;
    }, 60, 'the fast reader to wait') };
    diag($@) if !$waits;
    return $size;
}

subtest 'the other does not wait' => sub {
    my $tee = start_tee();
    wait_begun($tee);
    ok(eval { wait_for(sub { version_1(read_frames($tee->{fast})) eq $sent }, 60, 'all of it'); 1 }, 'the fast reader has everything while nobody reads the other');
    ok($tee->{process}->running, 'the slow one is waited for');
    is_deeply([glob "$tee->{dir}/*"], [], 'the spill file has no name');
    my $got = read_slow($tee);
    ok($got eq read_frames($tee->{fast}), 'the slow one gets the same bytes');
    is($tee->{process}->wait_exit(30), 0, 'and then it leaves with 0');
    like(log_of($tee), qr/msg="a reader is behind.*reader="descriptor 3"/, 'it was said');
};

# What a frame-tee that is started with that lets the fast reader have, while nobody reads the other.
sub is_bounded {
    my ($what, $least, $most, %arg) = @_;
    subtest $what => sub {
        my $tee = start_tee(%arg);
        wait_begun($tee);
        my $size = settled_size($tee, $least * $MB);
        cmp_ok($size, '>=', $least * $MB, "the fast one gets $least MB");
        cmp_ok($size, '<=', $most * $MB, 'and waits then');
        my $got = read_slow($tee);
        is($tee->{process}->wait_exit(30), 0, 'it leaves with 0');
        is($tee->{reader}->wait_exit(30), 0, 'the end');
        ok($got eq read_frames($tee->{fast}), 'both get the same bytes');
        ok(version_1($got) eq $sent, 'all of them');
        $arg{then}->($tee) if $arg{then};
    };
    return;
}

is_bounded('without a file', 1, 6, args => ['--reader-spill', 0]);
is_bounded('a limit', 8, 14, args => ['--reader-spill', '8MB']);
is_bounded('a disk that is full', 4, 10, before => q{trap '' XFSZ; ulimit -f 8192; }, then => sub {
    my ($tee) = @_;
    my $said = () = log_of($tee) =~ /level=warning msg="a reader is behind, and its frames cannot be kept.*File too large/g;
    is($said, 1, 'it is said, once');
});

subtest 'stopped while it is behind' => sub {
    my $tee = start_tee();
    wait_begun($tee);
    wait_for(sub { -s $tee->{fast} > 20 * $MB }, 60, 'the fast reader');
    $tee->{process}->signal('TERM');
    my $got = read_slow($tee);
    is($tee->{process}->wait_exit(30), 0, 'it leaves with 0');
    my @frames = split_frames($got);
    is($frames[-1][2], length $got, 'the slow one gets whole frames');
    is($frames[-1][0], 'Z', 'and an end');
    cmp_ok(length $got, '<', 16 * $MB, 'not all that was in the file');
    my ($status, undef, $err) = run_tool('frame-dump', stdin => write_file('cut', $got));
    is($status, 0, 'its checksums are right') or diag($err);
};

subtest 'the other is gone while it is behind' => sub {
    my $tee = start_tee();
    wait_begun($tee);
    wait_for(sub { -s $tee->{fast} > 2 * $MB }, 60, 'the fast reader');
    $tee->{reader}->signal('KILL');
    my $got = read_slow($tee);
    is($tee->{process}->wait_exit(30), 111, 'it leaves with 111') or diag(log_of($tee));
    my @frames = split_frames($got);
    isnt($frames[-1][0], 'Z', 'the slow one gets no end');
};

subtest 'a folder that is not there' => sub {
    my $tee = start_tee(args => ['--spill-dir', '/nonexistent']);
    is($tee->{process}->wait_exit(30), 111, 'it leaves with 111');
    like(log_of($tee), qr/a spill file in \/nonexistent: No such file or directory \(--spill-dir chooses another directory; --reader-spill 0 needs none\)/, 'what to do');
};

done_testing;

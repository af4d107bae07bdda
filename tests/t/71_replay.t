# The golden streams of tests/frames, recorded from a real server: raw ones through txn-assemble give the
# committed ones; committed ones into SQLite give the content stored beside them, and a second time nothing.
# needs: nothing

use Pg2any::FrameReader qw(read_frames split_frames committed_states version_1);
use Pg2any::Golden qw(golden_file golden_names dump_tables);
use Pg2any::Test;

# A tool over a file; its status and the file of what it wrote.
sub filter {
    my ($name, $input, @args) = @_;
    my ($out, $log) = (fresh_name("$name.out"), fresh_name("$name.log"));
    my $process = Pg2any::Process->start(
        name => $name,
        argv => [Pg2any::Pipeline::tool($name), @args],
        stdin => $input,
        stdout => $out,
        stderr => $log);
    my $status = $process->wait_exit;
    return ($status, $out, Pg2any::Postgres::read_file($log));
}

sub content {
    my ($file) = @_;
    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/ = undef;
    return scalar <$fh>;
}

# Whether bytes wait in a pipe.
sub unread {
    my ($pipe) = @_;
    vec(my $set = '', fileno $pipe, 1) = 1;
    return scalar select $set, undef, undef, 0;
}

my @names = golden_names();
cmp_ok(scalar @names, '>=', 5, 'golden streams: ' . join ' ', @names);
my %seen;
for my $name (@names) {
    my ($raw, $committed, $expected) =
        map { golden_file($name, $_) } qw(raw.frames committed.frames expected);
    $seen{ $_->[0] }++ for split_frames(read_frames($raw));
    for my $limit ('64MB', '64kB') {
        my ($status, $out, $log) =
            filter('txn-assemble', $raw, '--memory-limit', $limit, '--spill-dir', scratch_dir());
        is($status, 0, "$name, --memory-limit $limit: txn-assemble leaves with 0") or diag($log);
        ok(version_1(read_frames($out)) eq version_1(read_frames($committed)),
            "$name, --memory-limit $limit: the committed stream, byte for byte but for the checksums");
    }

    my $target = new_target(origin => 'golden');
    my ($status, undef, $log) = filter('apply-sqlite', $committed, '--dest', $target->file);
    is($status, 0, "$name: apply-sqlite leaves with 0") or diag($log);
    is(dump_tables($target), content($expected), "$name: the content is what was recorded");
    my $checkpoint = $target->checkpoint;
    my @frames = split_frames(read_frames($committed));
    my $commits = grep { $_->[0] eq 'C' } @frames;
    is($frames[-1][0], 'Z', "$name: whole, with $commits transactions");

    ($status, undef, $log) = filter('apply-sqlite', $committed, '--dest', $target->file, '--stats',
        my $stats = fresh_name('replay.prom'));
    is($status, 0, "$name: a second time, apply-sqlite leaves with 0") or diag($log);
    is(dump_tables($target), content($expected), "$name: a second time changes nothing");
    is_deeply($target->checkpoint, $checkpoint, "$name: not even the checkpoint");
    my ($skipped) =
        Pg2any::Postgres::read_file($stats) =~ /^pg2any_apply_transactions_skipped_total (\d+)/m;
    is($skipped, $commits, "$name: all $commits transactions are skipped");

    # One transaction a group, one change a group, and one group for all: the same.
    for my $grouping (['--group-transactions', 1], ['--group-changes', 1],
        ['--group-bytes', '64kB']) {
        my $other = new_target(origin => 'golden');
        my ($status, undef, $log) =
            filter('apply-sqlite', $committed, '--dest', $other->file, @$grouping);
        is($status, 0, "$name, @$grouping: leaves with 0") or diag($log);
        is(dump_tables($other), content($expected), "$name, @$grouping: the same content");
    }

    # Two streams one after the other, as after a reconnect: all of the second is known already.
    my $twice = fresh_name('twice.frames');
    open my $fh, '>:raw', $twice or die $!;
    my $bytes = read_frames($committed);
    print {$fh} substr($bytes, 0, $frames[-1][1]), $bytes;
    close $fh or die $!;
    my $again = new_target(origin => 'golden');
    ($status, undef, $log) = filter('apply-sqlite', $twice, '--dest', $again->file);
    is($status, 0, "$name: the same stream again after another hello: 0") or diag($log);
    is(dump_tables($again), content($expected),
        "$name: the same stream again after another hello: the same content");
}

# A replay that was interrupted can be finished. The target's checkpoint is then beyond where the server
# was at the beginning of the file, as it is when a server was restored from a backup.
{
    my $committed = golden_file('ordinary', 'committed.frames');
    my $bytes = read_frames($committed);
    my @commits = grep { $_->[0] eq 'C' } split_frames($bytes);
    my $part = fresh_name('part.frames');
    open my $fh, '>:raw', $part or die $!;
    print {$fh} substr $bytes, 0, $commits[$#commits / 2][2];
    close $fh or die $!;
    my $target = new_target(origin => 'golden');
    my ($status) = filter('apply-sqlite', $part, '--dest', $target->file);
    is($status, 111, 'a replay that is interrupted');
    for my $again ('goes on from there', 'and a third time has nothing to do') {
        ($status) = filter('apply-sqlite', $committed, '--dest', $target->file);
        is($status, 0, $again);
        is(dump_tables($target), content(golden_file('ordinary', 'expected')), 'with the right content');
    }
}

# What stands behind an end frame does not go unnoticed: two files of frames joined by cat, or one that two
# runs have been appended to. Only frame-dump reads that as one.
for my $behind (['a second stream', sub { $_[0] }], ['garbage', sub { 'nothing' }], ['one byte', sub { "\xc9" }]) {
    my ($what, $bytes_of) = @$behind;
    for my $kind ('raw', 'committed') {
        my $once = read_frames(golden_file('ordinary', "$kind.frames"));
        my $joined = fresh_name('joined.frames');
        open my $fh, '>:raw', $joined or die $!;
        print {$fh} $once, $bytes_of->($once);
        close $fh or die $!;
        my $target = new_target(origin => 'golden');
        for my $reader ($kind eq 'raw' ? ['txn-assemble'] : (['frame-tee'], ['apply-sqlite', '--dest', $target->file])) {
            my ($status, $out, $log) = filter($reader->[0], $joined, @$reader[1 .. $#$reader]);
            is($status, 100, "$reader->[0], $what behind the end frame: 100");
            like($log, qr/after the end frame|not a frame/, 'and why');
            if ($reader->[0] eq 'apply-sqlite') {
                is(dump_tables($target), content(golden_file('ordinary', 'expected')), 'what came before it is applied');
            } else {
                ok(version_1(read_frames($out)) eq version_1(read_frames(golden_file('ordinary', 'committed.frames'))),
                    'what came before it is passed on');
            }
        }
    }
}
{
    # The second file comes when the first has been read.
    my $committed = golden_file('ordinary', 'committed.frames');
    for my $reader (['frame-tee'], ['apply-sqlite', '--dest', new_target(origin => 'golden')->file]) {
        pipe my $from, my $to or die "pipe: $!\n";
        my $log = fresh_name('behind.log');
        my $process = Pg2any::Process->start(
            name => $reader->[0],
            argv => [Pg2any::Pipeline::tool($reader->[0]), @$reader[1 .. $#$reader]],
            stdin => $from,
            stdout => fresh_name('behind.out'),
            stderr => $log);
        syswrite $to, read_frames($committed);
        wait_for(sub { !unread($from) }, 60, 'the first is read');
        close $from or die "close: $!\n";
        syswrite $to, read_frames($committed);
        is($process->wait_exit, 100, "$reader->[0]: a second stream that comes a little later: 100");
    }
}

# What was changed, lost or repeated in a kept stream no reader takes.
{
    my (undef, $out) = filter('txn-assemble', golden_file('ordinary', 'raw.frames'));
    my $bytes = read_frames($out);
    my @frames = split_frames($bytes);
    my @begins = grep { $frames[$_][0] eq 'B' } 0 .. $#frames;
    my ($from, $to) = map { $frames[$_][1] } @begins[2, 3];
    my $one = substr $bytes, $from, $to - $from;
    my ($last_byte) = map { $_->[2] - 1 } grep { $_->[0] eq 'I' && $_->[1] > $from } @frames;
    my ($next) = map { $frames[$_][1] } $begins[4];
    my %damaged = (
        'a transaction is missing' => substr($bytes, 0, $from) . substr($bytes, $to),
        'one is there twice' => substr($bytes, 0, $to) . substr($bytes, $from),
        'two have changed places' => substr($bytes, 0, $from) . substr($bytes, $to, $next - $to) . $one . substr($bytes, $next),
        'a byte is another' => substr($bytes, 0, $last_byte) . chr(1 ^ ord substr $bytes, $last_byte, 1) . substr($bytes, $last_byte + 1),
        'the version is another' => substr($bytes, 0, 6) . "\1" . substr($bytes, 7),
    );
    for my $what (sort keys %damaged) {
        my $file = fresh_name('damaged.frames');
        open my $fh, '>:raw', $file or die $!;
        print {$fh} $damaged{$what};
        close $fh or die $!;
        my $target = new_target(origin => 'golden');
        for my $reader (['apply-sqlite', '--dest', $target->file], ['txn-assemble'], ['frame-tee'], ['frame-tee', '--audit', fresh_name('audit')], ['frame-dump'], ['frame-dump', '--summary']) {
            my ($status, undef, $log) = filter(@$reader[0], $file, @$reader[1 .. $#$reader]);
            is($status, 100, "$what: @$reader[0 .. 0]: 100");
            like($log, qr/byte \d+.*(?:the checksum in the|the transaction before it ended|18 bytes after its last field)/, 'and why');
        }
    }
}

# Nor what was written wrong, whether it has a checksum or not: the first one who reads it says so.
{
    my $bytes = version_1(read_frames(golden_file('small', 'committed.frames')));
    my @frames = split_frames($bytes);
    my ($insert, $last) = (grep { $_->[0] eq 'I' } @frames)[0, -1];
    my $hello = $frames[0];
    my $change = sub {
        my ($frame, $from, $to) = @_;
        my $is = substr $bytes, $frame->[1], $frame->[2] - $frame->[1];
        $is =~ s/$from/$to/s or die "no such bytes in the frame\n";
        return substr($bytes, 0, $frame->[1]) . $is . substr $bytes, $frame->[2];
    };
    my %malformed = (
        'a tuple with a value less' => $change->($insert, "\xc0\xc0\x92", "\xc0\xc0\x91"),
        'a tuple with a value more' => $change->($insert, "\xc0\xc0\x92", "\xc0\xc0\x93"),
        'a value that is a number' => $change->($insert, "\x92\xa1.", "\x92\xcc\1"),
        'text that is not UTF-8' => $change->($last, "\xc3\xa9", "\xc3("),
        'a start LSN beyond the WAL' => $change->($hello, "\xce....(?=[\xc2\xc3])", "\xce\xff\xff\xff\xff"),
    );
    for my $what (sort keys %malformed) {
        my $file = fresh_name('malformed.frames');
        open my $fh, '>:raw', $file or die $!;
        print {$fh} $malformed{$what};
        close $fh or die $!;
        my $target = new_target(origin => 'golden');
        my $audit = fresh_name('audit');
        for my $reader (['apply-sqlite', '--dest', $target->file], ['txn-assemble'], ['frame-tee', '--audit', $audit], ['frame-dump']) {
            my ($status, $out, $log) = filter(@$reader[0], $file, @$reader[1 .. $#$reader]);
            # What others refuse is looked at with it.
            next if $reader->[0] eq 'frame-dump' && $what =~ /UTF-8/;
            is($status, 100, "$what: $reader->[0]: 100");
            like($log, qr/malformed frame/, 'and why');
            my @passed = $reader->[0] eq 'frame-tee' ? ($out, $audit) : $reader->[0] eq 'txn-assemble' ? $out : ();
            ok(!grep({ index(read_frames($_), "\xc3(") >= 0 } @passed) && !grep({ $_->[0] eq 'Z' } map { split_frames(read_frames($_)) } @passed), 'it goes no further');
        }
    }
}

is_deeply([grep { !$seen{$_} } qw(H R Y B I U D T C S E c A b P K r p O M Z)],
    [], 'together they have all kinds of frames');

# The reader written from docs/FRAMES.md comes to the same content.
my ($last) = reverse committed_states(read_frames(golden_file('small', 'committed.frames')));
is_deeply(
    $last->{rows},
    { small => { 9 => '9,' . "\xc3\xa9" } },
    'a reader written from the documentation alone comes to the same');

done_testing;

# frame-tee: what comes in goes to every reader, byte for byte, and into an audit file whose parts can each
# be read by themselves. Full disks, crashes, missing parts, two writers.
# needs: one postgres

use Pg2any::FrameReader qw(read_frames split_frames frame_fields version_1);
use Pg2any::Test;

# A committed stream of many small transactions, one that is large, and two tables.
my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do('create table a (id int primary key, v text)', 'create table b (id int primary key, v text)', 'create publication cdc_pub for all tables');
my $input = fresh_name('committed.frames');

sub capture {
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, stages => [qw(capture assemble)], output => $input,
        args => { capture => ['--until-lsn', 'current'] });
    $pipeline->start;
    $pipeline->wait_all(60);
    return;
}
capture();    # makes the slot
for my $n (1 .. 150) {
    $pg->do("insert into a values ($n, repeat('a', 100))", "insert into b values ($n, repeat('b', 100))");
    $pg->do("update a set v = v || id where id = $n / 2") if $n % 5 == 0;
    $pg->do(q{insert into b select g, repeat('c', 100) from generate_series(1000, 2000) g}) if $n == 75;
}
capture();
my $bytes = read_frames($input);
my ($end_length) = map { $_->[2] - $_->[1] - 9 } grep { $_->[0] eq 'Z' } split_frames($bytes); # in version 1

sub is_source {
    my ($target, $name) = @_;
    return same_content($pg, $target, [qw(a b)], $name);
}

# frame-tee over a file; its status, its log, and what each reader got.
sub tee {
    my (%arg) = @_;
    my ($out, $log) = (fresh_name('tee.out'), fresh_name('tee.log'));
    my @more = map { fresh_name("reader.$_") } 1 .. $arg{readers} // 0;
    my @shell = ('sh', '-c', ($arg{before} // '') . ' exec "$@"'
        . join('', map { ' ' . ($_ + 4) . ">'$more[$_]'" } 0 .. $#more), 'sh');
    my $process = Pg2any::Process->start(name => 'frame-tee', argv => [@shell, Pg2any::Pipeline::tool('frame-tee'),
        (map { ('--output-fd', $_ + 4) } 0 .. $#more), @{ $arg{args} // [] }],
        stdin => $arg{stdin} // $input, stdout => $out, stderr => $log, env => $arg{env} // {});
    my $status = $process->wait_exit(60);
    return ($status, Pg2any::Postgres::read_file($log), map { read_frames($_) } $out, @more);
}

sub write_bytes {
    my ($file, $content) = @_;
    open my $fh, '>:raw', $file or die "$file: $!\n";
    print {$fh} $content;
    close $fh or die "$file: $!\n";
    return $file;
}

sub replay {
    my ($target, @files) = @_;
    my $all = write_bytes(fresh_name('all.frames'), join '', map { read_frames($_) } @files);
    my ($status, undef, $log) = run_tool('apply-sqlite', stdin => $all, args => ['--dest', $target->file]);
    return ($status, $log);
}

my ($status, $log, @got) = tee(readers => 2);
is($status, 0, 'no audit file, three readers: 0');
ok(!grep({ $_ ne $bytes } @got) && @got == 3, 'each got every byte');

# An audit file, rotated as often as that goes.
my $audit = fresh_name('audit');
($status, $log, @got) = tee(readers => 1, env => { CDC_AUDIT_FILE => $audit, CDC_AUDIT_SIZE => '4kB', CDC_AUDIT_KEEP => 1000 });
is($status, 0, 'with an audit file: 0') or diag($log);
ok(!grep({ $_ ne $bytes } @got), 'the readers got every byte');
my @parts = (sort(glob "$audit.*"), $audit);
cmp_ok(scalar @parts, '>', 3, 'the file was rotated: ' . @parts . ' parts');
my @names = grep { !/\A\Q$audit\E(?:\.[0-9A-F]{16})?\z/ } @parts;
is_deeply(\@names, [], 'they are called by the last LSN in them');
is_deeply([grep { (stat $_)[2] & 077 } @parts], [], 'nobody else can read them');
my (@transactions, @wrong);
for my $part (@parts) {
    my $content = read_frames($part);
    my @frames = split_frames($content);
    my $types = join '', map { $_->[0] } @frames;
    push @wrong, "$part: $types" if $types !~ /\AHR*(?:[BIUDTCROM])*\z/ || $types !~ /\A(?:[^B]*B[^BC]*C)*[^BC]*\z/;
    push @wrong, "$part: has a torn frame" if @frames && $frames[-1][2] != length $content;
    push @transactions, map { join '|', (frame_fields($content, $_))[0 .. 4] } grep { $_->[0] eq 'C' } @frames;
}
is_deeply(\@wrong, [], 'each begins with a hello and has whole transactions');
is_deeply(\@transactions, [map { join '|', (frame_fields($bytes, $_))[0 .. 4] } grep { $_->[0] eq 'C' } split_frames($bytes)],
    'together they have every transaction once, in order');

my $whole = new_target(kind => 'sqlite');
($status, $log) = replay($whole, @parts);
is($status, 111, 'replayed one after the other');
like($log, qr/without an end frame/, 'they have no end');
is_source($whole, 'and the content is the source\'s');
my $steps = new_target(kind => 'sqlite');
replay($steps, $_) for @parts;
is_source($steps, 'each by itself, too');
my $gap = new_target(kind => 'sqlite');
replay($gap, $parts[0]);
($status, $log) = replay($gap, $parts[2]);
is($status, 100, 'a part that is missing in between is noticed');
like($log, qr/the changes between the two are gone/, 'and said');

# From one part to the next they are one chain.
for my $case (['without one of them', @parts[0, 2 .. $#parts]], ['in another order', @parts[0, 2, 1, 3 .. $#parts]], ['with one twice', @parts[0, 1, 1 .. $#parts]]) {
    my ($what, @files) = @$case;
    ($status, undef, $log) = run_tool('frame-dump', args => ['--summary'], stdin => write_bytes(fresh_name('joined'), join '', map { read_frames($_) } @files));
    is($status, 100, "the parts $what: frame-dump notices");
    like($log, qr/what comes before the hello frame is not what came before it when it was written/, 'and says so');
}

# Few are kept.
my $few = fresh_name('few');
tee(args => ['--audit', $few, '--audit-size', '4kB', '--audit-keep', 2]);
my @kept = map { s/.*\.//r } sort glob "$few.*";
is_deeply(\@kept, [map { s/.*\.//r } @parts[-3, -2]], '--audit-keep: the newest stay');

# A crash in the middle of a frame; then the stream comes again.
for my $cut (1, 5, 100, 1000) {
    my $torn = write_bytes(fresh_name('torn'), substr $bytes, 0, length($bytes) - $cut);
    ($status, $log) = tee(args => ['--audit', $torn]);
    is($status, 0, "an audit file that lacks its last $cut bytes: goes on");
    my @frames = split_frames(read_frames($torn));
    is($frames[-1][2], -s $torn, 'it has whole frames only');
    my $target = new_target(kind => 'sqlite');
    replay($target, $torn);
    is_source($target, 'and gives the content, although part of it is there twice');
    # Behind what is left, the next hello is bound to it.
    my $end = (grep { $_->[0] eq 'H' } @frames)[1][1];
    my $last = (grep { $_->[0] eq 'k' || $_->[0] eq 'C' } grep { $_->[2] <= $end } @frames)[-1];
    my $lost = read_frames($torn);
    substr $lost, $last->[1], $last->[2] - $last->[1], '';
    ($status) = run_tool('frame-dump', args => ['--summary'], stdin => write_bytes(fresh_name('lost'), $lost));
    is($status, 100, 'a frame less before the second hello: 100');
}
($status, $log) = tee(args => ['--audit', write_bytes(fresh_name('other'), "this is no audit file\n")]);
is($status, 100, 'a file that is something else: 100');
like($log, qr/is not an audit file, or is damaged: move it away/, 'and what to do');
my $ended = write_bytes(fresh_name('ended'), $bytes);
($status, $log) = tee(args => ['--audit', $ended]);
is($status, 100, 'a stream that has its end: 100, for behind that no reader looks');
like($log, qr/an end frame, which no audit file has/, 'and why');
ok(read_frames($ended) eq $bytes, 'it is left as it is');
($status, $log) = tee(args => ['--audit', scratch_dir()]);
is($status, 100, 'a directory: 100');

# A file of version 1, as an older frame-tee left it, is gone on with; what is added is version 2.
{
    my $old = write_bytes(fresh_name('old'), substr version_1($bytes), 0, -$end_length);
    ($status, $log) = tee(args => ['--audit', $old]);
    is($status, 0, 'an audit file of version 1: goes on') or diag($log);
    my $content = read_frames($old);
    is_deeply([map { (frame_fields($content, $_))[0] } grep { $_->[0] eq 'H' } split_frames($content)], [1, 2], 'in version 2');
    my $target = new_target(kind => 'sqlite');
    ($status, $log) = replay($target, $old);
    is($status, 111, 'and can be read');
    is_source($target, 'and gives the content');
}

# One in which something was changed is noticed before anything is added, and by who reads it.
{
    my $changed = $bytes;
    my ($last) = map { $_->[2] - 1 } grep { $_->[0] eq 'I' } split_frames($bytes);
    substr $changed, $last, 1, 'x';
    my $file = write_bytes(fresh_name('changed'), $changed);
    ($status, $log) = tee(args => ['--audit', $file]);
    is($status, 100, 'an audit file in which a letter was changed: 100');
    like($log, qr/is not an audit file, or is damaged: move it away.*byte \d+ of the input: the checksum in the commit frame/, 'and where');
    ok(read_frames($file) eq $changed, 'it is left as it is');
    ($status, undef, $log) = run_tool('frame-dump', stdin => $file, args => ['--summary']);
    is($status, 100, 'frame-dump --summary: 100');
}

# A full disk: a limit on the size of files is as good.
my $full = fresh_name('full');
($status, $log, @got) = tee(before => q{trap '' XFSZ; ulimit -f 8;}, args => ['--audit', $full]);
is($status, 111, 'a disk that is full: 111');
like($log, qr/writing the audit file \S+: File too large/, 'said');
my @frames = split_frames(read_frames($full));
is(@frames ? $frames[-1][2] : 0, -s $full, 'the audit file has whole frames only');
ok(index($bytes, $got[0]) == 0, 'nothing else was passed on');
cmp_ok(length $got[0], '<=', length read_frames($full), 'and nothing that is not in the audit file');
($status) = tee(args => ['--audit', $full]);
is($status, 0, 'with room it goes on');

# Frames of our own have no checksums: of version 1, which becomes version 2 in what is written.
my $plain = version_1($bytes);
my ($hello, $end) = map { my $type = $_; map { substr $plain, $_->[1], $_->[2] - $_->[1] } grep { $_->[0] eq $type } split_frames($plain) } 'H', 'Z';

# Progress frames: of many in a row the last is kept, and nothing behind it is lost.
{
    my $progress = sub { pack 'C N a C Q> C q>', 0xc9, 18, 'k', 0xcf, $_[0], 0xd3, 700_000_000_000_000 + $_[0] };
    my $quiet = fresh_name('quiet');
    for my $round (1, 2) {
        tee(args => ['--audit', $quiet], stdin => write_bytes(fresh_name('k.frames'), $hello . join('', map { $progress->(1e12 * $round + $_) } 1 .. 5000) . $end));
        my $content = read_frames($quiet);
        my @left = split_frames($content);
        is(join('', map { $_->[0] } @left), 'Hk' x $round, "progress frames, round $round: one is left");
        is((frame_fields($content, $left[-1]))[0], 1e12 * $round + 5000, 'the last');
        is($left[-1][2], length $content, 'whole');
    }
}

# A crash after which transactions come again that are in renamed files already.
{
    my $again = fresh_name('again');
    my @commits = grep { $_->[0] eq 'C' } split_frames($bytes);
    my @small = (args => ['--audit', $again, '--audit-size', '4kB', '--audit-keep', 1000]);
    for my $share (0.4, 0.7) {
        my $cut = $commits[@commits * $share][2] + 10;
        ($status) = tee(@small, stdin => write_bytes(fresh_name('first.frames'), substr $bytes, 0, $cut));
        is($status, 111, 'a crash');
    }
    my %before = map { $_ => read_frames($_) } glob "$again.*";
    ($status, $log) = tee(@small);
    is($status, 0, 'the stream comes again, from its beginning') or diag($log);
    is_deeply([grep { read_frames($_) ne $before{$_} } sort keys %before], [], 'no file that was there is written over');
    my $target = new_target(kind => 'sqlite');
    replay($target, sort(glob "$again.*"), $again);
    is_source($target, 'all of them in order give the content');
}

# A reader that is slow when the input ends.
{
    my $many = $hello . join('', map { pack 'C N a C Q> C q>', 0xc9, 18, 'k', 0xcf, 1e12 + $_, 0xd3, 700_000_000_000_000 } 1 .. 200_000) . $end;
    pipe my $slow, my $into or die "pipe: $!\n";
    my $process = Pg2any::Process->start(name => 'frame-tee', argv => [Pg2any::Pipeline::tool('frame-tee')],
        stdin => write_bytes(fresh_name('many.frames'), $many), stdout => $into, stderr => fresh_name('slow.log'));
    close $into or die "close: $!\n";
    my $got = '';
    1 while sysread $slow, $got, 4096, length $got;
    is($process->wait_exit(30), 0, 'a slow reader: 0');
    ok(version_1($got) eq $many, 'it gets every frame, the end too');
}

# The disk is full when a progress frame takes the place of another: that one's LSN may be confirmed.
{
    my $progress = sub { pack 'C N a C Q> C q>', 0xc9, 18, 'k', 0xcf, 1e12 + $_[0], 0xd3, 700_000_000_000_000 };
    pipe my $from, my $to or die "pipe: $!\n";
    my $tight = fresh_name('tight');
    my $process = Pg2any::Process->start(name => 'frame-tee',
        argv => ['sh', '-c', q{trap '' XFSZ; ulimit -f 8; exec "$@"}, 'sh', Pg2any::Pipeline::tool('frame-tee'), '--audit', $tight],
        stdin => $from, stderr => fresh_name('tight.log'));
    close $from or die "close: $!\n";
    syswrite $to, $hello . $progress->(500);
    wait_for(sub { (split_frames(read_frames($tight)))[-1][0] eq 'k' }, 60, 'the first progress frame') if wait_for(sub { -s $tight }, 60, 'the file');
    syswrite $to, $progress->(501) . substr $plain, length $hello;
    is($process->wait_exit(30), 111, 'a disk that is full behind a progress frame: 111');
    my @left = split_frames(read_frames($tight));
    my ($kept) = map { (frame_fields(read_frames($tight), $_))[0] } grep { $_->[0] eq 'k' } @left;
    is($kept, 1e12 + 501, 'it is kept');
}

# Two writers.
pipe my $reader, my $writer or die "pipe: $!\n";
my $first = Pg2any::Process->start(name => 'frame-tee', argv => [Pg2any::Pipeline::tool('frame-tee'), '--audit', my $shared = fresh_name('shared')],
    stdin => $reader, stderr => my $first_log = fresh_name('first.log'));
wait_for(sub { -e $shared && Pg2any::Postgres::read_file($first_log) =~ /msg=starting/ }, 60, 'the first writer');
($status, $log) = tee(args => ['--audit', $shared]);
is($status, 111, 'a second writer: 111');
like($log, qr/another process writes the audit file/, 'and why');
is($first->stop, 0, 'the first, asked to stop, leaves with 0');

# Nothing has come, so that there is nothing to end: what a reader got would begin with an end frame.
my $early = Pg2any::Process->start(name => 'frame-tee', argv => [Pg2any::Pipeline::tool('frame-tee')],
    stdin => $reader, stdout => my $early_out = fresh_name('early.frames'), stderr => my $early_log = fresh_name('early.log'));
wait_for(sub { Pg2any::Postgres::read_file($early_log) =~ /msg=starting/ }, 60, 'one that waits for its input');
is($early->stop, 0, 'asked to stop before its input begins, it leaves with 0');
is(Pg2any::Postgres::read_file($early_out), '', 'and its readers get nothing');
close $writer or die "close: $!\n";

# Readers that leave, and input that does not end.
($status, $log) = tee(stdin => write_bytes(fresh_name('cut.frames'), substr $bytes, 0, length($bytes) - 3));
is($status, 111, 'input without an end: 111');
($status, $log) = tee(args => ['--output-fd', 77]);
is($status, 100, 'a descriptor that is not open: 100');
($status, $log) = tee(args => ['--output-fd', 'x']);
is($status, 100, 'one that is no number: 100');

done_testing;

# frame-dump as a process: what it prints of the example in docs/FRAMES.md, live and in pieces, and how it ends.
# needs: nothing

use Pg2any::Test;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP qw(decode_json);
use Pg2any::Golden qw(golden_file golden_names);

my $doc = do {
    open my $fh, '<:encoding(UTF-8)', dirname(abs_path($0)) . '/../../docs/FRAMES.md' or die "docs/FRAMES.md: $!";
    local $/ = undef;
    <$fh>;
};

# The blocks of the page, by what stands before them.
sub block_after {
    my ($text) = @_;
    my ($block) = $doc =~ /\Q$text\E.*?\n```[a-z]*\n(.*?)\n```\n/s or die "docs/FRAMES.md has no block after: $text";
    return $block;
}

# The bytes are in the first 34 columns, what they mean behind.
my $stream = join '', map { my $hex = substr $_, 0, 34; $hex =~ tr/ //d; pack 'H*', $hex }
    split /\n/, block_after('## An example, byte by byte');

# Where each frame begins, and where the last one ends.
my @starts = (0);
push @starts, $starts[-1] + 6 + unpack 'x' . ($starts[-1] + 1) . 'N', $stream while $starts[-1] < length $stream;

sub file_of {
    my ($bytes) = @_;
    my $file = fresh_name('input.frames');
    open my $fh, '>:raw', $file or die "$file: $!";
    print {$fh} $bytes;
    close $fh or die "$file: $!";
    return $file;
}

sub dump_of {
    my ($bytes, @args) = @_;
    my ($status, $out, $err) = run_tool('frame-dump', args => \@args, stdin => file_of($bytes));
    return ($status, [map { decode_json($_) } split /\n/, $out], $err);
}

my ($status, $frames) = dump_of($stream);
is($status, 0, 'a stream that ends with Z: exit 0');
is_deeply([map { $_->{type} } @$frames], [qw(hello begin relation insert commit end)], 'a line for each frame');
is_deeply([map { $_->{offset} } @$frames], [@starts[0 .. 5]], 'with its offset');
is($frames->[0]{system_identifier}, '7576098117218652432', 'the system identifier is a string');
is($frames->[1]{final_lsn}, '0/154BA08', 'LSNs are text');
is($frames->[1]{commit_time}, '2025-11-21 00:26:40.000000+00:00', 'times are text');
is_deeply($frames->[3]{new}, { id => '1', v => 'hi' }, 'a tuple by column');

my ($summary) = block_after('prints one object at the end of the input instead:') =~ /^(\{.*\})$/m;
($status, $frames) = dump_of($stream, '--summary');
is($status, 0, '--summary: exit 0');
is_deeply($frames, [decode_json($summary)], '--summary prints what the page says');

subtest 'every prefix' => sub {
    for my $length (0 .. length($stream) - 1) {
        my $whole = grep { $_ <= $length } @starts[1 .. $#starts];
        my ($got, $lines, $err) = dump_of(substr $stream, 0, $length);
        my $named = $err =~ /byte $starts[$whole] of the input/;
        my $good = $got eq '111' && @$lines == $whole && $named;
        ok($good, "$length bytes") or diag("status $got, " . @$lines . " lines of $whole, $err");
    }
};

subtest 'malformed input' => sub {
    my $end = length $stream;
    my @cases = (
        ['another protocol', "HTTP/1.1 200 OK\r\n", 0, 0, qr/not a frame/],
        ['garbage after frames', substr($stream, 0, $starts[2]) . '?', $starts[2], 2, qr/not a frame/],
        ['the middle of a stream', substr($stream, $starts[1]), 0, 0, qr/the beginning/],
        ['a frame after the end', $stream . substr($stream, $starts[1]), $end, 6, qr/after the end/],
        ['an unknown type', substr($stream, 0, $starts[1]) . "\xc9\0\0\0\0\x21", $starts[1], 1, qr/unknown type/],
        ['a length over the limit', substr($stream, 0, $starts[1]) . "\xc9\xff\xff\xff\xffB", $starts[1], 1, qr/limit/],
        ['a body cut short', substr($stream, 0, $starts[1]) . "\xc9\0\0\0\1B\1", $starts[1], 1, qr/malformed/],
        ['another version', "\xc9\0\0\0\1H\3", 0, 0, qr/version 3/],
    );
    for my $case (@cases) {
        my ($name, $bytes, $offset, $lines, $reason) = @$case;
        my ($got, $printed, $err) = dump_of($bytes);
        is($got, 100, "$name: exit 100");
        is(scalar @$printed, $lines, "$name: what is before it is printed");
        like($err, qr/byte $offset of the input.*$reason/, "$name: named with its place");
        ($got, $printed) = dump_of($bytes, '--summary');
        is($got, 100, "$name: exit 100 with --summary, too");
        ok(!$printed->[0]{complete}, "$name: not complete") if $name ne 'a frame after the end';
    }
};

($status, $frames) = dump_of($stream . $stream);
is($status, 0, 'two streams, one after the other: exit 0');
is($frames->[6]{offset}, length $stream, 'the second goes on counting');

subtest 'the members are those of the page' => sub {
    my (%on_page, %seen);
    my ($table) = $doc =~ /^(\| type \| members \|\n(?:\|.*\n)+)/m or die 'docs/FRAMES.md has no table of members';
    for my $row (split /\n/, $table) {
        my ($types, $members) = $row =~ /^\| ((?:`\w+` )+)\|(.*)\|$/ or next;
        $members =~ s/\([^)]*\)//g; # what a member is made of
        my %members = map { $_ => 1 } $members =~ /`(\w+)`/g;
        $on_page{$_} = {%members} for $types =~ /`(\w+)`/g;
    }
    for my $file (map { golden_file($_, 'raw.frames') } golden_names()) {
        my (undef, $out) = run_tool('frame-dump', stdin => $file);
        for my $frame (map { decode_json($_) } split /\n/, $out) {
            $seen{ $frame->{type} }{$_} = 1 for grep { !/^(?:type|offset)$/ } keys %$frame;
            $seen{ $frame->{type} } //= {};
        }
    }
    # An insert has no old row; only a server that streams in parallel places an abort.
    delete @{ $on_page{insert} }{qw(key old)};
    delete @{ $on_page{stream_abort} }{qw(abort_lsn abort_time)} if !$seen{stream_abort}{abort_lsn};
    delete $on_page{delete}{new};
    is_deeply([sort keys %seen], [sort keys %on_page], 'every type of the page is among the golden streams');
    is_deeply([sort keys %{ $seen{$_} }], [sort keys %{ $on_page{$_} }], $_) for sort keys %seen;
};

# A frame-dump with pipes at both ends.
sub start_live {
    pipe(my $in, my $to) or die "pipe: $!";
    pipe(my $from, my $out) or die "pipe: $!";
    binmode $to;
    $to->autoflush(1);
    my $log = fresh_name('frame-dump.err.log');
    my $dump = Pg2any::Process->start(name => 'frame-dump', argv => [Pg2any::Pipeline::tool('frame-dump')],
        stdin => $in, stdout => $out, stderr => $log);
    close $in or die "close: $!";
    close $out or die "close: $!";
    return ($dump, $to, $from, $log);
}

{
    my ($dump, $to, $from) = start_live();
    my @types;
    for my $i (0 .. $#starts - 1) {
        print {$to} substr $stream, $starts[$i], $starts[$i + 1] - $starts[$i];
        push @types, decode_json(scalar readline $from)->{type};
    }
    is("@types", 'hello begin relation insert commit end', 'each line comes while the input is still open');
    close $to or die "close: $!";
    is($dump->wait_exit, 0, 'the input ends: exit 0');
}

{
    my ($dump, $to, $from, $log) = start_live();
    print {$to} $stream;
    readline $from for 1 .. 6;
    close $from or die "close: $!";
    is($dump->wait_exit, 111, 'the reader goes while the input is idle: exit 111');
    like(Pg2any::Postgres::read_file($log), qr/the reader of stdout is gone/, 'and says so');
}

{
    my ($dump, $to, $from) = start_live();
    print {$to} substr $stream, 0, $starts[2];
    readline $from for 1 .. 2;
    $dump->signal('TERM');
    is($dump->wait_exit, 0, 'SIGTERM: exit 0');
}

SKIP: {
    skip 'no /dev/full', 2 if !-c '/dev/full';
    my $log = fresh_name('full.err.log');
    my $dump = Pg2any::Process->start(name => 'frame-dump', argv => [Pg2any::Pipeline::tool('frame-dump')],
        stdin => file_of($stream), stdout => '/dev/full', stderr => $log);
    is($dump->wait_exit, 111, 'the disk is full: exit 111');
    like(Pg2any::Postgres::read_file($log), qr/No space left/, 'and says so');
}

# The reader of the page, where its library is installed.
SKIP: {
    skip 'no msgpack for Python', 1 if system(q{python3 -c 'import msgpack' >/dev/null 2>&1}) != 0;
    my $reader = fresh_name('read.py');
    open my $fh, '>', $reader or die "$reader: $!";
    print {$fh} block_after('## A reader in ten lines');
    close $fh or die "$reader: $!";
    my $input = file_of($stream);
    is(scalar `python3 $reader < $input`, block_after('It prints the example as') . "\n",
        'the reader prints what the page says');
}

done_testing;

# Streams that are cut or damaged: every prefix of a small golden stream, and of larger ones those
# that end at a frame's boundary, a byte beside it, and a sample of the rest. txn-assemble and
# apply-sqlite end with 100 or 111, never by a signal, and the target never holds a part of a
# transaction: what it must hold is worked out by the reader that was written from the
# documentation.
# needs: nothing, time

use Pg2any::FrameReader qw(read_frames split_frames committed_states version_1);
use Pg2any::Golden qw(golden_file golden_names);
use Pg2any::Test;
use POSIX ();
use Time::HiRes ();

my $seed = $ENV{PG2ANY_SEED} // 20240229;
srand $seed;
note("seed $seed; PG2ANY_SEED sets another");
my ($input, $output, $log) = map { fresh_name($_) } qw(cut.frames cut.out cut.log);

# Thousands of runs: straight fork and exec, without what Pg2any::Process does for long-lived ones.
# The status, or the signal's name.
sub quick {
    my ($bytes, @argv) = @_;
    open my $fh, '>:raw', $input or die "$input: $!";
    print {$fh} $bytes;
    close $fh or die "$input: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', $input or POSIX::_exit(127);
        open STDOUT, '>', $output or POSIX::_exit(127);
        open STDERR, '>', $log or POSIX::_exit(127);
        exec { $argv[0] } @argv or POSIX::_exit(127);
    }
    # A hang must not hang the test.
    local $SIG{ALRM} = sub { kill 'KILL', $pid };
    alarm 30;
    waitpid $pid, 0;
    alarm 0;
    return $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
}

my $assemble = Pg2any::Pipeline::tool('txn-assemble');
my $apply = Pg2any::Pipeline::tool('apply-sqlite');
my @assemble = ($assemble, '--spill-dir', scratch_dir(), '--memory-limit', '64kB');

sub said { return Pg2any::Postgres::read_file($log) }

my $file = fresh_name('cut.db');

sub run_apply {
    my ($bytes) = @_;
    unlink map {"$file$_"} '', '-wal', '-shm';
    return quick($bytes, $apply, '--dest', "sqlite:$file?synchronous=off");
}

# What the target holds, in the form of committed_states().
sub content {
    my $target = Pg2any::Target::SQLite->new(file => $file, origin => 'golden');
    my $dbh = $target->dbh or return {};
    local $dbh->{sqlite_string_mode} = DBD::SQLite::Constants::DBD_SQLITE_STRING_MODE_BYTES();
    my %rows;
    for my $table (
        map { $_->[0] } $target->rows(
            q{select name from sqlite_master where type = 'table' and name not like 'pg2any%'})
    ) {
        my @key = map { $_->[0] }
            $target->rows('select cid from pragma_table_info(?) where pk > 0 order by pk', $table);
        for my $row ($target->rows('select * from ' . $dbh->quote_identifier($table))) {
            $rows{$table}{ join ',', @$row[@key] } = join ',', map { $_ // 'NULL' } @$row;
        }
        $rows{$table} //= {};
    }
    my $checkpoint = $target->checkpoint;
    $target->disconnect;
    return (\%rows, $checkpoint ? lsn_number($checkpoint->{remote_lsn}) : undef);
}

sub fingerprint {
    my ($rows) = @_;
    return join ';', map {
        my $t = $_;
        "$t:" . join '|', map {"$_=$rows->{$t}{$_}"} sort keys %{ $rows->{$t} }
    } sort grep { %{ $rows->{$_} } } keys %$rows;
}

# Where to cut: everywhere, or at boundaries, beside them, and at random.
sub cuts {
    my ($bytes, $all) = @_;
    return 0 .. length($bytes) - 1 if $all;
    my @frames = split_frames($bytes);
    # Of many alike the first and last few, and those around what is not a change.
    my @interesting = grep {
        my $i = $_;
        $i < 5
            || $i > $#frames - 5
            || grep { $frames[$_][0] !~ /[IUD]/ }
            $i - 1 .. ($i < $#frames ? $i + 1 : $i)
    } 0 .. $#frames;
    my %cut = map { $_ => 1 }
        map { my $end = $frames[$_][2]; ($end - 1, $end, $end + 1, $end + 6) } @interesting;
    $cut{ int rand length $bytes } = 1 for 1 .. 40;
    return sort { $a <=> $b } grep { $_ < length $bytes } keys %cut;
}

# What comes out of a whole golden stream, of version 2.
sub assembled {
    my ($name) = @_;
    my $status = quick(read_frames(golden_file($name, 'raw.frames')), @assemble);
    die "txn-assemble over $name: $status\n" if $status ne '0';
    return read_frames($output);
}

# ---- prefixes into apply-sqlite ----

# These have a primary key in every table, as the reader here needs it, and values that look the
# same.
for my $name (qw(small streamed two_phase messages)) {
    my $bytes = assembled($name);
    my @states = committed_states($bytes);
    $_->{content} = fingerprint($_->{rows}) for @states;
    my $start = Time::HiRes::time();
    my ($n, %wrong, %status) = (0);
    for my $cut (cuts($bytes, $name eq 'small')) {
        my $status = run_apply(substr $bytes, 0, $cut);
        $status{$status}++;
        my ($last) = grep { $_->{end} <= $cut } reverse @states;
        my ($rows, $checkpoint) = content();
        my $what = "$name cut at byte $cut";
        $wrong{ "$what: ended with $status: " . said() } = 1
            if $status ne '100' && $status ne '111';
        $wrong{"$what: no error line"} = 1 if said() !~ /level=error/;
        $wrong{ "$what: the target holds " . fingerprint($rows) . ", must hold $last->{content}" }
            = 1
            if fingerprint($rows) ne $last->{content};
        $wrong{"$what: the checkpoint is at $checkpoint, must be at least $last->{lsn}"} = 1
            if defined $last->{lsn} && $checkpoint < $last->{lsn};
        $n++;
    }
    my $took = sprintf '%.1f', Time::HiRes::time() - $start;
    ok(!%wrong,
        "$name: $n prefixes into apply-sqlite: 100 or 111, and the target holds whole transactions"
    );
    diag($_) for grep {defined} (sort keys %wrong)[0 .. 4];
    note("$name: $took s, " . join ', ', map {"$_: $status{$_}"} sort keys %status);
}

# ---- prefixes into txn-assemble ----

for my $name (golden_names()) {
    my $bytes = read_frames(golden_file($name, 'raw.frames'));
    my $whole = assembled($name);
    my @ends = map { $_->[2] } grep { $_->[0] =~ /[CcK]/ } split_frames($bytes);
    my ($n, %wrong, %status) = (0);
    for my $cut (cuts($bytes, $name eq 'small')) {
        my $status = quick(substr($bytes, 0, $cut), @assemble);
        $status{$status}++;
        my $out = read_frames($output);
        my $what = "$name cut at byte $cut";
        $wrong{ "$what: ended with $status: " . said() } = 1
            if $status ne '100' && $status ne '111';
        $wrong{"$what: what came out is not the beginning of what comes out of the whole"} = 1
            if $out ne substr $whole, 0, length $out;
        my $commits = grep { $_->[0] eq 'C' } split_frames($out);
        my $expected = grep { $_ <= $cut } @ends;
        $wrong{"$what: $commits transactions came out, not $expected"} = 1 if $commits != $expected;
        $n++;
    }
    ok(!%wrong,
        "$name: $n prefixes into txn-assemble: 100 or 111, and the whole transactions come out"
    );
    diag($_) for grep {defined} (sort keys %wrong)[0 .. 4];
    note("$name: " . join ', ', map {"$_: $status{$_}"} sort keys %status);
}

# ---- damaged bytes ----

# Frames of version 1 have no checksum: a changed value is another value. But nothing crashes, hangs
# or eats memory.
for my $name (golden_names()) {
    my %wrong;
    my %status;
    for my $kind ('raw', 'committed') {
        my $bytes = version_1(read_frames(golden_file($name, "$kind.frames")));
        my @frames = split_frames($bytes);
        for my $try (1 .. 40) {
            my $damaged = $bytes;
            my @at;
            for (1 .. 1 + int rand 2) {
                # Half of them where it hurts: in headers and the first fields.
                my $frame = $frames[rand @frames];
                my $at = $try % 2 ? int rand length $bytes : $frame->[1] + int rand 12;
                $at = length($bytes) - 1 if $at >= length $bytes;
                my $byte = (
                    0x00, 0xff, 0x7f, 0x80, 0xc0, 0xc1, 0xdf,
                    ord substr($bytes, $at, 1) ^ 1 << int rand 8,
                    int rand 256
                )[rand 9];
                substr $damaged, $at, 1, chr $byte;
                push @at, sprintf '%d to %02x', $at, $byte;
            }
            my $what = "$name.$kind, byte @at";
            my $status = quick($damaged, @assemble);
            $status{"assemble $status"}++;
            $wrong{"$what: txn-assemble ended with $status"} = 1 if $status !~ /\A(?:0|100|111)\z/;
            next if $kind eq 'raw';
            $status = run_apply($damaged);
            $status{"apply $status"}++;
            $wrong{"$what: apply-sqlite ended with $status"} = 1 if $status !~ /\A(?:0|100|111)\z/;
            $wrong{"$what: no error line"} = 1 if $status && said() !~ /level=error/;
        }
    }
    ok(!%wrong, "$name: damaged bytes: 0, 100 or 111, never a signal");
    diag($_) for grep {defined} (sort keys %wrong)[0 .. 4];
    note("$name: " . join ', ', map {"$_: $status{$_}"} sort keys %status);
}

# A length that is a lie takes no memory before the bytes are there.
SKIP: {
    my @limited = ('sh', '-c', 'ulimit -v 400000; exec "$@"', 'sh');
    # A build with a sanitizer maps more than that.
    skip 'the tools do not start within 400 MB of address space', 8
        if quick('', @limited, $apply, '--version') ne '0';
    for my $length (0xffffffff, 0x40000001, 0x40000000, 0x3fffffff) {
        my $bytes = read_frames(golden_file('small', 'committed.frames'));
        my (undef, $second) = split_frames($bytes);
        substr $bytes, $second->[1] + 1, 4, pack 'N', $length;
        for my $argv ([@assemble], [$apply, '--dest', ':memory:']) {
            my $status = quick($bytes, @limited, @$argv);
            is( $status,
                $length > 0x40000000 ? 100 : 111,
                sprintf 'a frame that says it has %#x bytes, with 400 MB of address space: %s',
                $length, $argv->[0] =~ s{.*/}{}r
            ) or diag(said());
        }
    }
}

done_testing;

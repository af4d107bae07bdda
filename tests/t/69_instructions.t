# Instructions that each program takes for a row, by callgrind: none may grow by more than a twentieth beyond the
# table in docs/BENCHMARKS.md, which `make instructions` writes anew (PG2ANY_INSTRUCTIONS=write).
#
# What a row costs is the difference of two runs, one of which has more rows: beginning and end fall out. libc is told
# to take the same functions on every processor. What remains is the compiler and the versions of libraries: with
# others than the table's nothing is compared.
# needs: nothing, time

use Pg2any::Test;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Pg2any::Pipeline;

my $document = dirname(abs_path($0)) . '/../../docs/BENCHMARKS.md';
my $build = dirname(Pg2any::Pipeline::tool_dir());
my $workload = "$build/unit/workload";
my @units = (1000, 3000);
my $MOST = 1.05;

# By name: arguments, whether it reads what txn-assemble has written, and which workloads are enough for it.
my @programs = (
    { name => 'the decoder', argv => [$workload], collect => 'pgoutput_decode' },
    { name => 'txn-assemble', argv => [Pg2any::Pipeline::tool('txn-assemble'), '--pipe-size', 0], stdin => 'raw' },
    (map { { name => "apply-sqlite --order $_", argv => [Pg2any::Pipeline::tool('apply-sqlite'), '--order', $_, '--dest', 'target.db'],
        stdin => 'frames' } } qw(planned strict)),
    { name => 'frame-dump', argv => [Pg2any::Pipeline::tool('frame-dump')], stdin => 'frames', only => 'update' },
);
my %unit = (tiny => 'a transaction of an update and an insert', big => 'an inserted row', update => 'an updated row');
my @workloads = qw(tiny big update);

# All that makes other instructions of the same source.
sub counted_with {
    my ($cc, @flags) = split ' ', Pg2any::Postgres::read_file("$build/flags") =~ s/ \| .*//sr;
    my @parts = ("`" . join(' ', grep { /\A-(?:O|m|flto|fsanitize|fprofile|-coverage)/ } @flags) . "`", `$cc --version` =~ /\A(.*)/,
        `getconf GNU_LIBC_VERSION`, (map { "$_ " . `pkg-config --modversion $_` } qw(sqlite3 msgpack libxxhash jansson)), `uname -m`);
    chomp @parts;
    return join ', ', @parts;
}

# The processor's own instructions are left alone, and everything that libc has a plain variant of.
my $PLAIN = 'glibc.cpu.hwcaps=' . join ',', map { "-$_" } qw(AVX AVX2 AVX512F AVX512VL AVX512BW BMI1 BMI2 ERMS FSRM RTM SSSE3
    SSE4_1 SSE4_2 Fast_Copy_Backward);

# Instructions of a run, in a folder of its own.
sub count {
    my ($program, $workload_name, $units, %input) = @_;
    my $dir = fresh_name('count');
    mkdir $dir or die "$dir: $!";
    my $run = Pg2any::Process->start(name => $program->{name}, dir => $dir, stderr => "$dir/log",
        $program->{stdin} ? (stdin => $input{ $program->{stdin} }) : (),
        argv => ['env', '-i', "GLIBC_TUNABLES=$PLAIN", 'LC_ALL=C', 'valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null',
            $program->{collect} ? "--toggle-collect=$program->{collect}" : (), @{ $program->{argv} },
            $program->{stdin} ? () : ($workload_name, $units)]);
    my $status = $run->wait_exit(300);
    my $log = Pg2any::Postgres::read_file("$dir/log");
    $status eq '0' && $log =~ /Collected : (\d+)/ or die "$program->{name} under valgrind: $status: $log";
    return $1;
}

# What the programs read: {raw => FILE, frames => FILE}.
sub input {
    my ($name, $units) = @_;
    my %input = map { $_ => fresh_name("$name-$units.$_") } qw(raw frames);
    for (['raw', $workload, $name, $units], ['frames', Pg2any::Pipeline::tool('txn-assemble')]) {
        my ($file, @argv) = @$_;
        my $run = Pg2any::Process->start(argv => \@argv, stdout => $input{$file}, stderr => fresh_name('input.log'),
            $file eq 'frames' ? (stdin => $input{raw}) : ());
        $run->wait_exit(60) eq '0' or die "@argv failed";
    }
    return %input;
}

my ($with, %before);
my $text = do { local (@ARGV, $/) = $document; <> };
my $TABLE = qr{(?<=<!-- instructions -->\n\n)Counted with ([^\n]*)\.\n\n((?:\|[^\n]*\n)+)};
$text =~ $TABLE or die "$document has no table of instructions";
($with, my $table) = ($1, $2);
for my $line (split /\n/, $table) {
    my (undef, $program, @counts) = split / *\| */, $line;
    $before{$program}{ $workloads[$_] } = $counts[$_] for 0 .. $#counts;
}

my $write = ($ENV{PG2ANY_INSTRUCTIONS} // '') eq 'write';
my $now_with = counted_with();
if (!$write && $now_with ne $with) {
    diag("INSTRUCTIONS ARE NOT COMPARED: docs/BENCHMARKS.md counted with\n  $with\nand this is\n  $now_with");
    plan(skip_all => 'the compiler or a library is not the one that docs/BENCHMARKS.md counted with');
}

my %now;
for my $name (@workloads) {
    my @inputs = map { { input($name, $_) } } @units;
    for my $program (grep { ($_->{only} // $name) eq $name } @programs) {
        my ($less, $more) = map { count($program, $name, $units[$_], %{ $inputs[$_] }) } 0, 1;
        $now{ $program->{name} }{$name} = sprintf '%.0f', ($more - $less) / ($units[1] - $units[0]);
    }
}
# The frames and the programs give the same again, in another folder.
my $decoder = $programs[0];
my $again = (count($decoder, 'tiny', $units[1]) - count($decoder, 'tiny', $units[0])) / ($units[1] - $units[0]);
cmp_ok(abs($again - $now{ $decoder->{name} }{tiny}), '<', 0.01 * $again, 'counted twice it is the same');

sub grown { my ($before, $now) = @_; return $now > $MOST * $before }

ok(grown(map { $now{"apply-sqlite --order $_"}{update} } qw(planned strict)), 'a program that takes each row by itself would be noticed');
if ($write) {
    my $cell = sub { my ($program, $name) = @_; return $now{$program}{$name} // '' };
    my $new = join '', map { '| ' . join(' | ', @$_) . " |\n" } ['', @unit{@workloads}], [('---') x (1 + @workloads)],
        map { my $p = $_->{name}; [$p, map { $cell->($p, $_) } @workloads] } @programs;
    $text =~ s/$TABLE/Counted with $now_with.\n\n$new/;
    open my $fh, '>', $document or die "$document: $!";
    print {$fh} $text;
    close $fh or die "$document: $!";
    note($new);
} else {
    for my $program (@programs) {
        for my $name (grep { ($program->{only} // $_) eq $_ } @workloads) {
            my ($before, $now) = map { $_->{ $program->{name} }{$name} } \%before, \%now;
            ok(!grown($before, $now), "$program->{name}, $name: $now instructions, not much more than $before")
                or diag('Where that is worth it, `make instructions` writes the table anew.');
            note("less than it was: `make instructions` keeps that") if grown($now, $before);
        }
    }
}
done_testing;

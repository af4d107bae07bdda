# A call of a program fails, of every kind of call and with every error once, at a place that is the same in each run:
# no memory, no descriptor, a full disk, a connection that breaks. The program leaves with 111 and says why, or goes on and
# its work is whole; started again it brings all to the end, and nothing is left behind. `make check-faults` tries many
# places, of all programs; here are those that need no source while they run, and the applier of the target: as it applies, and
# as it compares.
# needs: one postgres, any target, time

use Pg2any::Faults qw(faults_of try_fault count_calls is_known);
use Pg2any::Faults::Programs qw(new_program);
use Pg2any::Test;

plan(skip_all => 'the target of tests/apply-text is not read while it is half written') if ($ENV{TARGET} // '') eq 'text';

# ---- the test itself ----

# What a program that does not survive looks like: it is tried with what it must not do.
my $dump = new_program('frame-dump');
count_calls($dump);
my ($given, @wrong) = try_fault($dump, 'read 1 EIO');
is($given, 1, 'a fault is given');
is_deeply(\@wrong, [], 'and survived');
($given) = try_fault($dump, 'read 1000 EIO');
is($given, 0, 'one that is not reached is not');
$dump->{whole} .= "more\n";
($given, @wrong) = try_fault($dump, 'read 1 EINTR');
like("@wrong", qr/the output is not whole/, 'output that is not whole is noticed');

# ---- programs ----

my $kind = $ENV{TARGET} // 'sqlite';
my @programs = ("apply-$kind", "compare-$kind", $kind eq 'sqlite' ? qw(txn-assemble frame-dump frame-tee metrics-http) : ());
for my $name (@programs) {
    my $program = new_program($name);
    my @faults = faults_of($program, count_calls($program), most => 1);
    @faults = @faults[grep { $_ % 3 == 0 } 0 .. $#faults] if $kind eq 'mssql' || $name =~ /compare/; # they take long
    my ($injected, @failed) = (0);
    for my $fault (@faults) {
        ($given, @wrong) = try_fault($program, $fault);
        $injected += $given;
        push @failed, join "\n", "tests/faults/run --program $name --fault '$fault'", @wrong
            if @wrong && !is_known($program, $fault);
    }
    is(scalar @failed, 0, "$name: $injected injected, all survived") or diag(map { "$_\n" } @failed);
    cmp_ok($injected, '>', @faults * 3 / 4, "$name: most of them were reached");
}

done_testing;

# Too few descriptors, at any place: they may be there at the next start, so that is 111, never 100 at which a
# supervisor gives up.
# needs: nothing

use Pg2any::Golden qw(golden_file);
use Pg2any::Test;

sub status_of {
    my ($limit, $name, $input, @args) = @_;
    my $process = Pg2any::Process->start(
        name => $name,
        argv => ['sh', '-c', 'ulimit -n ' . $limit . '; exec "$@"', 'sh', Pg2any::Pipeline::tool($name), @args],
        stdin => golden_file('ordinary', "$input.frames"),
        stdout => fresh_name("$name.out"),
        stderr => fresh_name("$name.log"));
    return $process->wait_exit;
}

for my $case (
    ['txn-assemble', 'raw', sub { ('--spill-dir', scratch_dir()) }],
    ['frame-tee', 'committed', sub { ('--audit', fresh_name('audit')) }],
    ['apply-sqlite', 'committed', sub { ('--dest', new_target(origin => 'golden')->file) }])
{
    my ($name, $input, $args) = @$case;
    my %seen;
    my $limit = 4;
    for (; $limit < 40; $limit++) {
        my $status = status_of($limit, $name, $input, $args->());
        push @{ $seen{$status} }, $limit;
        last if $status == 0;
    }
    is_deeply([sort keys %seen], [0, 111], "$name: 111 with too few descriptors, 0 with $limit")
        or diag(map { "status $_ with @{ $seen{$_} }\n" } sort keys %seen);
}

done_testing;

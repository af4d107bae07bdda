# Random histories of a table: its columns are renamed, widened, dropped, added under old and swapped names, in
# ordinary, streamed and prepared transactions, read late and live. The target is equal in the end, or the
# pipeline has stopped with 100 and a reason; it is never silently different. `make check-histories` runs more.
#
# PG2ANY_SEEDS: how many (150). PG2ANY_SEED: the first (1).
# needs: one postgres, time

use Pg2any::Histories;
use Pg2any::History;
use Pg2any::Test;

my $seeds = $ENV{PG2ANY_SEEDS} // 150;
my $seed = $ENV{PG2ANY_SEED} // 1;
my $histories = Pg2any::Histories->new;

# ---- the test itself ----

is($histories->history(7)->sql, $histories->history(7)->sql, 'a seed is the same history again');
isnt($histories->history(7)->sql, $histories->history(8)->sql, 'another is another');

# A history that ends equal, of plain tables; what is done to its target afterwards is noticed.
my @plain = (without => [grep { $_ ne 'streamed' } Pg2any::History->features], only => ['rename', 'add']);
my ($calm) = grep { $histories->run($histories->history($_, @plain))->{verdict} eq 'equal' } 1 .. 20;
for my $case (
    ['a column that is missing', sub { "alter table $_[0] drop column $_[1]" }, qr/the target lacks/],
    ['a column too many', sub { "alter table $_[0] add column more integer" }, qr/has the columns .*\bmore\b/],
    ['another name', sub { "alter table $_[0] rename column $_[1] to other" }, qr/the target lacks/],
    ['NULL for values', sub { "update $_[0] set $_[1] = null" }, qr/is NULL, must be/],
    ['a row that is missing', sub { "delete from $_[0]" }, qr/missing in the target/],
) {
    my ($name, $sql, $like) = @$case;
    my $result = $histories->run($histories->history($calm, @plain), tamper => sub {
        my ($target) = @_;
        my $table = $target->table_name("h$calm", 't');
        my ($column) = reverse $target->column_names($table);
        $target->dbh->do($sql->($table, $column));
    });
    is($result->{verdict}, 'failed', "$name: the comparison fails");
    like(join("\n", @{ $result->{differences} // [] }), $like, 'and tells it');
}

# ---- histories ----

my %of;
for my $n ($seed .. $seed + $seeds - 1) {
    my $result = $histories->run($histories->history($n));
    my $verdict = $result->{verdict};
    push @{ $of{$verdict} }, $result;
    my $told = join ': ', grep { defined } $verdict, $result->{kind};
    ok($verdict eq 'equal' || $verdict eq 'stopped', "seed $n: $told")
        or diag($histories->report($result));
}
my %stopped;
$stopped{ $_->{kind} }++ for @{ $of{stopped} // [] };
note(sprintf '%4d %s', scalar @{ $of{$_} }, $_) for sort keys %of;
note(sprintf '%4d stopped: %s', $stopped{$_}, $_) for sort keys %stopped;

# A pipeline that stopped at every change would pass all of them.
cmp_ok(scalar @{ $of{equal} // [] }, '>', $seeds / 4, 'not only stopped: many are equal');

done_testing;

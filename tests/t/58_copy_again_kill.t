# Tables that are copied again, in one snapshot and in chunks, while they are changed, with kill -9 of a random stage in
# between: a reader sees either all of the old rows or all of the new ones, never none, and in the end both sides are equal.
#
# PG2ANY_KILLS: how many times (10). PG2ANY_SEED: chooses the stages and the moments.
# needs: one postgres, any target

use Pg2any::Test;

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my $kills = $ENV{PG2ANY_KILLS} // 10;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
srand $seed;

my $n = 2000;
my $pg = Pg2any::Postgres->new;
my @tables = qw(chunked whole);
$pg->do('create table chunked (id int primary key, v int not null, pad text)', 'create table whole (id int, v int not null, pad text)',
    'alter table whole replica identity full', 'create table other (id int primary key)',
    (map {"insert into $_ select g, 0, repeat('x', 100) from generate_series(1, $n) g"} @tables),
    'create publication cdc_pub for all tables');
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--copy-chunk', '20kB'] });
$pipeline->start;
$pipeline->wait_copied([@tables, 'other']);
$pipeline->wait_caught_up;

# Every row has the same v, in each transaction of the source.
my (%seen, @wrong);
my $look = sub {
    for my $table (@tables) {
        my ($row) = eval { $target->rows("select count(*), min(v), max(v) from $table") } or next;
        $seen{"$table $row->[1]"}++;
        push @wrong, "$table: @$row" if $row->[0] != $n || $row->[1] != $row->[2];
    }
    return;
};
my @stages = qw(capture assemble apply apply);
# With less the table has no TOAST table, and PostgreSQL nothing that shows that it wrote its rows anew.
my @types = ('text', 'varchar(9000)');
# Between two times that rows are written anew the catalog has to be asked: what it shows of the first is not certain
# otherwise, and a row that is missing then stops the applier.
my $lsn;
for my $round (1 .. $kills) {
    $pipeline->wait_applied($lsn) if $lsn;
    for my $table (@tables) {
        $pg->do("alter table $table alter pad type $types[$round % 2] using repeat('$round', 100)",
            "update $table set v = v + 1", "insert into other values ($round) on conflict do nothing");
    }
    $lsn = $pg->current_lsn;
    my $end = Pg2any::Wait::now() + rand 1.2;
    wait_for(sub { $look->(); return Pg2any::Wait::now() > $end }, 5, 'a moment');
    my $stage = $stages[rand @stages];
    ok($pipeline->signal($stage, 'KILL'), "kill -9 number $round: $stage");
    $pipeline->wait_all(30);
    $look->();
    $pipeline->start;
}
$pg->do(map {"update $_ set v = 1000"} @tables);
$pipeline->wait_while_running(sub {
    $look->();
    return !grep { ($_->[0] // 0) != 1000 } map { eval { $target->rows("select max(v) from $_") } } @tables;
}, 60, 'the last copies');
$pipeline->wait_copied(\@tables);
$pipeline->wait_caught_up;
$look->();
same_content($pg, $target, [@tables, 'other'], "after $kills kills the target equals the source");
is_deeply(\@wrong, [], 'a reader saw the old rows or the new ones');
cmp_ok(scalar keys %seen, '>', 3, 'of several copies');
like($pipeline->log_text('apply'), qr/has replaced the old one/, 'tables have taken the places of others');
is_deeply([grep { $target->has_table($_) } map { my $t = $_; map { "pg2any_${_}_" . $pg->value("select '$t'::regclass::oid") } qw(copy old) } @tables], [],
    'nothing is left beside them');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

# The copy of tables that are full, under a mixed load, with kill -9 of a random stage again and again. In the end the
# target equals the source, and no table was copied twice that had been copied.
#
# PG2ANY_KILLS: how many times (8). PG2ANY_SEED: chooses the stages, the moments and the load.
# needs: postgres

use Pg2any::Load;
use Pg2any::Test;

my $kills = $ENV{PG2ANY_KILLS} // 8;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
srand $seed;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
my @full = map { "full_$_" } 1 .. 6;
$pg->do(Pg2any::Load::schema(),
    (map {; "create table $_ (id int primary key, n int not null, pad text)", "create unique index on $_ (n, id)",
        "insert into $_ select g, 0, repeat('x', 200) from generate_series(1, 20000) g" } @full),
    'create table bag (n int)', 'alter table bag replica identity full',
    'insert into bag select g % 100 from generate_series(1, 20000) g',
    'create publication cdc_pub for all tables');
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => {
    capture => ['--copy', 'initial', '--copy-chunk', '64kB', $pg->major >= 15 ? '--two-phase' : ()], assemble => ['--memory-limit', '256kB'] });
my @writers = Pg2any::Load::start($pg, writers => 3, seed => $seed, pause => 0.02, prepare => 1);
wait_for(sub { $pg->value('select count(*) from account') > 300 }, 60, 'rows that are there before');
my $changes = 0;
my $change = sub {
    my $t = $full[rand @full];
    my ($id, $bag) = (1 + int rand 20_000, int rand 100);
    $pg->do("update $t set n = n + 1 where id % 97 = $id % 97", "delete from $t where id = $id",
        "insert into $t values ($id + 100000, 0, 'new') on conflict do nothing",
        "update $t set id = id + 200000 where id = $id % 20000 + 1",
        "delete from bag where ctid in (select ctid from bag where n = $bag limit 10)", "insert into bag values ($bag)");
    $changes++;
};
$pipeline->start;
$pipeline->wait_streaming;
my @stages = qw(capture assemble apply);
for my $n (1 .. $kills) {
    Pg2any::Load::check(@writers);
    $change->() for 1 .. 5;
    my $stage = $stages[rand @stages];
    let_pass(rand 0.4);
    ok($pipeline->signal($stage, 'KILL'), "kill -9 number $n: $stage");
    $pipeline->wait_all(30);
    $pipeline->start;
}
$change->() for 1 .. 20;
my @tables = (@Pg2any::Load::TABLES, @full, 'bag');
$pipeline->wait_copied(\@tables);
Pg2any::Load::stop(@writers);
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, "after $kills kills the target equals the source");
note('copies that went on after a kill: ' . (() = $pipeline->log_text('capture') =~ /msg="continuing the copy/g));
$pipeline->wait_while_running(sub { return !grep { "@{[$target->other_indexes($_)]}" ne 'unique n,id' } @full }, 60,
    'every table to have its index');
my %copied;
my $log = $pipeline->log_text('apply');
$copied{$1}++ while $log =~ /msg="a table is copied" schema=public table=(\S+)/g;
is_deeply([grep { $copied{$_} > 1 } sort keys %copied], [], 'no table was copied twice');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

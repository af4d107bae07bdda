# kill -9 of the applier again and again, while what comes for a table that is set aside is kept, and while it is replayed, under
# ordinary, streamed, prepared and large transactions: in the end both sides are equal.
#
# PG2ANY_KILLS: how many times, of each (8). PG2ANY_SEED: chooses the moments and the transactions.
# needs: one postgres, any target, time

use Pg2any::Test;
use Pg2any::Wait qw(let_pass);

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my $kills = $ENV{PG2ANY_KILLS} // 8;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
srand $seed;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB', max_prepared_transactions => 4 });
$pg->do((map { ("create table $_ (id int primary key, v int, pad text)", "insert into $_ select g, g, 'first' from generate_series(1, 500) g") } qw(a b)),
    'create publication cdc_pub for table a, b');
my $target = new_target();
my $kept = fresh_name('kept');
my @apply = (qw(--conflict quarantine --refused quarantine --group-bytes 64kB --quarantine-dir), $kept);
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target,
    args => { capture => [qw(--copy initial), $pg->major >= 15 ? '--two-phase' : ()], apply => \@apply });
my $aside = sub { return $pipeline->metric(apply => 'pg2any_tables_aside') // -1 };
my $files = sub { return scalar(my @files = glob "$kept/*.frames") };
my $wait = sub { my ($what, $condition) = @_; return $pipeline->wait_while_running($condition, 60, $what, tend => 1) };

my $n = 1000;
my $change = sub {
    my $i = 1 + int rand 500;
    my @both = map { my $t = $_; $n++; ("update $t set v = v + 1 where id between $i and $i + 10", "insert into $t values ($n, 1, 'new')",
        "delete from $t where id = $n - 20") } qw(a b);
    my $kind = int rand 5;
    if ($kind == 0) {
        $pg->do('begin', @both, "prepare transaction 'g$n'");
        $pg->do("commit prepared 'g$n'");
    } elsif ($kind == 1) {
        $pg->do(join ';', 'begin', @both, 'savepoint s', 'update a set v = v + 7', 'rollback to s', 'commit');
    } elsif ($kind == 2) {
        $pg->do(join ';', 'begin', @both, (map { "insert into $_ select g + 10000 * $n, g, repeat('x', 50) from generate_series(1, 2000) g" } qw(a b)), 'commit');
    } else {
        $pg->do($_) for @both;
    }
    return;
};
# The supervisor's part: with what the applier left behind, whenever that was.
my $kill = sub {
    let_pass(rand 0.3);
    $pipeline->signal('apply', 'KILL');
    $pipeline->wait_all(30);
    $pipeline->start;
    return;
};
my $resume = sub {
    my ($status, undef, $err) = run_tool($target->applier, args => ['--dest', $target->dest, $target->applier_args, qw(--origin cdc_slot --resume public.a)]);
    is($status, 0, 'it is asked for') or diag($err);
    return;
};

$pipeline->start;
$pipeline->wait_copied([qw(a b)]);
$pipeline->wait_caught_up;
for my $round (1 .. 2) {
    $target->dbh->do('delete from a where id = 200'), $target->disconnect;
    $pg->do('update a set v = 5 where id = 200');
    $wait->('the table to be set aside', sub { return $aside->() == 1 });
    for (1 .. $kills) {
        $change->() for 1 .. 4;
        $kill->();
    }
    $change->();
    $pipeline->wait_caught_up(undef, tend => 1);
    same_content($pg, $target, ['b'], "round $round: the other table goes on");
    is($files->(), 1, "round $round: there is a file");
    $target->dbh->do(q{insert into a (id, v, pad) values (200, 200, 'first')}), $target->disconnect;
    $resume->();
    $pipeline->signal('apply', 'HUP');
    for (1 .. $kills) {
        $kill->();
        $change->();
    }
    $wait->('the table to come back', sub { return $aside->() == 0 });
    $change->() for 1 .. 4;
    $pipeline->wait_caught_up(undef, tend => 1);
    same_content($pg, $target, [qw(a b)], "round $round: equal");
    is($files->(), 0, "round $round: no file is left");
}
$pipeline->stop;

done_testing;

# Schema changes inside transactions. The catalog shows a table as it is committed, so what a streamed
# transaction has made of it is looked up again at its commit; and a commit is decoded before other
# sessions see it, which is waited for.
# needs: postgres, any target

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(settings => { logical_decoding_work_mem => '64kB' },
  sql => ['create table t (id bigint primary key, w text)', 'create table open (id int primary key, pad text)']);
$pg->do(q{insert into t select g, 'x' from generate_series(1,1000) g});
$pipeline->wait_caught_up;
my $d = $pg->connect(AutoCommit => 0);
$d->do("insert into t select g, repeat('y',100) from generate_series(1001,3000) g");
$d->do("alter table t add column extra int");
$d->do("alter table t add column withdef int default 7");
$d->do("update t set w = 'z', extra = id");
$d->do("create table fresh (a text primary key, b int)");
$d->do("insert into fresh select g::text, g from generate_series(1,3000) g");
$d->commit;
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t fresh)], 'a table changed and another made in one streamed transaction');
for my $i (1 .. 30) {
    $d->do("alter table t add column c$i int default $i");
    $d->do("insert into t (id) values (100000 + $i)");
    $d->commit;
}
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t fresh)], 'columns added in small transactions, one after the other');

# While a transaction is in progress the catalog shows nothing of its DDL, and what is looked up then
# describes columns that nobody knows. It is a matter of who is quicker; here the transaction stays open
# until the assembler holds a part of it.
my $streamed = sub { return $pipeline->metric(assemble => 'pg2any_queue_depth') };
wait_for(sub { ($streamed->() // 1) == 0 }, 60, 'the statistics to know of no stream');
$d->do($_) for q{alter table open add column more text default 'm'},
    q{insert into open select g, repeat('x', 100), 'n' from generate_series(1, 2000) g};
wait_for(sub { ($streamed->() // 0) > 0 }, 60, 'the stream to begin');
$d->commit;
$pipeline->wait_caught_up;
same_content($pg, $target, ['open'], 'DDL in a streamed transaction, looked up before its commit');
$d->disconnect;

done_testing;

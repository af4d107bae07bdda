# Others at work in the target hold locks: the applier waits, and repeats its group when the server
# gives it up (a deadlock, a lock that takes too long). Rows stay right, the process stays.
# needs: one postgres, mysql target

use Pg2any::Test;

my $all_0 = {capture => 0, assemble => 0, apply => 0};
my ($pg, $target, $pipeline) = new_pair(
    target => new_target(kind => 'mysql'),
    sql    => [map {"create table $_ (id int primary key, n int)"} qw(first second)],
    args   => {apply => ['--query-timeout', '2s']},
);
my @tables = qw(first second);
$pg->do(map {"insert into $_ select g, 0 from generate_series(1, 1000) g"} @tables);
$pipeline->wait_caught_up;
$target->dbh->do('create table theirs (id int primary key, n int)');
$target->dbh->do('insert into theirs select id, 0 from first');
my $pid   = $pipeline->pid('apply');
my $other = $target->new_dbh;

# The applier waits for a lock.
sub waits {
    return wait_for(
        sub {
            $target->server->value(
                q{select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'}
            );
        },
        30,
        'the applier to wait for a lock'
    );
}

# Statistics are written between groups only, the log at once.
sub retries {return scalar(() = $pipeline->log_text('apply') =~ /the group is repeated/g)}

for my $kind ('update', 'insert', 'delete', 'key change', 'truncate') {
    $other->do('begin');
    $other->do('select * from second where id in (7, 2000, 2007) for update');
    $other->do('insert into second values (3000, 0)') if $kind eq 'insert';
    my $sql = {
        'update'     => 'update second set n = n + 1',
        'insert'     => 'insert into second values (3000, 1)',
        'delete'     => 'delete from second where id = 7',
        'key change' => 'update second set id = 2007 where id = 8',
        'truncate'   => 'truncate second',
    }->{$kind};
    $pg->do(join ';', 'begin', 'update first set n = n + 1',
        $sql, 'update first set n = n + 1 where id % 2 = 0', 'commit');
    waits()                if $kind ne 'truncate';
    $other->do('rollback') if $kind ne 'truncate';
    let_pass(1)            if $kind eq 'truncate';
    $other->do('rollback') if $kind eq 'truncate';
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, "a lock that another session holds for a while: $kind");
}
$pg->do('insert into second select g, 0 from generate_series(1, 1000) g on conflict do nothing');
$pipeline->wait_caught_up;

# Longer than the applier waits: the group is repeated.
my $before = retries();
$other->do('begin');
$other->do('select * from second where id = 500 for update');
$pg->do(
    'begin; update first set n = n + 1; update second set n = n + 1; insert into first values (1001, 1); commit',
    'update second set n = n + 1 where id > 990'
);
wait_for(sub {retries() > $before}, 60, 'the group to be repeated');
is(
    $target->value('select n from first where id = 1'),
    $pg->value('select n from first where id = 1') - 1,
    'a lock that is held for long: nothing of the group is seen meanwhile'
);
$other->do('rollback');
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables,
    'a lock that is held for long: the group is repeated, and applied once');

# A deadlock, with a partner that has changed more rows: the server gives up the applier's transaction.
for my $round (1 .. 3) {
    $before = retries();
    $other->do('begin');
    $other->do('update theirs set n = n + 1');
    $other->do('update theirs set n = n + 1');
    $other->do('select * from second where id = 700 for update');
    $pg->do(
        'begin; update first set n = n + 1 where id = 600; update second set n = n + 1 where id = 700; commit'
    );
    waits();
    ok(
        eval {$other->do('select * from first where id = 600 for update'); 1},
        "a deadlock, and the applier is the victim (round $round)"
    ) or diag($@);
    wait_for(sub {retries() > $before}, 30, 'the group to be repeated');
    eval {$other->do('rollback')};
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, 'its group is repeated, and applied once');
}

# A lock on a whole table, and a change of the table that waits for a reader.
$other->do('lock tables first write');
$pg->do('update first set n = n + 1 where id < 10');
let_pass(1);
$other->do('unlock tables');
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'a table that is locked for a while');
$other->do('begin');
$other->do('select count(*) from first');
$pg->do('alter table first add column c int default 5', 'update first set n = n + 1 where id < 10');
let_pass(1);
$other->do('commit');
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'a new column, while another session reads the table');

# The same for long, where the change has to be made between rows of one transaction: beside it.
$before = retries();
$other->do('begin');
$other->do('select count(*) from second');
$pg->do('begin; update second set n = n + 1; alter table second add column c int default 5; update second set c = 6 where id < 10; commit');
wait_for(sub {retries() >= $before + 2}, 60, 'the change to wait for the reader, and the group to be repeated');
$other->do('commit');
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'a new column within a transaction, while another session reads the table for long');

# Readers see whole transactions.
$pg->do('update first set n = 0', 'update second set n = 0');
$pipeline->wait_caught_up;
$other->do('set session transaction isolation level repeatable read');
my ($looks, $torn) = (0, 0);
for (1 .. 50) {
    $pg->do(
        'begin; update first set n = n + 1 where id = 1; update second set n = n + 1 where id = 1; commit'
    );
    $other->do('start transaction with consistent snapshot');
    my ($x) = $other->selectrow_array('select n from first where id = 1');
    my ($y) = $other->selectrow_array('select n from second where id = 1');
    $other->do('commit');
    $looks++;
    $torn++ if $x != $y;
}
is($torn, 0, "a reader sees no transaction in part ($looks looks)");
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'in the end');

is($pipeline->pid('apply'), $pid, 'all that in the same process');
is_deeply($pipeline->stop, $all_0, 'all leave with 0');

done_testing;

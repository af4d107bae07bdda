# A target may be what PostgreSQL's commits wait for (synchronous_standby_names): each COMMIT returns when the target
# has the transaction durably, also one that was prepared, one that is streamed, one of a table that is not
# published, and while tables are copied.
# needs: postgres, any target

use Pg2any::Load;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do('create table t (id int primary key, n int, pad text)', 'create table unpublished (n int)',
    'create publication cdc_pub for table t', Pg2any::Load::schema());
# No superuser, nor in pg_read_all_stats: as the README makes it.
$pg->do('create role cdc login replication', 'grant pg_read_all_data to cdc');
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, pg_uri => [user => 'cdc'], target => $target, args => { capture => ['--copy', 'initial', '--copy-chunk', '200'] })->start;
$pipeline->wait_copied(['t']);
$pg->configure(synchronous_standby_names => '"pg-capture"');
$pg->reload;
$pipeline->wait_while_running(sub { $pg->value(q{select count(*) from pg_stat_replication where sync_state = 'sync'}) }, 30,
    'a synchronous standby');

my $client = $pg->connect;
sub committed {
    my ($name, @sql) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $client->do($_) for @sql;
    same_content($pg, $target, ['t'], $name);
    return;
}
committed('a row', q{insert into t values (1, 0, 'x')});
$client->do('set synchronous_commit = remote_apply');
committed('remote_apply', 'update t set n = 1');
committed('streamed', q{insert into t select g, 0, repeat(md5(g::text), 3) from generate_series(2, 3000) g});
committed('prepared', 'begin', 'update t set n = n + 100 where id % 7 = 0', q{prepare transaction 'p'}, q{commit prepared 'p'});
committed('rolled back to a savepoint', 'begin', 'delete from t where id < 1500', 'savepoint s', 'delete from t', 'rollback to s', 'commit');
# The commit is not visible before it is confirmed, so the table is copied again.
$client->do($_) for 'begin', 'alter table t add column more int', q{insert into t values (5001, 0, 'x', 2)}, 'commit';
$pipeline->wait_copied(['t']);
same_content($pg, $target, ['t'], 'a table that is altered and written to');
committed('nothing for the target', 'insert into unpublished values (1)');

# One after the other; a position that went to the target only every few seconds would take minutes.
sub in_turn {
    my ($what, $sql) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $begun = now();
    $client->do('set statement_timeout = 60000');
    my $done = 0;
    $client->do(sprintf $sql, $done), $done++ while $done < 50 && now() - $begun < 60;
    diag(sprintf '50 commits of %s: %.0f ms', $what, (now() - $begun) * 1e3);
    return is($done, 50, "one after the other: $what");
}
in_turn('changes', 'update t set n = n + 1 where id = 2000 + %d');
in_turn('nothing for the target', 'insert into unpublished values (%d)');
same_content($pg, $target, ['t'], 'one commit after the other');

# The writers' commits wait for the pipeline, whose copies wait for commits to be seen.
my @writers = Pg2any::Load::start($pg, writers => 3, big => 300);
$pg->do(q{insert into account select g, 0, 'before' from generate_series(1000000, 1002000) g});
$pg->do('alter publication cdc_pub add table account, entry, word');
$pipeline->wait_copied([@Pg2any::Load::TABLES]);
Pg2any::Load::stop(@writers);
same_content($pg, $target, ['t', @Pg2any::Load::TABLES], 'tables that are copied meanwhile');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');
done_testing;

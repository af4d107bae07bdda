# A partitioned table that is published as its root: each row has the replica identity of the
# partition it is in, which may be another than the root's. The row that is meant is found, or
# nothing is written.
# needs: postgres, any target

use Pg2any::Test;

# Whether each has a primary key, and the replica identity of its root and of its partitions 1 to 4. Where that is
# "nothing", PostgreSQL takes inserts only.
my %tables = (
    key_default => { key => 1, root => 'default', leaves => [qw(default default default default)] },
    key_mixed   => { key => 1, root => 'default', leaves => [qw(default full index nothing)] },
    key_full    => { key => 1, root => 'full',    leaves => [qw(default full index nothing)] },
    key_index   => { key => 1, root => 'default', leaves => [qw(index index index index)] },
    bag_full    => { key => 0, root => 'full',    leaves => [qw(full full full full)] },
    bag_leaves  => { key => 0, root => 'default', leaves => [qw(full full full nothing)] },
);
my @tables = sort keys %tables;
my (@sql, %writable);
for my $t (@tables) {
    my ($key, $root, $leaves) = @{ $tables{$t} }{qw(key root leaves)};
    push @sql, "create table $t (id int not null, k int not null, code text not null, n int, v text"
        . ($key ? ', primary key (id, k)' : '') . ') partition by list (k)';
    push @sql, "alter table $t replica identity full" if $root eq 'full';
    for my $k (1 .. 4) {
        my $leaf = $leaves->[$k - 1];
        my $identity = $leaf eq 'index' ? "using index ${t}_${k}_u" : $leaf;
        push @sql, "create table ${t}_$k partition of $t for values in ($k)",
            "create unique index ${t}_${k}_u on ${t}_$k (code)",
            "alter table ${t}_$k replica identity $identity";
        push @{ $writable{$t} }, $k if $leaf ne 'nothing';
    }
}
my ($pg, $target, $pipeline) = new_pair(
    settings => { logical_decoding_work_mem => '64kB', max_prepared_transactions => 5 },
    sql => \@sql, publication => 'for all tables with (publish_via_partition_root = true)');
if ($pg->major >= 15) {
    $pipeline->stop;
    $pipeline->{args} = { capture => ['--two-phase'] };
    $pipeline->start;
    $pipeline->wait_streaming;
}

sub all_equal {
    my ($name, @which) = @_;
    $pipeline->wait_caught_up;
    same_content($pg, $target, [$_], "$_: $name") for @which ? @which : @tables;
    return;
}

# Values that PostgreSQL keeps out of line are not sent where they are not touched.
my $toast = q{(select string_agg(md5((i || '-' || k)::text || g::text), '') from generate_series(1, 200) g)};

sub insert {
    my ($t, $from, $to, $wide) = @_;
    my $v = $wide ? $toast : q{'v' || i};
    return "insert into $t select 10 * i + k, k, 'c' || k || '-' || i, nullif(i % 3, 0), $v from generate_series($from, $to) i, generate_series(1, 4) k";
}

# What an application does, in the partitions that take it.
sub changes {
    my ($t, $from, $to) = @_;
    my $rows = "id between 10 * $from and 10 * $to + 9";
    my $in = 'k in (' . join(',', @{ $writable{$t} }) . ')';
    my ($one, $two) = @{ $writable{$t} };
    return ("update $t set n = coalesce(n, 0) + 10 where $rows and $in",
        "update $t set code = code || 'x' where $rows and id % 2 = 0 and $in",
        "update $t set v = null where $rows and id % 4 = 1 and $in",
        "update $t set k = $two where $rows and k = $one and id % 5 = 0",
        "delete from $t where $rows and id % 4 = 3 and $in");
}

$pg->do(insert($_, 1, 20)) for @tables;
all_equal('inserts');
$pg->do(changes($_, 1, 20)) for @tables;
all_equal('changes');
$pg->do("update $_ set id = id + 10000, code = code || 'y' where id between 50 and 69 and k in (1, 2)") for @tables;
all_equal('what identifies rows changes, of the root and of the partition');
$pg->do('begin;' . join(';', map { insert($_, 30, 40, 1), changes($_, 30, 40), "update $_ set n = 0 where id > 350 and k = 1" } @tables) . ';commit');
all_equal('in one transaction, with values out of line');
$pg->do('begin;' . join(';', map { insert($_, 50, 90, 1), changes($_, 50, 90) } @tables) . ';commit');
all_equal('in a transaction that is streamed');
wait_for(sub { $pg->value('select stream_txns from pg_stat_replication_slots') }, 30, 'the server to say that it has streamed one');
$pg->do('begin;' . join(';', map { insert($_, 600, 610, 1), changes($_, 600, 610) } @tables) . q{;prepare transaction 'p'});
$pg->do(q{commit prepared 'p'});
all_equal('in a transaction that is prepared');
ok($pipeline->running, 'and nothing stopped');

# Rows that are equal, where the partitions are FULL: one of them is meant, whichever.
for my $t (qw(bag_full bag_leaves)) {
    $pg->do("drop index ${t}_1_u", "insert into $t values (9, 1, 'same', 1, ''), (9, 1, 'same', 1, 'other'), (9, 1, 'same', 1, '')",
        "delete from $t where ctid = (select max(ctid) from ${t}_1 where code = 'same' and v = '') and k = 1",
        "update $t set v = 'one' where code = 'same' and v = '' and k = 1");
}
all_equal('of rows that are equal in what was sent one is meant', qw(bag_full bag_leaves));
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

# Where the identity of the partition did not change and the root's key did, no message says which
# row it was.
$pg->do('update key_index set id = 5000 where id = 81 and k = 1');
$pipeline->start;
is($pipeline->wait_exit('apply', 60), 100, 'the root\'s key changes, and the partition does not say what it was: a stop');
like($pipeline->log_text('apply'), qr/its partition, with a replica identity of its own, does not say/, '... that says why');


# What is not known of partitions of then is not taken from those of today.
sub equal_or_stop {
    my ($name, $before, $changes, $after, $settle) = @_;
    my ($there, $copy, $late) = new_pair(sql => $before, publication => 'for all tables with (publish_via_partition_root = true)');
    $late->stop;
    $there->do(@$changes, $after);
    $late->start;
    if (eval { $late->wait_caught_up; 1 }) {
        $there->do($settle) if $settle;
        same_content($there, $copy, ['t'], "$name: equal");
    } else {
        is($late->wait_exit('apply', 60), 100, "$name: a stop");
    }
    $late->kill_all;
    return;
}

my @root = ('create table t (id int not null, k int, code text, n int) partition by list (k)',
    'create table t_1 partition of t for values in (null, 1)', 'create table t_2 partition of t for values in (2)');
my @index_2 = ('create unique index t_2_u on t_2 (id)', 'alter table t_2 replica identity using index t_2_u');
my @index_1 = ('alter table t_1 alter code set not null', 'create unique index t_1_u on t_1 (code)',
    'alter table t_1 replica identity using index t_1_u');
my @two = ("insert into t values (1, 1, 'a', 1), (2, 2, 'b', 2)", "update t set code = 'a' where id = 2");
equal_or_stop('a partition that is NOTHING now', [@root, @index_1, @index_2], \@two, 'alter table t_2 replica identity nothing');
equal_or_stop('a partition that is detached now', [@root, @index_1, @index_2], \@two, 'alter table t detach partition t_2',
    'alter table t attach partition t_2 for values in (2)');
equal_or_stop('others are FULL', [@root, 'alter table t_1 replica identity full', @index_2],
    ["insert into t values (1, null, null, null), (1, 2, 'b', 2)", 'delete from t where k = 2'], 'alter table t_2 replica identity nothing');
equal_or_stop('a primary key that was made later',
    ['create table t (id int not null, k int not null, code text not null) partition by list (k)',
        'create table t_1 partition of t for values in (1)', 'create unique index t_1_u on t_1 (code)',
        'alter table t_1 replica identity using index t_1_u'],
    ["insert into t values (1, 1, 'a'), (2, 1, 'b')", "update t set id = 1 where code = 'b'", "update t set id = 2 where code = 'b'"],
    'alter table t add primary key (id, k)');

done_testing;

# A transaction larger than any buffer, with a savepoint rolled back in the middle and another session
# committing in between: the content is right, and all processes together have less than 100 MB, however large it is.
# PG2ANY_ROWS says how many rows (200,000; the largest that was tried is 5,000,000).
# needs: postgres, any target

use List::Util qw(sum);
use Pg2any::Test;

my $rows = $ENV{PG2ANY_ROWS} // 200_000;
my $limit_kb = 100 * 1024;
my $patience = 120 + $rows / 5_000;

my ($pg, $target, $pipeline) = new_pair(
    settings => { max_wal_size => '4GB', logical_decoding_work_mem => '4MB' },
    sql => [
        'create table big (id bigint primary key, word text, price numeric(12,2), at timestamptz, flag bool)',
        'create table other (id int primary key, n int not null)',
    ],
);

my $third = int($rows / 3);
my $insert = sub {
    my ($from, $to) = @_;
    return qq{insert into big select g, md5(g::text) || repeat('x', 60), g / 100.0,
        timestamptz '2026-01-01' + g * interval '1 second', g % 2 = 0 from generate_series($from, $to) g};
};

$pg->do('insert into other values (1, 0)');
my $big = $pg->connect(AutoCommit => 0);
my $between = sub { $pg->do('update other set n = n + 1 where id = 1') };
$big->do($insert->(1, $third));
$between->();
$big->do('savepoint half');
$big->do($insert->($third + 1, 2 * $third));
$big->do('update big set word = null where id % 10 = 0');
$between->();
$big->do('rollback to savepoint half');
$big->do($insert->(2 * $third + 1, $rows));
$between->();
$big->do('update big set price = price + 1 where id % 100 = 0');
$big->commit;
$between->();

$pipeline->wait_caught_up($patience);
cmp_ok($pg->value("select stream_count from pg_stat_replication_slots where slot_name = 'cdc_slot'"), '>', 0,
    'the transaction was streamed');
my %peak_kb = map { $_->name => $_->peak_memory_kb } $pipeline->processes;
cmp_ok(sum(values %peak_kb), '<', $limit_kb, 'all processes together stay small: ' . join ', ', map { "$_ $peak_kb{$_} kB" } sort keys %peak_kb);
same_content($pg, $target, ['big'], "$rows rows less the rolled-back third, value by value");
is($target->value('select n from other where id = 1'), 4, 'the other session’s commits are there');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');
$big->disconnect;

done_testing;

# The whole pipeline once: what is inserted, updated and deleted at the source is so at the target.
# needs: postgres, any target

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(sql => [
    'create table item (id int primary key, name text, price numeric(10,2), changed timestamptz)',
    'create table empty (id int primary key)',
]);

my %odd = $target->odd_values;
$pg->do(
    q{insert into item select g, 'item ' || g, g / 100.0, '2024-02-29 12:00+01' from generate_series(1, 100) g},
    qq{insert into item values (101, null, null, null), (102, '', -0.01, '$odd{latest}'), (103, 'é😀', 0, 'epoch')},
);
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(item empty)], 'inserts');

$pg->do(
    q{update item set name = upper(name) where id % 3 = 0},
    q{update item set id = id + 1000 where id <= 10},
    q{delete from item where id between 50 and 60},
);
$pipeline->wait_caught_up;
same_content($pg, $target, ['item'], 'updates, key changes and deletes');

$pg->do('truncate item', q{insert into item values (1, 'after', 1, now())});
$pipeline->wait_caught_up;
same_content($pg, $target, ['item'], 'truncate');

my $checkpoint = $target->checkpoint;
wait_for(sub { $pg->slot('cdc_slot')->{confirmed_flush_lsn} eq (($target->checkpoint // {})->{remote_lsn} // '') },
    30, 'the slot to confirm what the target holds');
cmp_ok(lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}), '>=',
    lsn_number($checkpoint->{remote_lsn}), 'the slot confirms what the target holds');

is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

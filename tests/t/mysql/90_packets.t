# max_allowed_packet: batches stay below it, a row that is larger is a clear error, and a transaction of
# any size passes.
# needs: one postgres, mysql target, time

use Pg2any::MySQL;
use Pg2any::Test;

my $all_0  = {capture => 0, assemble => 0, apply => 0};
my $server = Pg2any::MySQL->new(fast => 1, settings => {max_allowed_packet => '1M'});
my ($pg, $target, $pipeline) = new_pair(
    target => new_target(kind => 'mysql', server => $server),
    sql    => [
        'create table t (id int primary key, v text, b bytea)',
        'alter table t alter v set storage external, alter b set storage external'
    ],
);

# 900 kB a row in one packet, 300 MB in all, and rows of every size on the way to the limit.
$pg->do(q{insert into t select g, repeat('x', 900000), null from generate_series(1, 100) g});
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'a hundred rows, each nearly a packet');
$pg->do(
    'truncate t',
    q{insert into t select g, repeat('é', 10 * g), decode(repeat('005c270d0a1a', g), 'hex') from generate_series(1, 5000) g}
);
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'rows of all sizes');
$pg->do(
    q{update t set v = v || 'x' where id % 3 = 0},
    q{update t set b = b || '\x00' where id % 5 = 0},
    'update t set id = id + 10000 where id % 7 = 0',
    'delete from t where id % 11 = 0',
    q{update t set v = repeat(E'\\\\', 500000), b = null where id = 1},
    q{update t set v = null, b = decode(repeat('5c', 1000000), 'hex') where id = 2}
);
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'updates, key changes and deletes of them');

$pg->do(
    'begin; insert into t values (20000, null, null); insert into t values (20001, repeat(\'s3cret\', 300000), null); insert into t values (20002, null, null); commit'
);
is($pipeline->wait_exit('apply', 60), 100, 'a row larger than max_allowed_packet: exit 100');
my ($error) = grep {/level=error/} split /\n/, $pipeline->log_text('apply');
like($error, qr/insert into public\.t .*max_allowed_packet/, 'and it says so');
unlike($error, qr/s3cret/, 'without the value');
$pipeline->wait_all;
is($target->value('select count(*) from t where id >= 20000'),
    0, 'nothing of its transaction is there');
$server->do('set global max_allowed_packet = 16777216');
$pipeline->start;
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'with a larger max_allowed_packet it goes on');

$pg->do('update t set v = repeat(\'y\', 1800000) where id = 3');
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'an update of that size');
is_deeply($pipeline->stop, $all_0, 'all leave with 0');

done_testing;

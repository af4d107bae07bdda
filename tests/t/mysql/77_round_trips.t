# How often an applier waits for MySQL: three times for a target transaction with rows of one table and kind. They are
# updated by one statement where the server takes arrays, and there is one before them, which begins, and one behind,
# which commits. The order of the source takes one more, because it goes on behind a statement that failed.
# needs: one postgres, mysql target

use Pg2any::MySQL;
use Pg2any::MySQLProxy;
use Pg2any::Test;

my $TRANSACTIONS = 200;
my $slot = 'cdc_slot';
my $server = Pg2any::MySQL->new(fast => 1);
my $proxy = Pg2any::MySQLProxy->new($server);
my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, n int)', 'create publication cdc_pub for all tables');
$pg->value('select pg_create_logical_replication_slot(?, ?)', $slot, 'pgoutput');
$pg->do('insert into t select g, 0 from generate_series(1, 3) g',
    "do \$\$ begin for i in 1..$TRANSACTIONS loop update t set n = n + 1; commit; end loop; end \$\$");
my $file = fresh_name('recording.frames');
my $recording = Pg2any::Pipeline->new(pg => $pg, stages => [qw(capture assemble)], slot => $slot, output => $file,
    args => { capture => ['--until-lsn', $pg->current_lsn] });
is_deeply($recording->start->wait_all(60), { capture => 0, assemble => 0 }, 'recorded');

my %waits;
for my $order (qw(strict planned)) {
    my $target = new_target(kind => 'mysql', server => $server, origin => $slot, database => $order);
    my $before = $proxy->requests;
    my $pipeline = Pg2any::Pipeline->new(stages => ['apply'], input => $file, target => $target,
        args => { apply => ['--dest', $proxy->uri(db => $order), '--order', $order, '--group-transactions', 1] });
    is($pipeline->start->wait_exit('apply', 60), '0', "$order: applied") or diag($pipeline->log_text('apply'));
    $waits{$order} = $proxy->requests - $before;
    same_content($pg, $target, ['t'], "$order: all of it");
}
# What an applier asks at its start, and for a table, is counted with them.
my $arrays = $server->dbh->selectrow_array('select version()') =~ /MariaDB/;
my $few = $arrays ? 3 : 5;
cmp_ok($waits{planned}, '<', ($few + 0.6) * $TRANSACTIONS, "$waits{planned} waits for $TRANSACTIONS transactions");
cmp_ok($waits{strict}, '<', ($few + 1.6) * $TRANSACTIONS, "$waits{strict} in the order of the source");
done_testing;

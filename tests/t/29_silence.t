# A connection to the source that is dead and does not say so: nothing comes, not even answers to
# status updates. It is given up some seconds after the server's wal_sender_timeout.
# needs: one postgres, time

use Pg2any::PostgresProxy;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { wal_sender_timeout => '1s' });
$pg->do('create table t (id int primary key)', 'create publication cdc_pub for all tables');
my $proxy = Pg2any::PostgresProxy->new($pg);
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target,
    env => { CDC_SOURCE_CONNECTION_STRING => $proxy->uri })->start;
$pipeline->wait_streaming;
$pg->do('insert into t values (1)');
$pipeline->wait_caught_up;

# An idle server answers, however long it has nothing to send.
let_pass(12);
unlike($pipeline->log_text('capture'), qr/the server has not answered/, 'an idle server is not silent');

$proxy->freeze;
$pg->do('insert into t values (2)');
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'it has connected again and goes on');
like($pipeline->log_text('capture'), qr/connecting again.*the server has not answered for \d+ s/,
    'and says why');
# The server may not notice for long that nobody reads there any more: its own clock went back, or it has no timeout.
$pg->do("alter system set wal_sender_timeout = 0", 'select pg_reload_conf()');
$proxy->freeze;
$pg->do('insert into t values (3)');
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'a connection of ours that the server still keeps is ended');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'stopped');

done_testing;

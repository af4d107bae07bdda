# Several servers behind one connection string, one of them a standby that is behind: what it shows of a table is
# older than the rows, and counts for nothing. Questions go to the server that streams; where a proxy leads them to the
# standby nevertheless, they wait until that has come as far.
# needs: postgres

use Pg2any::Network;
use Pg2any::Test;

my $primary = Pg2any::Postgres->new;
$primary->do('create table t (id int primary key, a int)', 'create publication cdc_pub for all tables');

# The standby begins as a copy of the files, and commits nothing for an hour.
my $standby = Pg2any::Postgres->new(name => 'standby', start => 0);
$primary->stop;
my ($from, $to) = ($primary->data_dir, $standby->data_dir);
system('rm', '-rf', $to) == 0 && system('cp', '-a', $from, $to) == 0 or die "copying the data directory failed\n";
$primary->start;
$standby->configure(primary_conninfo => 'host=127.0.0.1 port=' . $primary->port . ' user=postgres dbname=postgres',
    recovery_min_apply_delay => '1h');
open my $fh, '>', "$to/standby.signal" or die "standby.signal: $!\n";
close $fh or die "standby.signal: $!\n";
chown((stat $to)[4, 5], "$to/standby.signal") or die "chown: $!\n";
$standby->{port} = Pg2any::Postgres::free_port();

# The standby is the first to be tried, and not there yet.
my $way = Pg2any::Network->new($primary->port);
my $both = $way->uri($primary->uri) =~ s/127\.0\.0\.1:/'127.0.0.1:' . $standby->port . ',127.0.0.1:'/er;
my $target = new_target(kind => 'sqlite');
my $pipeline = Pg2any::Pipeline->new(pg => $primary, target => $target,
    env => { CDC_SOURCE_CONNECTION_STRING => $both });
$pipeline->start->wait_streaming;
$primary->do('insert into t values (1, 1)');
$pipeline->wait_caught_up;
$standby->start;

sub asks {
    my ($server) = @_;
    return $server->value(q{select min(pid) from pg_stat_activity
        where backend_type = 'client backend' and application_name = 'pg-capture'}) // 0;
}

my $asks = asks($primary);
$primary->do("select pg_terminate_backend($asks)");
wait_for(sub { asks($standby) || asks($primary) != $asks && asks($primary) }, 30, 'another connection');
ok(!asks($standby), 'a lost connection for questions is made again to the server that streams');
$primary->do('alter table t drop column a', 'alter table t add column a int', 'insert into t values (2, 2)');
$pipeline->wait_caught_up;
same_content($primary, $target, ['t'], 'a change of the table is followed');

$way->order('to ' . $standby->port);
$primary->do('select pg_terminate_backend(' . asks($primary) . ')');
wait_for(sub { asks($standby) }, 30, 'the proxy to lead to the standby');
$primary->do('alter table t add column b int', 'insert into t values (3, 3, 3)');
wait_for(sub { $pipeline->log_text('capture') =~ /the server does not show it yet/ }, 30,
    'pg-capture to wait for the standby');
is(scalar(() = $target->rows('select id from t')), 2, 'nothing is described by a standby that is behind');
$standby->configure(recovery_min_apply_delay => 0);
$standby->reload;
$pipeline->wait_caught_up;
same_content($primary, $target, ['t'], 'once it has come as far, the change is followed');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'stopped');

done_testing;

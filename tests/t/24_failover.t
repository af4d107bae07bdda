# A failover of the source with a slot that the standby keeps (PostgreSQL 17): the pipeline goes on with the
# new primary, nothing is lost and nothing doubled; and no copy of the slot gets ahead of the standby.
# needs: postgres

use Pg2any::Front;
use Pg2any::Test;

my $primary = Pg2any::Postgres->new;
plan skip_all => 'failover slots are as old as PostgreSQL 17' if $primary->major < 17;
$primary->do('create table t (id int primary key, v text)', 'create publication cdc_pub for all tables',
    q{select pg_create_physical_replication_slot('standby', true)});
$primary->configure(synchronized_standby_slots => 'standby');

# The standby begins as a copy of the files.
my $standby = Pg2any::Postgres->new(name => 'standby', start => 0);
$primary->stop;
my ($from, $to) = ($primary->data_dir, $standby->data_dir);
system('rm', '-rf', $to) == 0 && system('cp', '-a', $from, $to) == 0 or die "copying the data directory failed\n";
$primary->start;
$standby->configure(
    primary_conninfo => 'host=127.0.0.1 port=' . $primary->port . ' user=postgres dbname=postgres',
    primary_slot_name => 'standby', hot_standby_feedback => 'on', sync_replication_slots => 'on', synchronized_standby_slots => '');
open my $fh, '>', "$to/standby.signal" or die "standby.signal: $!\n";
close $fh or die "standby.signal: $!\n";
chown((stat $to)[4, 5], "$to/standby.signal") or die "chown: $!\n";
$standby->start;

my $target = new_target(kind => 'sqlite');
my $front = Pg2any::Front->new(pg => $primary, targets => [$target], env => {
    CDC_FAILOVER => 'on',
    CDC_SOURCE_CONNECTION_STRING => 'postgresql://postgres@127.0.0.1:' . $primary->port . ',127.0.0.1:' . $standby->port
        . '/postgres?target_session_attrs=primary' });
$front->start;
$front->wait_all_ready;
ok($primary->value(q{select failover from pg_replication_slots where slot_name = 'cdc_slot'}), 'CDC_FAILOVER: the slot is one that standbys keep');
$primary->do(q{insert into t select g, 'before' from generate_series(1, 500) g}, q{update t set v = 'changed' where id % 7 = 0});
$front->wait_caught_up;
my ($status, undef, $err) = run_tool('pg-capture', args => ['--source', $primary->uri, '--slot-copy', '--until-lsn', 'current']);
is($status, 100, 'no copy of a slot that waits for standbys');
like($err, qr/cdc_slot waits for synchronized_standby_slots, which a copy would not: .*pg2any resume --at-once/, 'why');
my $confirmed = $primary->current_lsn;
wait_for(sub {
    $primary->do('select pg_log_standby_snapshot()');
    my $slot = $standby->slot('cdc_slot') or return 0;
    return $slot->{synced} && !$slot->{temporary};
}, 120, 'the standby to have the slot');
pass('the standby has the slot');
$primary->do(q{insert into t select g, 'last' from generate_series(501, 600) g});
$front->wait_caught_up;
wait_for(sub { lsn_number($standby->value('select pg_last_wal_replay_lsn()')) >= lsn_number($primary->current_lsn) }, 30, 'the standby to have all');

$primary->kill9;
ok($standby->value('select pg_promote()'), 'the primary dies, the standby is promoted');
$front->{pg} = $standby;
$standby->do(q{insert into t select g, 'after' from generate_series(601, 700) g}, 'delete from t where id between 490 and 510');
$front->wait_caught_up;
same_content($standby, $target, ['t'], 'the pipeline goes on with the new primary');
is($target->checkpoint->{timeline}, 2, 'on the new timeline');
is($front->stop, 0, 'asked to stop, it leaves with 0');

done_testing;

# A server that goes on after a recovery is on another timeline. What the target has of the old one up
# to the branch is the same history; what it has beyond is not.
# needs: postgres

use Pg2any::Test;
use DBI;

my ($pg, $target, $pipeline) = new_pair(sql => ['create table t (id int primary key)']);

# Recovery without an archive ends where the WAL ends, and begins a new timeline.
sub recover {
    my ($server) = @_;
    $server->configure(restore_command => 'false', recovery_target_timeline => 'current');
    open my $fh, '>', $server->data_dir . '/recovery.signal' or die "recovery.signal: $!";
    close $fh or die "recovery.signal: $!";
    $server->start;
    wait_for(sub { !$server->value('select pg_is_in_recovery()') }, 30, 'the end of recovery');
    return;
}

$pg->do('insert into t select generate_series(1, 100)');
$pipeline->wait_caught_up;
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'stopped');
$pg->stop;
recover($pg);
is($pg->value('select timeline_id from pg_control_checkpoint()'), 2, 'the server is on timeline 2');
$pg->do('insert into t select generate_series(101, 200)');
$pipeline->start;
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'a new timeline that has all that the target has is followed');
is($target->checkpoint->{timeline}, 2, 'the checkpoint is of the new timeline');

# The same data directory, but the target says that it has more of timeline 1 than timeline 2 began with.
$pipeline->stop;
my $checkpoint = $target->checkpoint->{remote_lsn};
my $db = DBI->connect('dbi:SQLite:dbname=' . $target->file, '', '', { RaiseError => 1 });
$db->do('update pg2any_checkpoint set timeline = 1');
$db->disconnect;
$pipeline->start;
is($pipeline->wait_exit('apply', 30), 100, 'a target that has more of the old timeline stops');
like($pipeline->log_text('apply'), qr/failover lost transactions.*rebuild the target/, 'and says why');
is($target->checkpoint->{remote_lsn}, $checkpoint, 'nothing was applied');
$pipeline->wait_all(30);

done_testing;

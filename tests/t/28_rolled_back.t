# A source that went back in time: restored from a snapshot of its disk, the same cluster on the same
# timeline, it gives the LSNs that the target has applied to other transactions. What the target
# would skip as applied is then none of what it applied, which its commit time tells.
# needs: postgres

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(sql => ['create table t (id int primary key, at text)']);
my $copies = 0;

sub copy_of {
    my ($from, $to) = @_;
    system('cp', '-a', $from, $to) == 0 or die "cp: $?\n";
    return $to;
}

# The server's disk as it is now; the server goes on.
sub snapshot {
    $pg->stop;
    my $copy = copy_of($pg->data_dir, $pg->data_dir . '.copy' . ++$copies);
    $pg->start;
    return $copy;
}

sub restore {
    my ($copy) = @_;
    $pg->stop('immediate');
    system('rm', '-r', $pg->data_dir) == 0 or die "rm: $?\n";
    copy_of($copy, $pg->data_dir);
    $pg->start;
    return;
}

# Several transactions, so that groups have more than one.
sub add_rows {
    my ($at, @ids) = @_;
    $pg->do("insert into t values ($_, '$at')") for @ids;
    return;
}

# Until the WAL has passed what the target has.
sub outgrow {
    my ($at, $id) = @_;
    my $end = lsn_number($target->checkpoint->{remote_lsn});
    add_rows($at, $id++) while lsn_number($pg->current_lsn) <= $end + 1000;
    return;
}

sub stops {
    my ($name) = @_;
    my $before = join ' ', map {"@$_"} $target->rows('select * from t order by id');
    is($pipeline->wait_exit('apply', 40), 100, "$name: apply leaves with 100");
    like($pipeline->log_text('apply'),
        qr/would count as applied, because the target has applied up to.*rebuild the target/,
        "$name: it says why and what to do");
    $pipeline->wait_all(30);
    is(join(' ', map {"@$_"} $target->rows('select * from t order by id')), $before,
        "$name: nothing of the other history is applied");
    return;
}

add_rows('common', 1 .. 3);
$pipeline->wait_caught_up;
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'stopped');
my $snapshot = snapshot();

# What comes twice from a server that did not go back is skipped as ever: all of it is confirmed
# nowhere but at the target.
{
    my $again = Pg2any::Pipeline->new(pg => $pg, target => $target, ack => 0)->start;
    $again->wait_streaming;
    add_rows('lost', 10 .. 15);
    $again->wait_caught_up;
    $again->stop;
    $again->start;
    $again->wait_streaming;
    add_rows('lost', 16);
    $again->wait_caught_up;
    same_content($pg, $target, ['t'], 'a source that did not go back');
    wait_for(sub { ($again->metric('apply', 'pg2any_apply_transactions_skipped_total') // 0) >= 6 }, 10,
        'the skipped ones to be counted');
    $again->stop;
}

restore($snapshot);
outgrow('other', 100);
$pipeline->start;
stops('while the pipeline was down');
$pipeline->start;
stops('and starting again does not hide it');

# While the pipeline runs: the capture connects again and sees nothing amiss.
$target->drop;
$pg->drop_slot('cdc_slot');
$pg->do('truncate t');
$pipeline->start;
$pipeline->wait_streaming;
add_rows('common', 1 .. 3);
$pipeline->wait_caught_up;
$pipeline->stop;
$snapshot = snapshot();
$pipeline->start;
$pipeline->wait_streaming;
add_rows('lost', 10 .. 15);
$pipeline->wait_caught_up;
$pipeline->signal(capture => 'STOP');
restore($snapshot);
outgrow('other', 100);
$pipeline->signal(capture => 'CONT');
stops('while the pipeline ran');

# The slots are newer than the WAL: what is written until it is that long would never come.
{
    $target->drop;
    $pg->drop_slot('cdc_slot');
    $pipeline->start;
    $pipeline->wait_streaming;
    $pipeline->stop;
    my $older = snapshot();
    $pg->do(q{insert into t select g, repeat('x', 1000) from generate_series(10001, 12000) g});
    # Servers before 17 keep what is confirmed only where somebody moves the slot like this.
    $pg->advance_slot('cdc_slot', $pg->current_lsn);
    $pg->do('checkpoint');
    $pg->stop;
    system('rm', '-r', "$older/pg_replslot") == 0 or die "rm: $?\n";
    copy_of($pg->data_dir . '/pg_replslot', "$older/pg_replslot");
    restore($older);
    my ($status, undef, $log) = run_tool('pg-capture', args => ['--source', $pg->uri]);
    is($status, 100, 'a slot beyond the WAL: exit 100');
    like($log, qr/cdc_slot is confirmed up to .*the server's WAL ends at .*rebuild the target/,
        'and it says why and what to do');
}

done_testing;

# A SQLite database, or its write-ahead log, that is moved, deleted or replaced under a running applier. What it
# writes from then on nobody can read, so it must not acknowledge it.
# needs: one postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, v text)', 'create publication cdc_pub for all tables');
my $n = 0;

# A pipeline of its own, with a row that has arrived.
sub fresh_pair {
    $pg->do('truncate t');
    my $slot = 'slot_' . ++$n;
    my $target = new_target(kind => 'sqlite', file => fresh_name('moved.db'), origin => $slot);
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot);
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into t values (1, 'before')});
    $pipeline->wait_caught_up;
    $target->disconnect;
    return ($target, $pipeline, $slot);
}

# A row that the applier must not acknowledge, for all its files are not what they were.
sub stops {
    my ($name, $pipeline, $slot, $status, $message) = @_;
    $pg->do(q{insert into t values (2, 'after')});
    my $end = lsn_number($pg->current_lsn);
    is($pipeline->wait_exit('apply', 30), $status, "$name: it stops with $status");
    $pipeline->wait_all;
    like($pipeline->log_text('apply'), $message, "$name: and says why");
    cmp_ok(lsn_number($pg->slot($slot)->{confirmed_flush_lsn}), '<', $end, "$name: the row is not confirmed");
    return;
}

sub goes_on {
    my ($name, $target, $pipeline) = @_;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], "$name: nothing is lost");
    $pipeline->stop;
    return;
}

sub files { return grep { -e } map { "$_[0]$_" } '', '-wal', '-shm' }

sub move {
    my ($from, $to) = @_;
    rename $from, $to or die "$from: $!\n";
    return;
}

{
    my ($target, $pipeline, $slot) = fresh_pair();
    my $file = $target->file;
    my @files = files($file);
    is(@files, 3, 'the database, its log and its index are there');
    move($_, "$_.gone") for @files;
    stops('moved', $pipeline, $slot, 100, qr/\Q$file\E was moved or deleted while it was open/);
    ok(!-e $file, 'moved: no other is made in its place');
    move("$_.gone", $_) for @files;
    goes_on('moved and put back', $target, $pipeline);
}

{
    my ($target, $pipeline, $slot) = fresh_pair();
    unlink files($target->file);
    stops('deleted', $pipeline, $slot, 100, qr/was moved or deleted while it was open/);
}

# A copy from before takes its place: its checkpoint says what comes again.
{
    my ($target, $pipeline, $slot) = fresh_pair();
    my ($file, $copy) = ($target->file, fresh_name('copy.db'));
    $target->dbh->do(qq{vacuum into '$copy'});
    $target->disconnect;
    unlink map { "$file$_" } '-wal', '-shm';
    move($copy, $file);
    stops('replaced', $pipeline, $slot, 100, qr/another file has taken the place of \Q$file\E/);
    goes_on('replaced by a copy that has all', $target, $pipeline);
}

# What is in a log that has no name any more gets into the database when the applier leaves.
for my $suffixes (['-wal'], ['-shm'], ['-wal', '-shm']) {
    my ($target, $pipeline, $slot) = fresh_pair();
    my @files = map { $target->file . $_ } @$suffixes;
    unlink($_) or die "$_: $!\n" for @files;
    stops("@$suffixes deleted", $pipeline, $slot, 111, qr/\Q$files[0]\E was moved or deleted while it was open/);
    goes_on("@$suffixes deleted", $target, $pipeline);
}

done_testing;

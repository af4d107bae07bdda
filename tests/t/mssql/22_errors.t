# Errors of the server: those after which the group is repeated, those that end the program for a
# while, those that end it for good with the row's transaction. The peer gives them at a request of the
# test's choice, before or after it has executed it.
# needs: one postgres, mssql target

use Pg2any::MSSQL;
use Pg2any::Test;

my $server = Pg2any::MSSQL->new(fast => 1);
my ($pg, $target, $pipeline) = new_pair(
    target => new_target(kind => 'mssql', server => $server),
    sql => [map { "create table $_ (id int primary key, n int, v text)" } qw(first second)],
);
my @tables = qw(first second);
$pg->do(map { "insert into $_ select g, 0, 'x' from generate_series(1, 500) g" } @tables);
$pipeline->wait_caught_up;
my $pid = $pipeline->pid('apply');
my @work = (
    'begin; update first set n = n + 1; insert into second select max(id) + 1, 0, null from second; commit',
    'delete from first where id = (select max(id) from first)',
    'insert into first select max(id) + 1, 0, null from first'
);

sub retries { return scalar(() = $pipeline->log_text('apply') =~ /the group is repeated/g) }

# ---- repeated ----

for my $error ([1205, 13], [1222, 16], [3960, 16], [40_197, 20]) {
    my ($number, $severity) = @$error;
    for my $place ('^BEGIN TRANSACTION$', 'UPDLOCK', 'UPDATE t SET', 'DELETE t FROM', 'INSERT INTO \[dbo\]\.\[second\]', 'UPDATE \[dbo\]\.pg2any_checkpoint', '^COMMIT TRANSACTION$') {
        my $before = retries();
        $server->fault(match => $place, action => $number == 1222 ? 'error_after' : 'error', number => $number, severity => $severity);
        $pg->do(@work);
        $pipeline->wait_caught_up;
        is($server->faults_left, 0, "error $number at $place: it has happened");
        # After a COMMIT the target is there before the applier has heard of the error.
        ok(wait_for(sub { retries() > $before }, 30, 'the repetition'), 'the group is repeated');
        same_content($pg, $target, \@tables, 'and applied once');
    }
}
is($pipeline->pid('apply'), $pid, 'all that in the same process');

# ---- temporary: the program leaves with 111 ----

for my $error ([9002, 17], [1105, 17], [8645, 17], [701, 17], [3906, 16]) {
    my ($number, $severity) = @$error;
    $server->fault(match => 'UPDATE t SET', action => 'error', number => $number, severity => $severity);
    $pg->do(@work);
    is($pipeline->wait_exit('apply', 60), 111, "error $number: 111");
    like($pipeline->log_text('apply'), qr/level=error.*error $number/, 'and it says so');
    $pipeline->wait_all;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, 'started again it applies everything once');
}

# ---- permanent: 100, with the transaction ----

for my $error ([229, 14], [8623, 16], [102, 15]) {
    my ($number, $severity) = @$error;
    my $xid = $pg->value('select txid_current()') + 1;
    # In the run, and again row by row.
    $server->fault(match => 'UPDATE t SET', action => 'error', number => $number, severity => $severity, times => 3);
    $pg->do('update first set n = n + 1');
    is($pipeline->wait_exit('apply', 60), 100, "error $number: 100");
    like($pipeline->log_text('apply'), qr/level=error.*update of public\.first \(key id\), transaction $xid committed at [0-9A-F]+\/[0-9A-F]+.*error $number/,
        'with number, table, transaction and LSN');
    $pipeline->wait_all;
    $server->clear_faults;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, 'mended and started again it applies everything once');
}

# ---- the row that it is ----

{
    # Of a thousand rows one does not fit: those of transactions before it go in, and the message names its own.
    $target->dbh->do('alter table second alter column v nvarchar(5)');
    $pg->do(q{insert into second select g, 0, 'fits' from generate_series(2000, 2500) g});
    my $xid = $pg->value('select txid_current()') + 1;
    $pg->do(q{insert into second select g, 0, case g when 2777 then 'too long: s3cret' else 'fits' end from generate_series(2600, 2900) g});
    is($pipeline->wait_exit('apply', 60), 100, 'a value that is too long: 100');
    my ($error) = reverse grep { /level=error/ } split /\n/, $pipeline->log_text('apply');
    like($error, qr/insert into public\.second.*transaction $xid .*error 2628/, 'its transaction is named');
    unlike($pipeline->log_text('apply'), qr/s3cret/, 'its value is not');
    $pipeline->wait_all;
    is($target->value('select count(*) from second where id between 2000 and 2900'), 501, 'the transaction before it is in, nothing of its own');
    $target->dbh->do('alter table second alter column v nvarchar(max)');
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, 'mended and started again it goes on');
}
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

done_testing;

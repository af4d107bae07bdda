# How many statements SQL Server gets: of the mix of six tables that tests/bench/bench loads, and of tables whose keys are
# text or bytes, a tenth at most of those that the source's order takes. Keys that are one there, because they differ in what
# it takes for padding, keep their order: the end is the same, and the error where the source's order has one.
# needs: one postgres, mssql target

use Pg2any::Test;
use Pg2any::Bench::Workloads qw(workload workload_schema workload_begin workload_tables);

my $slot = 'cdc_slot';
my $pg = Pg2any::Postgres->new;
my %keyed = (word => 'text', fixed => 'char(20)', bytes => 'bytea', pair => 'varchar(20)');
$pg->do(workload_schema(), map({ my $part = $_ eq 'pair' ? ', part' : '';
    "create table $_ (k $keyed{$_}, part int default 1, v int, primary key (k$part))" } sort keys %keyed),
    'create publication cdc_pub for all tables');
$pg->value('select pg_create_logical_replication_slot(?, ?)', $slot, 'pgoutput');
my %target = map { $_ => new_target(origin => $slot) } qw(strict planned);

sub record {
    my $file = fresh_name('recording.frames');
    my $recording = Pg2any::Pipeline->new(pg => $pg, stages => [qw(capture assemble)], slot => $slot, output => $file,
        args => { capture => ['--until-lsn', $pg->current_lsn] });
    is_deeply($recording->start->wait_all(60), { capture => 0, assemble => 0 }, 'recorded');
    return $file;
}

# How it ended, and the statements that it took.
sub apply {
    my ($file, $order) = @_;
    my $server = $target{$order}->server;
    my $before = () = $server->statements;
    my $pipeline = Pg2any::Pipeline->new(target => $target{$order}, stages => ['apply'], input => $file,
        args => { apply => ['--order', $order] });
    my $status = $pipeline->start->wait_exit('apply', 120);
    my ($reason) = $pipeline->log_text('apply') =~ /level=error msg="(.*)" kind=/;
    my ($unplanned) = Pg2any::Postgres::read_file($pipeline->stats_file('apply')) =~ /^pg2any_apply_unplanned_total (\d+)/m;
    return { status => $status, reason => $reason, unplanned => $unplanned, statements => scalar(() = $server->statements) - $before };
}

# Both targets have all that the source has.
sub applied {
    my ($what, $least) = @_;
    my $file = record();
    my %end = map { $_ => apply($file, $_) } qw(strict planned);
    is($end{$_}{status}, '0', "$what, $_") or diag($end{$_}{reason}) for sort keys %end;
    is($end{planned}{unplanned}, 0, "$what: the plan did not fail");
    my ($strict, $planned) = map { $end{$_}{statements} } qw(strict planned);
    cmp_ok($planned * $least, '<=', $strict, "$what: $planned statements planned, $strict in the source's order");
    $pg->advance_slot($slot, $target{strict}->checkpoint->{remote_lsn});
    return;
}

$pg->do(workload_begin(), map { "insert into $_ (k, v) values ('-1', 0)" } sort keys %keyed);
applied('the tables', 0);
$pg->do(workload('mix')->{load}->(2000));
applied('the mix', 10);
$pg->do('do $$ begin for i in 1..200 loop ' . join(' ', map { my $key = $_ eq 'bytes' ? sub { "convert_to('key ' || $_[0], 'UTF8')" }
    : sub { "'key ' || $_[0]" }; "insert into $_ (k, v) values (" . $key->('i') . ", i);
    update $_ set v = v + 1 where k = " . $key->('i - 5') . "; update $_ set k = " . $key->('1000 + i') . ' where k = ' . $key->('i - 10') . ";
    delete from $_ where k = " . $key->('990 + i') . ';' } sort keys %keyed) . ' commit; end loop; end $$');
applied('keys of text and bytes', 10);

# There is only one of them at a time.
$pg->do(q{insert into word (k, v) values ('a', 1)}, q{delete from word where k = 'a'}, q{insert into word (k, v) values ('a  ', 2)},
    q{update word set k = 'a' where k = 'a  '}, q{update word set k = 'a ', v = 3 where k = 'a'},
    q{insert into bytes (k, v) values ('\x01', 1)}, q{delete from bytes where k = '\x01'}, q{insert into bytes (k, v) values ('\x0100', 2)},
    q{insert into word (k, v) values ('b', 1)}, q{insert into pair (k, v) values ('a', 1)}, q{delete from pair where k = 'a'}, q{insert into pair (k, v) values ('a ', 2)});
applied('padding', 0);
my @tables = (workload_tables(), sort keys %keyed);
is_deeply([compare_tables($pg->dbh, $target{$_}, \@tables)], [], "$_: all of it is what the source has") for qw(strict planned);

# And here are two for a while: that the one goes in the end does not make room for the other.
$pg->do(q{insert into word (k, v) values ('b ', 2)}, q{delete from word where k = 'b'});
my $file = record();
my %end = map { $_ => apply($file, $_) } qw(strict planned);
is($end{planned}{status}, $end{strict}{status}, 'two that are one there: the same status');
is($end{strict}{status}, '100', 'a stop');
is($end{planned}{reason}, $end{strict}{reason}, 'for the same reason');
done_testing;

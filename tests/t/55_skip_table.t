# --skip-table: the one way on for all that stops because of one table. Its changes are left out, the
# rest goes on, and the target knows: the table comes back when somebody has copied it, and not before.
# needs: postgres, any target

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'the target of tests/apply-text takes every value') if ($ENV{TARGET} // '') eq 'text';

my ($pg, $target, $pipeline) = new_pair(
    settings => { logical_decoding_work_mem => '64kB', max_prepared_transactions => 2 },
    sql => [
        'create table good (id int primary key, v text)',
        'create table bad (id int primary key, f float8, v text)'
    ]);
my @two_phase = $pg->value('show server_version_num') >= 150000 ? ('--two-phase') : ();
my $all_0 = { capture => 0, assemble => 0, apply => 0 };
my $table = $target->kind eq 'mssql' ? 'dbo.bad' : 'bad';
my $relid = $pg->value(q{select 'bad'::regclass::oid});

sub stops {
    my ($like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($pipeline->wait_exit('apply'), 100, "$name: exit 100");
    $pipeline->wait_all;
    my ($error) = reverse grep {/level=error/} split /\n/, $pipeline->log_text('apply');
    like($error, $like, "$name: and it says so");
    return $error;
}

sub start_with {
    my (@args) = @_;
    $pipeline->{args} = { apply => \@args, capture => \@two_phase };
    $pipeline->start;
    $pipeline->wait_streaming;
    return;
}

$pg->do(q{insert into good values (1, 'a')}, q{insert into bad values (1, 1, 'a')});
$pipeline->wait_caught_up;

# ---- a stop, and the way on that it names ----

$pg->do(q{begin; insert into good values (2, 'b'); insert into bad values (2, 'NaN', 'b');
    insert into good values (3, 'c'); commit});
my $error = stops(qr/public\.bad.*NaN.*\(or leave the table out: --skip-table public\.bad\)/,
    'a value that the target has not');
my ($advised) = $error =~ /--skip-table ([^ )]+)\)/;
my @before = $target->rows('select * from bad');

start_with('--skip-table', $advised);
$pipeline->wait_caught_up;
same_content($pg, $target, ['good'], 'the other tables of the transaction have come');
is_deeply([$target->rows('select * from bad')], \@before, 'and nothing of that one');
wait_for(sub { ($pipeline->metric(apply => 'pg2any_skipped_events_total') // 0) == 1 }, 60, 'the row to be counted');
is($pipeline->metric(apply => 'pg2any_skipped_events_by_type_total'), 1, 'by table, too');
$pg->do(q{insert into bad values (3, 3, 'c')});
$pipeline->wait_caught_up;
my @said = grep {/changes of a table are left out/} split /\n/, $pipeline->log_text('apply');
is(scalar @said, 1, 'one line says it');
like($said[0], qr/level=warning .*schema=public table=bad relid=$relid commit_lsn=/, 'with the table and from where on');
is_deeply($pipeline->stop, $all_0, 'stopped');

# ---- whatever becomes of the table ----

start_with('--skip-table', 'public.bad');
my $dbh = $pg->connect;
$dbh->do(q{insert into good select g, repeat('x', 100) from generate_series(1001, 2000) g});
$dbh->do($_) for 'begin', q{insert into bad select g, 'infinity', repeat('x', 100) from generate_series(1001, 3000) g},
    q{alter table bad add column added int not null default (random() * 10)::int},
    q{insert into good select g, 'streamed' from generate_series(2001, 3000) g},
    q{update bad set f = 'NaN', v = 'y'}, 'commit';
$dbh->do($_) for 'begin', q{insert into bad values (4, 4, 'd')}, q{insert into good values (4, 'prepared')},
    q{prepare transaction 'p'};
$dbh->do($_) for q{commit prepared 'p'}, 'alter table bad alter v type int using 0',
    q{begin; truncate bad, good; insert into good values (5, 'e'); insert into bad values (5, 5, 5); commit},
    'alter table bad drop constraint bad_pkey, replica identity full', 'update bad set f = 6',
    'alter table bad rename to worse', 'insert into worse values (6, 6, 6)', q{insert into good values (6, 'f')};
$pipeline->wait_caught_up;
same_content($pg, $target, ['good'], 'streamed, prepared, truncated, changed, renamed: the rest comes');
is_deeply([$target->rows('select * from bad')], \@before, 'and it is left alone');
is_deeply($pipeline->stop, $all_0, 'stopped');
start_with('--skip-table', 'public.worse,public.unheard');
$pg->do('insert into worse values (7, 7, 7)', q{insert into good values (7, 'g')});
$pipeline->wait_caught_up;
same_content($pg, $target, ['good'], 'its new name will do as well');
is_deeply($pipeline->stop, $all_0, 'stopped');

# ---- and back ----

start_with();
$pg->do(q{insert into good values (8, 'h')});
$pipeline->wait_caught_up;
$pg->do('insert into worse values (8, 8, 8)');
$error = stops(qr/table public\.worse: changes of it were left out from [0-9A-F]+\/[0-9A-F]+ on, and --skip-table does not name it any more/,
    'without the option');
my ($statement) = $error =~ /(DELETE FROM pg2any_relation WHERE origin = 'cdc_slot' AND relid IN \($relid\))/;
ok($statement, 'with the statement');
# What is to be copied is the one row that comes again.
$target->dbh->do("drop table $table");
$target->dbh->do($statement);
$target->disconnect;
$pg->do('delete from worse where added is distinct from 8 or f <> 8');
$pipeline->{args}{apply} = ['--conflict', 'skip'];
$pipeline->start;
$pipeline->wait_caught_up;
$pg->do('insert into worse values (9, 9, 9)', 'update worse set f = 10 where id = 9');
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(good worse)], 'copied, its row deleted: it is followed again');
is_deeply($pipeline->stop, $all_0, 'stopped');

my ($status, undef, $log) = run_tool($target->applier, args => ['--dest', $target->dest, '--skip-table', 'bad']);
is($status, 100, 'a name without its schema is refused');
like($log, qr/--skip-table: \\"bad\\" is not SCHEMA\.TABLE,SCHEMA\.TABLE/, 'and the form said');

# ---- one of two targets ----

my @targets = map { new_target(kind => 'sqlite', origin => 'two', file => fresh_name('target.db')) } 1 .. 2;
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets,
    env => { CDC_REPLICATION_SLOT => 'two', CDC_SKIP_TABLES => 'public.good,public.unheard', CDC_SKIP_TABLES_2 => 'none' });
my ($checked, $out) = $front->command(['check']);
is($checked, 0, 'check passes');
my ($first, $second) = split /^target 2$/m, $out;
like($first, qr/^note  table public\.good: its changes are left out, as CDC_SKIP_TABLES says/m, 'and says what is left out,');
like($first, qr/^note  CDC_SKIP_TABLES: no table public\.unheard is published/m, 'which name is none');
unlike($second, qr/SKIP_TABLES/, 'each by target');
$front->start;
$front->wait_all_ready;
$pg->do('truncate good, worse', q{insert into good values (1, 'a')}, 'insert into worse values (1, 1, 1)');
$front->wait_caught_up;
same_content($pg, $targets[1], [qw(good worse)], 'one target has all');
same_content($pg, $targets[0], ['worse'], 'the other has the rest');
ok(!$targets[0]->has_table('good'), 'and not what it leaves out');
wait_for(sub { ($front->metric(apply => 'pg2any_skipped_events_total') // 0) == 2 }, 60, 'the statistics');
(undef, $out) = $front->command(['status']);
like($out, qr/^apply .*, skipped_events 2$/m, 'status has it');
like($out, qr/^apply-2 .*, skipped_events 0$/m, 'of the one that skips');
is($front->stop, 0, 'stopped');
($checked, $out) = $front->command(['check'], env => { CDC_SKIP_TABLES => undef });
is($checked, 100, 'check says what a start without the option would');
like($out, qr/^FAIL  table public\.good: changes of it were left out from /m, 'in the same words');

done_testing;

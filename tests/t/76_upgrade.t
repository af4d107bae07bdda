# What version 0.1.0 has left behind is understood: its frame files, and the state of a target with its checkpoint and
# the relations that it remembers. A pipeline goes on from there, at that place, and copies nothing again. What there
# is was recorded from that version's programs (tests/upgrade/record).
# needs: one postgres, any target

use File::Copy qw(copy);
use Pg2any::Front;
use Pg2any::Test;
use Pg2any::Upgrade qw(old_target state_file state_files options_now recorded_options recorded_relids @TABLES @CREATE @BEFORE @AFTER);

plan skip_all => '0.1.0 has no target of SQL text' if ($ENV{TARGET} // '') eq 'text';

# ---- a source with the same tables, by the same relids ----

# The next relid is a table's first; pg_resetwal sets it.
my $pg = Pg2any::Postgres->new;
my $relids = recorded_relids();
my @todo = @CREATE;
for my $table (@TABLES) {
    $pg->stop;
    my $reset = Pg2any::Process->start(name => 'pg_resetwal',
        argv => [Pg2any::Postgres::bin_dir() . '/pg_resetwal', '-o', $relids->{$table}, $pg->data_dir],
        user => scalar Pg2any::Postgres::server_user(), stdout => fresh_name('resetwal.out'), stderr => fresh_name('resetwal.log'));
    is($reset->wait_exit(60), 0, "$table gets its relid");
    $pg->start;
    $pg->do(shift @todo);
    $pg->do(shift @todo) while @todo && $todo[0] !~ /\Acreate/;
}
is_deeply({ map { $_ => $pg->value("select '$_'::regclass::oid::bigint") } @TABLES }, $relids, 'the tables have the relids that they had');
$pg->do(@BEFORE);

# ---- frame files ----

sub apply_file {
    my ($target, $file) = @_;
    my $stats = fresh_name('apply.prom');
    my ($status, undef, $log) = run_tool($target->applier, stdin => $file,
        args => ['--dest', $target->dest, '--origin', $target->{origin}, '--stats', $stats, $target->applier_args]);
    my $text = Pg2any::Postgres::read_file($stats);
    my ($applied, $skipped) = map { $text =~ /^pg2any_${_}_total(?:\{.*\})? (\d+)$/m } qw(transactions_processed apply_transactions_skipped);
    return ($status, $log, "$applied applied, $skipped left out");
}

my $old = old_target();
my $before = $old->checkpoint;
ok($before, 'the old target has a checkpoint');
same_content($pg, $old, \@TABLES, 'the old target has what was in it');

my ($status, $out) = run_tool('frame-dump', stdin => state_file('committed.frames'));
my @hellos = grep { /"type":"hello"/ } split /\n/, $out;
ok(@hellos == 2 && !grep({ !/"format_version":1,.*"producer_version":"0\.1\.0"/ } @hellos), 'the file is one of 0.1.0') or diag(@hellos);

$pg->do(@AFTER);
my ($log, $counts);
($status, $log, $counts) = apply_file($old, state_file('committed.frames'));
is($status, 111, 'the kept file is applied; it has no end, as no audit file has') or diag($log);
is($counts, @AFTER . ' applied, ' . @BEFORE . ' left out', 'what the target had is left out, the rest goes in');
same_content($pg, $old, \@TABLES, 'the target equals the source');
cmp_ok(lsn_number($old->checkpoint->{remote_lsn}), '>', lsn_number($before->{remote_lsn}), 'its checkpoint has gone on');
($status, $log, $counts) = apply_file($old, state_file('committed.frames'));
is($counts, '0 applied, ' . (@BEFORE + @AFTER) . ' left out', 'a second time nothing goes in');

my $new = new_target(origin => 'from_file', database => 'from_file');
my $committed = fresh_name('committed.frames');
my $assemble = Pg2any::Process->start(name => 'txn-assemble', argv => [Pg2any::Pipeline::tool('txn-assemble')],
    stdin => state_file('raw.frames'), stdout => $committed);
is($assemble->wait_exit(60), 0, 'a raw stream of 0.1.0 is assembled');
($status, $log) = apply_file($new, $committed);
is($status, 0, 'and applied') or diag($log);
same_content($pg, $new, \@TABLES, 'a new target equals the source by it');

# ---- options ----

my %offered = map { $_ => 1 } options_now();
cmp_ok(scalar recorded_options(), '>', 100, '0.1.0 had options');
is_deeply([grep { !$offered{$_} } recorded_options()], [], 'each of them is there still, and each variable');

# ---- a pipeline ----

# The same target again, of a source that has its identifier and a slot where its checkpoint is.
my $target = old_target();
$pg->do("truncate " . join(', ', @TABLES), @BEFORE, 'create publication cdc_pub for all tables');
my $slot = $pg->value(q{select lsn from pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
my ($identifier) = $pg->rows('select system_identifier::text, (select timeline_id from pg_control_checkpoint()) from pg_control_system()');
$target->dbh->do("update pg2any_checkpoint set remote_lsn = '$slot', system_identifier = '$identifier->[0]', timeline = $identifier->[1]");
$target->disconnect;

my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => {
    CDC_COPY => undef, $target->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : () });
mkdir $front->state_dir, 0700 or die $front->state_dir . ": $!";
copy(state_file("state/$_"), $front->state_dir . "/$_") or die "$_: $!" for state_files();

($status, $out, $log) = $front->command(['check']);
is($status, 0, 'check finds nothing') or diag("$out$log");
($status, $out) = $front->command(['status']);
like($out, qr/^apply\b/m, 'status reads the old statistics') or diag($out);

$front->start;
$front->wait_all_ready;
$pg->do(@AFTER);
$front->wait_caught_up;
same_content($pg, $target, \@TABLES, 'the pipeline goes on where 0.1.0 was');
is($front->metric('capture', 'pg2any_copied_tables_total'), 0, 'and copies no table that was there');

$pg->do('create table later (id int primary key, v text)', q{insert into later values (1, 'new')},
    q{alter table orders add column c int default 7}, q{insert into orders values (30, 'w', 1, null, null, 8)},
    q{alter table wide rename column small to little}, q{update wide set little = 'drei' where id = 3});
$front->wait_caught_up;
same_content($pg, $target, [@TABLES, 'later'], 'changes of tables are followed, and a new table comes');
($status, $out) = $front->command(['status']);
is($status, 0, 'status is well') or diag($out);
is($front->stop, 0, 'it leaves with 0') or diag($front->log_text);

done_testing;

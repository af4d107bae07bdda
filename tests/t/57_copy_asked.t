# pg2any copy: tables are copied again while the pipeline runs, and while it does not; pg2any resync: a slot that is lost is
# made anew. The targets keep their rows until then, and nobody sees a table empty.
# needs: one postgres, any target

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my $pg = Pg2any::Postgres->new;
$pg->do('create table a (id int primary key, v text)', q{insert into a select g, 'a' from generate_series(1, 3000) g},
    'create table b (id int primary key, v text)', q{insert into b select g, 'b' from generate_series(1, 10) g},
    'create schema s', 'create table s.c (n int)', 'alter table s.c replica identity full', 'insert into s.c values (1), (1), (2)',
    'create publication cdc_pub for all tables');
my @targets = (new_target(), new_target());
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { CDC_COPY => 'initial',
    $targets[0]->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : () });
my @tables = ('a', 'b');
my $spoil = sub { $_->dbh->do('delete from a where id = 7'), $_->disconnect for @_; return };
my $missing = sub { return grep { !$_->value('select count(*) from a where id = 7') } @targets };
my $wait = sub {
    my ($what, $condition) = @_;
    wait_for(sub { $front->process->running or die "pg2any run has ended\n" . $front->log_text; return $condition->() }, 60, $what);
    return;
};

my ($status, $out, $err) = $front->command(['copy']);
is($status, 100, 'before anything was there: exit 100');
like($err, qr/has nothing of origin cdc_slot|holds no table/, 'and says so');

$front->start;
$wait->('the first copy', sub { return !grep { !eval { $_->value('select count(*) from b') } || ($_->value('select count(*) from a') // 0) < 3000 } @targets });
$front->wait_caught_up;

$spoil->(@targets);
is(scalar $missing->(), 2, 'a row was taken away at each target');
($status, $out, $err) = $front->command(['copy', 'public.a']);
is($status, 0, 'pg2any copy public.a') or diag($err);
like($out, qr/^apply: requested; the running pipeline copies them\napply-2: requested; the running/m, 'says what comes of it');
like($err, qr/will be copied again.* schema=public table=a/, 'and of which table');
$wait->('the row to be back', sub { return !$missing->() });
$front->wait_caught_up;
same_content($pg, $_, \@tables, 'equal again') for @targets;
unlike($front->log_text, qr/session that an earlier applier left/, 'the applier was not disturbed');

$spoil->(@targets);
($status, $out) = $front->command(['copy', 'public.a', '--target', '2', '--env-dir', $front->dir]);
is($status, 0, 'a table of one target, options before and behind it');
unlike($out, qr/^apply:/m, 'the other one is not asked');
$wait->('the row to be back at the second', sub { return $missing->() == 1 });
($status, $out, $err) = $front->command(['copy', 'public.a', 'public.nothing']);
is($status, 100, 'a table that is not there: exit 100');
like($err, qr/no table public\.nothing/, 'and says so');
ok(scalar $missing->(), 'nothing was asked for then');
for my $case (['copy', '--target', '3'], ['copy', 'public.a', '--target', '3'], ['copy', 'a'], ['copy', '--env-file', '/nowhere']) {
    ($status) = $front->command($case);
    is($status, 100, "@$case: exit 100");
}
($status, undef, $err) = $front->command(['copy'], env => { CDC_COPY => 'never' });
like($err, qr/CDC_COPY=never: nothing would copy/, 'without copies it says so');
($status, undef, $err) = $front->command(['resync', '--yes']);
is($status, 100, 'resync while it runs: exit 100');
is($front->stop, 0, 'stopped');

for my $asked (['copy', 'public.a'], ['pause', '--table', 'public.a']) {
    ($status, undef, $err) = $front->command($asked, env => { CDC_COPY_TABLES => 'public.b,s.*' });
    is($status, 100, "@$asked: a copy that would not come is refused");
    like($err, qr/table public\.a is not copied .*CDC_COPY_TABLES/, 'and says why') or diag($err);
}
($status, $out) = $front->command(['copy', 'public.*', 's.c']);
is($status, 0, 'a pipeline that stands still is asked');
like($out, qr/^apply: requested; they are copied when the pipeline runs/m, 'and says so');
$pg->do(q{insert into a values (4000, 'down')}, 'delete from b where id = 3');
$front->start;
$wait->('the rows', sub {
    return !$missing->() && !grep { $_->value('select count(*) from b where id = 3') } @targets;
});
$front->wait_caught_up;
same_content($pg, $_, \@tables, 'copied at the start') for @targets;
is($front->stop, 0, 'stopped');

# ---- the slot is lost ----

$pg->drop_slot('cdc_slot');
$pg->do(q{update a set v = 'while there was no slot' where id < 100}, 'delete from a where id = 200');
$front->start;
isnt($front->process->wait_exit(60), 0, 'without its slot it stops');
my ($no) = Pg2any::Scratch::fresh_name('no');
open my $fh, '>', $no or die $!;
close $fh or die $!;
($status, $out) = $front->command(['resync'], stdin => $no);
is($status, 100, 'resync asks');
like($out, qr/Until then the rows there stay/, 'and says what it is about');
my @rows = map { $_->value('select count(*) from a') } @targets;
($status, undef, $err) = $front->command(['resync', '--yes']);
is($status, 0, 'resync --yes') or diag($err);
is_deeply([map { $_->value('select count(*) from a') } @targets], \@rows, 'the rows are there');
$front->start;
my $empty = 0;
$wait->('all to be copied', sub {
    $empty += grep { !$_->value('select count(*) from a') } @targets;
    return !grep { $_->value('select count(*) from a where id = 200') } @targets;
});
$front->wait_caught_up;
is($empty, 0, 'no table was seen empty');
$pg->do(q{insert into a values (5000, 'after')});
$front->wait_caught_up;
same_content($pg, $_, \@tables, 'all tables again') for @targets;
is($front->stop, 0, 'stopped');
($status) = $front->command(['resync', '--target', '2', '--yes']);
is($status, 0, 'one target begins anew');
ok($pg->value(q{select count(*) from pg_replication_slots where slot_name = 'cdc_slot'}), 'the slot stays');
$pg->do(q{insert into a values (6000, 'last')});
$front->start;
$wait->('the last row', sub { return !grep { !$_->value('select count(*) from a where id = 6000') } @targets });
$front->wait_caught_up;
same_content($pg, $_, \@tables, 'and is equal') for @targets;
is($front->stop, 0, 'stopped');

# A row that is missing stops the applier, again and again, and the target is left out; a copy is the way on.
$targets[0]->make->do('delete from b where id = 5');
$pg->do(q{update b set v = 'missing' where id = 5});
$front->start;
$wait->('status', sub { return (($front->command(['status']))[1]) =~ /target 1 has failed/ });
($status) = $front->command(['copy', '--target', '1', 'public.b']);
is($status, 0, 'a copy is asked for where no applier runs');
($status) = $front->command(['resume', '--target', '1']);
is($status, 0, 'and the target comes back');
$wait->('the row', sub { return $targets[0]->value('select v from b where id = 5') });
$front->wait_caught_up;
same_content($pg, $_, \@tables, 'and brings the table') for @targets;
is($front->stop, 0, 'stopped');

done_testing;

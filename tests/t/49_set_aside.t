# pg2any pause --table and resume --table: a table is set aside at the targets while the others go on, through changes of its
# rows and columns, TRUNCATE, kill -9 and restarts; its rows stay as they were, everybody who looks is told, and then it comes back.
# needs: one postgres, any target

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my $pg = Pg2any::Postgres->new;
$pg->do('create table a (id int primary key, v text)', q{insert into a select g, 'a' from generate_series(1, 1000) g},
    'create table b (id int primary key, v text)', q{insert into b select g, 'b' from generate_series(1, 10) g},
    'create table c (n int)', 'alter table c replica identity full', 'insert into c values (1), (1), (2)',
    'create publication cdc_pub for all tables');
my @targets = (new_target(), new_target());
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { CDC_COPY => 'initial',
    $targets[0]->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : () });
my $wait = sub {
    my ($what, $condition) = @_;
    wait_for(sub { $front->process->running or die "pg2any run has ended\n" . $front->log_text; return $condition->() }, 60, $what);
    return;
};
my $content = sub { my ($target) = @_; return [$target->rows("select id, v from a order by id")] };
my $paused = sub { my ($stage) = @_; return $front->metric($stage => 'pg2any_tables_aside{reason="paused"}') // -1 };

$front->start;
$wait->('the first copy', sub { return !grep { !eval { $_->value('select count(*) from c') } || ($_->value('select count(*) from a') // 0) < 1000 } @targets });
$front->wait_caught_up;

for my $case (['pause'], ['resume'], ['pause', '--table', 'a'], ['pause', '--table', 'public.nothing'], ['pause', '--table', 'public.a', '--target', '3']) {
    my ($status) = $front->command($case);
    is($status, 100, "@$case: exit 100");
}
my ($status, undef, $err) = $front->command(['pause', '--table', 'public.a'], env => { CDC_COPY => 'never' });
is($status, 100, 'where nothing would bring it back: exit 100');
like($err, qr/CDC_COPY=never/, 'and says so');

my $before = $content->($targets[0]);
($status, my $out, $err) = $front->command(['pause', '--table', 'public.a']);
is($status, 0, 'pg2any pause --table public.a') or diag($err);
like($out, qr/^apply: requested; the running pipeline leaves them out/m, 'says what comes of it');
like($err, qr/set aside.* schema=public table=a/, 'and of which table');
$wait->('the appliers to have it so', sub { return $paused->('apply') == 1 && $paused->('apply-2') == 1 });

my $change = sub {
    my ($mark) = @_;
    $pg->do(join ';', 'begin', "update a set v = '$mark' where id < 100", "update b set v = '$mark'", "insert into c values (length('$mark'))", 'commit');
    $pg->do("insert into a select g, '$mark' from generate_series(1001 + (select count(*) from a), 1100 + (select count(*) from a)) g",
        "insert into b select 1 + max(id), '$mark' from b");
    $front->wait_caught_up;
    same_content($pg, $_, ['b', 'c'], "$mark: the other tables go on") for @targets;
    is_deeply($content->($_), $before, "$mark: its rows are what they were") for @targets;
    return;
};
$change->('once');
$pg->do('alter table a add n int default 7', 'delete from a where id = 5', 'truncate a, c', q{insert into a values (1, 'one', 1)}, 'insert into c values (5)');
$change->('changed');

(undef, $out) = $front->command(['status']);
is(scalar(() = $out =~ /^set aside +public\.a since [0-9A-F]+\/[0-9A-F]+: paused$/mg), 2, 'status tells of each target') or diag($out);
(undef, $out) = $front->command(['status', '--json']);
is(scalar(() = $out =~ /"tables_aside":\[\{"schema":"public","table":"a","since_lsn":"[0-9A-F\/]+","reason":"paused","kept_bytes":null\}\]/g), 2, 'as JSON, too') or diag($out);
(undef, $out) = $front->command(['check']);
like($out, qr/table public\.a: it is set aside/, 'check tells') or diag($out);
if ($targets[0]->kind ne 'text') {
    ($status, $out) = $front->command(['compare']);
    is($status, 111, 'compare has not compared all');
    like($out, qr/public\.a\b.*set aside/, 'and says of which table and why') or diag($out);
}

$front->process->running or die;
kill KILL => $front->pid_of('apply');
$change->('killed');
is($front->stop, 0, 'stopped');
$front->start;
$wait->('the appliers to know it still', sub { return $paused->('apply') == 1 && $paused->('apply-2') == 1 });
$change->('started');

($status) = $front->command(['resume', '--table', 'public.a', '--target', '2']);
is($status, 0, 'resume at one target');
$wait->('the copy', sub { return $targets[1]->value(q{select count(*) from a where v = 'started'}) });
$front->wait_caught_up;
same_content($pg, $targets[1], [qw(a b c)], 'equal there');
is_deeply($content->($targets[0]), $before, 'and not at the other');
$wait->('the metrics', sub { return $paused->('apply') == 1 && $paused->('apply-2') == 0 });
is($front->stop, 0, 'stopped');

($status, $out) = $front->command(['resume', '--table', 'public.a', '--table', 'public.b']);
is($status, 0, 'a pipeline that stands still is asked');
$pg->do(q{update a set v = 'down'});
$front->start;
$wait->('the rows', sub { return !grep { !$_->value(q{select count(*) from a where v = 'down'}) } @targets });
$front->wait_caught_up;
same_content($pg, $_, [qw(a b c)], 'equal again') for @targets;

# One that is to be copied, and is set aside before.
$targets[0]->dbh->do('delete from a'), $targets[0]->disconnect;
$pg->do('begin', 'lock table a in access exclusive mode');
($status) = $front->command(['copy', 'public.a', '--target', '1']);
is($status, 0, 'a copy is asked for, and waits');
$wait->('the applier to wait for it', sub { return ($front->metric(apply => 'pg2any_copy_tables_awaited') // 0) == 1 });
($status) = $front->command(['pause', '--table', 'public.a', '--target', '1']);
is($status, 0, 'it is set aside');
$wait->('the copy to be called off', sub { return $paused->('apply') == 1 && $front->metric(apply => 'pg2any_copy_tables_awaited') == 0 });
$pg->do('commit', q{insert into b values (9000, 'b')});
$front->wait_caught_up;
is($targets[0]->value('select count(*) from a'), 0, 'nothing has come');
($status) = $front->command(['copy', '--target', '1']);
$wait->('the rows', sub { return $targets[0]->value('select count(*) from a') });
$front->wait_caught_up;
same_content($pg, $_, [qw(a b c)], 'pg2any copy brings it back, too') for @targets;
is($front->stop, 0, 'stopped');

done_testing;

# Rows and changes that a target refuses set their table aside, where that is chosen (--refused, --conflict quarantine): at the
# transaction that has them, with the other tables going on, through kill -9, restarts and large transactions; and it comes back.
# needs: one postgres, any target

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my @tables = qw(a b c d e f);
my @many = map { ("many$_") } 1 .. 9;
my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do((map { ("create table $_ (id int primary key, v float8, pad text)", "insert into $_ select g, g, 'first' from generate_series(1, 500) g") } @tables),
    'create table parent (id int primary key, v float8)', 'create table child (id int primary key, parent int)',
    'create table other (id int primary key)',
    (map { ("create table $_ (id int primary key)", "insert into $_ values (1)") } @many),
    'create publication cdc_pub for table ' . join(', ', @tables, @many), 'create publication family for table parent, child, other');
my $target = new_target();
my @mapping = $target->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : ();
my %env = (CDC_COPY => 'initial', CDC_UNKNOWN => 'stop', CDC_REFUSED => 'quarantine', CDC_CONFLICT => 'quarantine', @mapping);
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => {%env});
my $wait = sub {
    my ($what, $condition) = @_;
    wait_for(sub { $front->process->running or die "pg2any run has ended\n" . $front->log_text; return $condition->() }, 60, $what);
    return;
};
my $rows = sub { my ($table) = @_; return [$target->rows("select id, v, pad from $table order by id")] };
my $aside = sub { return $front->metric(apply => 'pg2any_tables_aside') // -1 };
my $n = 0;
# Every table, in transactions of some of them; then the others are equal.
my $others_go_on = sub {
    my ($what, @out) = @_;
    $n++;
    my %out = map { $_ => 1 } @out;
    $pg->do(join(';', 'begin', (map { "update $_ set v = -$n where id = $n; insert into $_ values (1000 + $n, $n, 'new')" } @tables), 'commit'),
        map { "delete from $_ where id = 100 + $n" } @tables);
    $front->wait_caught_up;
    same_content($pg, $target, [grep { !$out{$_} } @tables], "$what: the others go on");
    return;
};

$front->start;
$wait->('the first copy', sub { return eval { $target->value('select count(*) from f') } });
$front->wait_caught_up;
$others_go_on->('first');

# The transaction before is in, the one that is refused is not, nor is what it or a later one did to the table.
$front->process->running;
kill STOP => $front->pid_of('apply');
$pg->do(q{insert into c values (2000, 1, 'before')});
my $last = $pg->current_lsn;
$pg->do(join(';', 'begin', q{insert into d values (2001, 1, 'whole')}, q{insert into c values (2001, 1, 'good')},
        q{insert into c values (2002, 'NaN', 'SECRET')}, q{insert into d values (2002, 1, 'whole')}, 'commit'),
    q{insert into c values (2003, 1, 'after')}, q{update d set v = 7 where id = 3});
kill CONT => $front->pid_of('apply');
$front->wait_caught_up;
my $before = $rows->('c');
is($target->value('select max(id) from c'), 2000, 'the table has what came before, and nothing of the transaction or behind it');
is($target->value('select count(*) from d where id > 2000'), 2, 'the other has its part of it');
my ($line) = $front->log_text =~ /^(.*level=error.*set aside.*)$/m;
like($line, qr/table=c .*xid=\d+ commit_lsn=[0-9A-F\/]+ reason="insert into public\.c \(key id\), transaction \d+ committed at .*column v/, 'an error says what was refused');
unlike($front->log_text, qr/SECRET/, 'and no values');
$wait->('the gauge', sub { return ($front->metric(apply => 'pg2any_tables_aside{reason="refused"}') // 0) == 1 });
my (undef, $out) = $front->command(['status']);
like($out, qr/^set aside +public\.c since .*: insert into public\.c .*column v/m, 'status, too') or diag($out);
$others_go_on->('set aside', 'c');
is_deeply($rows->('c'), $before, 'it stays as it was');

my $pid = $front->pid_of('apply');
kill KILL => $pid;
$front->wait_ready('apply', $pid);
$others_go_on->('killed', 'c');
is($front->stop, 0, 'stopped');
$front->start;
$pg->do('alter table c add late int default 3', 'truncate c, e', q{insert into c values (1, 'NaN', 'still', 1)});
$others_go_on->('started again', 'c');
is_deeply($rows->('c'), $before, 'it stays as it was');

# Asked for before it is mended.
my $again = sub { return scalar(() = $front->log_text =~ /level=error.*set aside.*table=c /g) };
my $times = $again->();
my ($status, undef, $err) = $front->command(['copy', 'public.c']);
is($status, 0, 'a copy is asked for') or diag($err);
$wait->('the copy to be refused', sub { return $again->() > $times });
$others_go_on->('refused again', 'c');
is($again->(), $times + 1, 'once');
$wait->('nobody to try again', sub { return $front->metric(capture => 'pg2any_capture_copy_tables_left') == 0 });
is_deeply($rows->('c'), $before, 'its rows stay');

# Mended, and killed while it comes back.
$pg->do(q{update c set v = 0 where v = 'NaN'});
$front->wait_caught_up;
($status) = $front->command(['copy', 'public.c']);
$pid = $front->pid_of('apply');
kill KILL => $pid;
$front->wait_ready('apply', $pid);
$wait->('the copy', sub { return $target->value(q{select count(*) from c where pad = 'still'}) && $aside->() == 0 });
$others_go_on->('back');

# A conflict, in a table of its own.
$target->dbh->do('delete from f where id = 200'), $target->disconnect;
$pg->do(join ';', 'begin', q{update b set v = 5 where id = 200}, q{update f set v = 5 where id = 200}, q{update f set v = 5 where id = 201}, 'commit');
$others_go_on->('a conflict', 'f');
like($front->log_text, qr/level=error.*set aside.*table=f .*update_missing/, 'says which');
is($target->value('select v from f where id = 201'), 201, 'none of the transaction is in');
($status) = $front->command(['copy', 'public.f']);
$wait->('the copy', sub { return $target->value('select count(*) from f where id = 200') && $aside->() == 0 });
$others_go_on->('the conflict is mended');

# More tables at once than a group has tries, in a target where each of them costs one more to find the row.
$wait->('the copies of many tables', sub { return !grep { !eval { $target->value("select count(*) from $_") } } @many });
$target->dbh->do("insert into $_ values (2)") for @many;
$target->disconnect;
$pid = $front->pid_of('apply');
$pg->do(join ';', 'begin', (map { ("insert into $_ values (2)") } @many), 'commit');
$others_go_on->('conflicts in nine tables');
$wait->('nine tables to be set aside', sub { return $aside->() == 9 });
is($front->pid_of('apply'), $pid, 'without a restart');
($status) = $front->command(['copy', map { ("public.$_") } @many]);
$wait->('the copies', sub { return $aside->() == 0 && $front->metric(apply => 'pg2any_copy_tables_awaited') == 0 });
same_content($pg, $target, \@many, 'and they come back');

# A change of the table that is not followed.
$pg->do(q{alter table e add r float8 default random()}, q{insert into e values (3000, 1, 'changed')});
$others_go_on->('a change', 'e');
like($front->log_text, qr/level=error.*set aside.*table=e .*reason="table public\.e/, 'says which');
($status) = $front->command(['copy', 'public.e']);
$wait->('the copy', sub { return $target->value('select count(*) from e where id = 3000') && $aside->() == 0 });
$others_go_on->('the change is copied');
is($front->stop, 0, 'stopped');

# A transaction that is applied in parts: it comes once more.
$front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { %env, CDC_GROUP_BYTES => '64kB' });
$front->start;
$pg->do(join ';', 'begin', q{insert into a select g, g, repeat('x', 100) from generate_series(10000, 14000) g},
    q{insert into b select g, case g when 12000 then 'NaN'::float8 else g end, repeat('x', 100) from generate_series(10000, 14000) g},
    q{update a set v = 1 where id = 10000}, q{insert into d values (10000, 'NaN', '')}, 'commit');
$others_go_on->('a large transaction', 'b', 'd');
is($target->value('select count(*) from b where id >= 10000'), 0, 'none of it is in the table that was set aside');
$wait->('the gauge', sub { return $aside->() == 2 });
is(scalar(() = $front->log_text =~ /^tool=apply.*the source sends a transaction of this size again/mg), 2, 'it came again once for each table');
$pg->do(q{delete from b where v = 'NaN'}, q{delete from d where v = 'NaN'});
($status) = $front->command(['copy', 'public.b', 'public.d']);
$wait->('the copies', sub { return $target->value('select count(*) from b where id >= 10000') && $aside->() == 0 });
$others_go_on->('it is mended');

# The copy itself is one that is applied in parts.
$pg->do('create table heap (n float8)', 'alter table heap replica identity full', 'insert into heap select g from generate_series(1, 20000) g',
    q{insert into heap values ('NaN')}, 'alter publication cdc_pub add table heap', 'insert into heap values (0)');
$others_go_on->('a large copy is refused');
$wait->('it to be set aside', sub { return $aside->() == 1 });
$pg->do(q{delete from heap where n = 'NaN'});
($status) = $front->command(['copy', 'public.heap']);
$wait->('the copy', sub { return eval { $target->value('select count(*) from heap') } });
$front->wait_caught_up;
same_content($pg, $target, ['heap'], 'and comes when it is mended');
is($front->stop, 0, 'stopped');

# ---- foreign keys of the target, which has its tables by hand and gets no copies ----

if ($target->kind ne 'sqlite') {    # there they never act
    my $family = new_target(origin => 'family_slot', $target->kind eq 'mysql' ? (uri => [parameters => { foreign_keys => 'on' }]) : ());
    my $made = $family->make;
    $made->do($_) for 'create table parent (id int primary key, v double precision)',
        'create table child (id int primary key, parent int, constraint child_parent foreign key (parent) references parent (id))',
        'create table other (id int primary key)';
    $family->disconnect;
    $front = Pg2any::Front->new(pg => $pg, targets => [$family], env => {%env, CDC_COPY => 'never', CDC_PUBLICATION => 'family',
        CDC_REPLICATION_SLOT => 'family_slot' });
    $front->start;
    $front->wait_all_ready;
    $wait->('the slot', sub { return $pg->value(q{select count(*) from pg_replication_slots where slot_name = 'family_slot' and active}) });
    $pg->do('insert into parent values (9, 9)', 'insert into child values (9, 9)',
        $target->kind eq 'mssql' ? 'truncate parent, child' : 'truncate child, parent');    # SQL Server's applier finds the order
    $front->wait_caught_up;
    same_content($pg, $family, ['parent', 'child'], 'tables are emptied together');
    $pg->do('insert into parent values (1, 1)', 'insert into child values (1, 1)',
        join(';', 'begin', q{insert into parent values (2, 'NaN')}, 'insert into child values (2, 2)', 'insert into other values (2)', 'commit'),
        'insert into child values (3, 1)', 'truncate other, child', 'insert into other values (3)');
    $front->wait_caught_up;
    same_content($pg, $family, ['other'], 'a parent is refused, and so its child is: the others go on');
    is($family->value('select max(id) from parent'), 1, 'the parent is as it was');
    is($family->value('select max(id) from child'), 1, 'the child, too');
    (undef, $out) = $front->command(['status']);
    is(scalar(() = $out =~ /^set aside +public\.(?:parent|child) since/mg), 2, 'status names both');
    ($status, undef, $err) = $front->command(['copy', 'public.parent']);
    is($status, 100, 'without copies there is no way back');
    like($err, qr/CDC_COPY=initial/, 'and it says what is') or diag($err);
    is($front->stop, 0, 'stopped');
}

done_testing;

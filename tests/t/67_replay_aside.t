# What comes for a table that the target refused is kept in a file, and pg2any resume replays it when that is mended: rows, changes
# of the table, streamed, prepared and large transactions, at one of two targets or at both, through restarts. 68_replay_kill
# has kill -9.
# needs: one postgres, any target

use Pg2any::Front;
use Pg2any::Test;

plan(skip_all => 'apply-text: nobody can tell what a file of text is like in between') if ($ENV{TARGET} // '') eq 'text';

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB', max_prepared_transactions => 4 });
$pg->do((map { ("create table $_ (id int primary key, v float8, pad text, gone int)", "insert into $_ select g, g, 'first' from generate_series(1, 500) g") } qw(a b)),
    'create publication cdc_pub for table a, b');
my @targets = (new_target(), new_target());
my @mapping = $targets[0]->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : ();
my %env = (CDC_COPY => 'initial', CDC_UNKNOWN => 'stop', CDC_REFUSED => 'quarantine', CDC_CONFLICT => 'quarantine', CDC_TWO_PHASE => 'true', @mapping);
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => {%env});
my $wait = sub {
    my ($what, $condition) = @_;
    wait_for(sub { $front->process->running or die "pg2any run has ended\n" . $front->log_text; return $condition->() }, 90, $what);
    return;
};
my $aside = sub { my ($n) = @_; return $front->metric($n > 1 ? "apply-$n" : 'apply', 'pg2any_tables_aside') // -1 };
my $files = sub { my ($n) = @_; return glob $front->state_dir . '/quarantine/' . ($n > 1 ? "apply-$n" : 'apply') . '/*.frames' };
my $restart = sub {
    my (%more) = @_;
    is($front->stop, 0, 'stopped');
    $front->{env} = { %{ $front->{env} }, %more };
    $front->start;
    $front->wait_all_ready;
    return;
};
my $n = 1000;
# Every kind of transaction.
my $changes = sub {
    my $all = "update TABLE set v = -id where id between 300 and 310; insert into TABLE (id, v, pad) values (N, 1, 'one')";
    my @kinds = (
        sub { $pg->do(join ';', 'begin', @_, 'commit') },
        sub { my $gid = 'g' . $n; $pg->do('begin', @_, "prepare transaction '$gid'"); $pg->do("commit prepared '$gid'") },
        sub { $pg->do(join ';', 'begin', @_, 'savepoint s', "delete from a where id < 20", 'rollback to s', 'commit') },
        sub { $pg->do(join ';', 'begin', @_, (map { "insert into $_ (id, v, pad) select g + 10000 * $n, g, repeat('x', 50) from generate_series(1, 3000) g" } qw(a b)), 'commit') },
    );
    for my $kind (@kinds) {
        $n++;
        $kind->(map { my $table = $_; $all =~ s/TABLE/$table/gr =~ s/\bN\b/$n/r } qw(a b));
    }
    $front->wait_caught_up;
    return;
};

$front->start;
$wait->('the first copies', sub { return !grep { !eval { $_->value('select count(*) from b') } || ($_->value('select count(*) from a') // 0) < 500 } @targets });
$front->wait_caught_up;

# A conflict at the second target alone.
$targets[1]->dbh->do('delete from a where id = 200'), $targets[1]->disconnect;
$pg->do(join ';', 'begin', q{update a set v = 5 where id = 200}, q{update a set v = 5 where id = 201}, q{update b set v = 5 where id = 200}, 'commit');
$wait->('the table to be set aside', sub { return $aside->(2) == 1 });
my $before = [$targets[1]->rows('select id, v, pad from a order by id')];
$changes->();
# Where changes of a table commit, one is followed in the middle of a replay that adds a column.
$pg->do('alter table a add late int', 'update a set late = 3 where id < 50', ($targets[0]->kind eq 'mysql' ? () : 'alter table a drop gone'),
    'delete from a where id between 400 and 420');
$changes->();
my ($status, $out, $err) = $front->command(['pause', '--target', '2']);
is($status, 0, 'the target is paused') or diag($err);
$pg->do(map { "insert into $_ (id, v, pad) values (5000000, 1, 'apart')" } qw(a b));
($status, undef, $err) = $front->command(['resume', '--target', '2']);
is($status, 0, 'and comes back') or diag($err);
$changes->();
same_content($pg, $targets[0], [qw(a b)], 'the other target has all');
same_content($pg, $targets[1], ['b'], 'the other table, too');
is_deeply([$targets[1]->rows('select id, v, pad from a order by id')], $before, 'the table is as it was');

my @kept = $files->(2);
is(scalar(@kept), 1, 'its changes are in a file');
is(scalar($files->(1)), undef, 'of that target alone');
is(sprintf('%o', (stat $kept[0])[2] & oct 777), '600', 'which is nobody else\'s');
($status, $out) = $front->command(['status']);
my $size = -s $kept[0];
like($out, qr/^set aside +public\.a since .*update_missing.*\n +$size bytes are kept: pg2any resume/m, 'status says so') or diag($out);
(undef, $out) = $front->command(['status', '--json']);
like($out, qr/"kept_bytes":$size\}/, 'as JSON, too') or diag($out);
$wait->('the gauge', sub { return $front->metric('apply-2' => 'pg2any_quarantine_bytes') == $size });
my $dump = fresh_name('dump');
system "'" . Pg2any::Pipeline::tool('frame-dump') . "' <'$kept[0]' >'$dump' 2>/dev/null";
my $shown = Pg2any::Postgres::read_file($dump);
like($shown, qr/"relation".*public.*"a"/i, 'frame-dump reads it');
unlike($shown, qr/"b"/, 'and nothing is in it of another table');

# Asked for before it is mended.
my $refusals = sub { return scalar(() = $front->log_text =~ /level=error.*cannot be replayed yet.*table=a .*update_missing/g) };
($status, $out, $err) = $front->command(['resume', '--table', 'public.a', '--target', '2']);
is($status, 0, 'resume') or diag($err);
like($out, qr/^apply-2: requested; the running pipeline brings them back$/m, 'says what comes of it');
$wait->('the replay to be refused', sub { return $refusals->() == 1 });
$changes->();
is_deeply([$targets[1]->rows('select id, v, pad from a order by id')], $before, 'the table is as it was');
is($refusals->(), 1, 'it was tried once');

# Mended, with everything running.
$targets[1]->dbh->do(q{insert into a (id, v, pad) values (200, 200, 'first')}), $targets[1]->disconnect;
($status) = $front->command(['resume', '--table', 'public.a']);
is($status, 0, 'resume');
$wait->('the table to come back', sub { return $aside->(2) == 0 });
$changes->();
same_content($pg, $_, [qw(a b)], 'equal') for @targets;
is(scalar($files->(2)), undef, 'the file is gone');
is(scalar(() = $front->log_text =~ /a table that was set aside is replayed/g), 1, 'the log says so');

# Refused at both, by a value, in large transactions that are applied in parts; mended by a policy.
$restart->(CDC_GROUP_BYTES => '64kB');
$pg->do(join ';', 'begin', q{insert into a (id, v) select g, g from generate_series(9000000, 9010000) g}, q{insert into a (id, v) values (9900000, 'NaN')},
    'insert into b (id, v) select g, g from generate_series(9000000, 9010000) g', 'commit');
$wait->('the table to be set aside', sub { return $aside->(1) == 1 && $aside->(2) == 1 });
$changes->() for 1 .. 2;
is(scalar(my @both = map { $files->($_) } 1, 2), 2, 'each target has a file');
$restart->(CDC_NAN => 'null', CDC_COPY => 'never'); # a replay is no copy
$changes->();
($status) = $front->command(['resume', '--table', 'public.a']);
is($status, 0, 'resume');
$wait->('the tables to come back', sub { return $aside->(1) == 0 && $aside->(2) == 0 });
$pg->do(q{update a set v = 0 where v = 'NaN'});
$changes->();
same_content($pg, $_, [qw(a b)], 'equal') for @targets;
is(scalar(my @none = map { $files->($_) } 1, 2), 0, 'no file is left');

# None is to come, and none settles beside the one that readers see.
my $copied = sub {
    my ($stage) = @_;
    return !grep { ($front->metric($stage => "pg2any_copy_tables_$_") // 1) } 'awaited', 'settling';
};

# More than is to be kept: a copy brings it back, and no other way.
$restart->(CDC_NAN => 'stop', CDC_COPY => 'initial', CDC_QUARANTINE_SIZE => '4096', CDC_QUARANTINE_DIR => $front->dir . '/elsewhere');
$pg->do(q{insert into a (id, v) values (9900001, 'NaN')});
$wait->('the table to be set aside', sub { return $aside->(1) == 1 && $aside->(2) == 1 });
is(scalar(my @elsewhere = glob $front->dir . '/elsewhere/apply*/*.frames'), 2, 'CDC_QUARANTINE_DIR');
$changes->();
$wait->('the files to go', sub { return !(my @left = glob $front->dir . '/elsewhere/apply*/*.frames') });
like($front->log_text, qr/level=error.*not kept any more.*table=a .*CDC_QUARANTINE_SIZE/, 'an error says that it cannot be kept');
(undef, $out) = $front->command(['status']);
like($out, qr/^set aside +public\.a since .*\n +not all that came since is kept: only pg2any copy brings it back$/m, 'status says so') or diag($out);
($status, undef, $err) = $front->command(['resume', '--table', 'public.a']);
is($status, 100, 'resume: exit 100');
like($err, qr/public\.a cannot be replayed.*pg2any copy public\.a/, 'and says what to do') or diag($err);
$pg->do(q{delete from a where v = 'NaN'});
($status) = $front->command(['copy', 'public.a']);
$wait->('the copies', sub { return $aside->(1) == 0 && $aside->(2) == 0 && !grep { !$copied->($_) } 'apply', 'apply-2' });
$changes->();
same_content($pg, $_, [qw(a b)], 'equal') for @targets;

# Another table has the name by now, and keeps it.
$restart->(CDC_QUARANTINE_SIZE => '1MB');
$pg->do(q{insert into b (id, v) values (9900002, 'NaN')}, 'insert into b (id, v) values (9900003, 1)');
$wait->('the table to be set aside', sub { return $aside->(1) == 1 && $aside->(2) == 1 });
$pg->do('alter table b rename to was_b', 'create table b (id int primary key, word text)', 'alter publication cdc_pub add table b',
    q{insert into b values (1, 'new')}, 'insert into was_b (id, v) values (9900004, 1)');
$wait->('the new table', sub { return !grep { !eval { $_->value(q{select count(*) from b where word = 'new'}) } } @targets });
$restart->(CDC_NAN => 'null');
($status) = $front->command(['resume', '--table', 'public.b']);
is($status, 0, 'resume');
$wait->('the replays to be refused', sub { return 2 == (() = $front->log_text =~ /level=error.*cannot be replayed yet.*table=b .*belongs to another relation by now/g) });
same_content($pg, $_, ['b'], 'the new table stays where it is') for @targets;
$wait->('the old one to be aside', sub { return $aside->(1) == 1 && $aside->(2) == 1 });
$pg->do(q{update was_b set v = 0 where v = 'NaN'});
($status) = $front->command(['copy', 'public.b']);
$wait->('the copies', sub { return !grep({ !$_->has_table('was_b') } @targets) && !grep { !$copied->($_) } 'apply', 'apply-2' });
$front->wait_caught_up;
same_content($pg, $_, [qw(a b was_b)], 'equal') for @targets;
is($front->stop, 0, 'stopped');

done_testing;

# Rows that come into a row filter without their unchanged TOASTed values: in runs that end, in partitions, beside a second
# unique index, with keys that are the same though they are not written so; and in a file that has no answer to the question.
# needs: one postgres, any target

use Pg2any::Scratch qw(fresh_name);
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
plan(skip_all => 'row filters are of PostgreSQL 15') if $pg->major < 15;
plan(skip_all => 'apply-text: nothing says what a file of text lacks') if ($ENV{TARGET} // q{}) eq 'text';

# Tables of rows that the filter lets through where their key is positive, and all of them as a view.
my @made;

sub make {
    my ($name, $key, %arg) = @_;
    $pg->do("create table $name (b $key primary key, u int" . ($arg{unique} ? ' unique' : '') . ', big text, n int)' . ($arg{partitions} ? ' partition by range (b)' : ''));
    $pg->do("create table ${name}_1 partition of $name for values from (-1000) to (1000)") if $arg{partitions};
    $pg->do("alter table $_ alter big set storage external") for $name, $arg{partitions} ? "${name}_1" : ();
    $pg->do("insert into $name select case when g > 20 then g else -g end, g, repeat(md5(g::text), 80), 0 from generate_series(1, 60) g",
        "create view ${name}_seen as select * from $name where b > 0");
    push @made, $name;
    return;
}

make('plain', 'int');
make('parted', 'int', partitions => 1);
make('single', 'int', unique => 1);
make('real', 'float8');
$pg->do('create publication cdc_pub for table ' . join(', ', map {"$_ where (b > 0)"} @made) . ' with (publish_via_partition_root = true)');
my @seen = map {"${_}_seen"} @made;
my %seen = (target_table => { map { ("${_}_seen" => $_) } @made });
my $target = new_target();

# A run that ends goes on until the rows are there.
my $batch = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--until-lsn', 'current'] });
for my $n (0 .. 2) {
    $pg->do(map {"update $_ set b = -b, n = n + 1 where b = -$n"} @made) if $n;
    $batch->start;
    is_deeply($batch->wait_all, { capture => 0, assemble => 0, apply => 0 }, "run $n to the end");
    same_content($pg, $target, \@seen, "and it has all rows, $n", %seen);
}

# One that stays.
my $file = fresh_name('frames');
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, tee => { assemble => $file }, args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_streaming;
$pg->do(map { ('begin', "update $_ set b = -b where b in (-3, -4)", "update $_ set n = n + 1 where b > 0", "delete from $_ where b = 4", 'commit') } @made);
my $lacks = sub { return grep { $_->[0] =~ /^(?:lacks |copy due |copied .* beside)/m } $target->rows('select frame from pg2any_relation') };
my $settle = sub {
    $pipeline->wait_caught_up;
    wait_for(sub { !$lacks->() }, 60, 'the rows');
    return $pipeline->wait_caught_up;
};
$settle->();
$pg->do(map { ('begin', "update $_ set b = -b where b = -5", "update $_ set b = b - 0.0 where b = 30", "update $_ set n = n + 1 where b > 0", 'commit') } @made);
$pg->do(map {"update $_ set n = n + 1 where b > 0"} @made);
$settle->();
same_content($pg, $target, \@seen, 'with changes beside them', %seen);
$pipeline->stop;
$pg->drop_slot('cdc_slot');

# 0 and -0 are one key, at the source and at the target.
$pg->do('drop publication cdc_pub', 'create table zero (b float8 primary key, big text, n int)', 'alter table zero alter big set storage external',
    q{insert into zero select -g, repeat(md5(g::text), 80), 0 from generate_series(0, 9) g}, 'create view zero_seen as select * from zero where b > -4',
    'create publication cdc_pub for table zero where (b > -4)');
my $other = new_target();
$pipeline = Pg2any::Pipeline->new(pg => $pg, target => $other, tee => { assemble => $file }, args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_copied(['zero']);
$pipeline->wait_caught_up;
$pg->do(q{begin; update zero set b = 100 where b = -8; update zero set b = '-0', n = 7 where b = 0; commit}, 'update zero set n = n + 1');
wait_for(sub { $pipeline->log_text('capture') =~ /read again/ }, 60, 'the row');
$pg->do('update zero set n = n + 1');
$pipeline->wait_caught_up;
is_deeply([map { [$_->[0] + 0, $_->[1]] } $other->rows('select b, n from zero order by b')], [[-3, 2], [-2, 2], [-1, 2], [0, 9], [100, 2]], 'a zero is not lost');
$pipeline->stop;
$pg->drop_slot('cdc_slot');

# Nobody has asked for the row when the file was made.
$file = fresh_name('frames');
$pipeline = Pg2any::Pipeline->new(pg => $pg, target => new_target(), tee => { assemble => $file }, args => { capture => ['--copy', 'initial'], apply => ['--skip-table', 'public.zero'] });
$pipeline->start;
$pipeline->wait_streaming;
wait_for(sub { $pipeline->log_text('capture') =~ /a table is copied/ }, 30, 'the copy');
$pg->do('update zero set b = 99 where b = -7');
$pipeline->wait_caught_up;
$pipeline->stop;
my $replay = Pg2any::Pipeline->new(target => new_target(), stages => ['apply'], input => $file);
$replay->start;
is($replay->wait_exit('apply', 30), 100, 'a file without the row: 100');
like($replay->log_text('apply'), qr/rows of relation \d+ lack values .*nobody is there to be asked.*--ack/, 'and it says so');

done_testing;

# A copied table gets the source's secondary indexes, as far as the target can have them, and they are in nobody's way:
# not in that of rows, of changes of the table, of a start anew.
# needs: postgres, any target

use Pg2any::Test;

sub pipeline {
    my ($pg, $target, @args) = @_;
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target,
        args => { capture => ['--copy', 'initial', @args] });
    $pipeline->start;
    $pipeline->wait_while_running(sub { return $target->has_table('item') && $target->has_table('by_hand')
        && $target->has_table('last') && $target->has_table('by_index') }, 60, 'the copies');
    $pipeline->wait_caught_up;
    return $pipeline;
}

sub wait_indexes {
    my ($target, $expected, $name, $table) = @_;
    my @indexes;
    if (!eval { wait_for(sub { @indexes = sort $target->other_indexes($table // 'item'); "@indexes" eq "@$expected" }, 60, 'indexes') }) {
        diag('there are: ', join '; ', @indexes);
    }
    is_deeply(\@indexes, $expected, $name);
    return;
}

plan skip_all => 'a file of SQL text has no indexes' if new_target()->kind eq 'text';
my $pg = Pg2any::Postgres->new;
$pg->do(
    'create table item (id int primary key, code varchar(20), n int, "a ""b"" \" varchar(5), late int, word varchar(9), at timestamptz)',
    q{insert into item select g, case when g > 5 then 'c' || g end, g % 10, 'x', g, g::text, 'epoch' from generate_series(1, 500) g},
    'create unique index item_code on item (code)', 'create unique index "odd "" name\" on item ("a ""b"" \", id desc)',
    'create unique index item_two on item (n, id)', 'create index item_n on item (n)', 'create index item_n2 on item (n, code)',
    'create unique index item_part on item (n, id) where n > 3', 'create unique index item_expression on item (id, (n + 1))',
    'create unique index item_include on item (code) include (n)', 'create index item_hash on item using hash (n)',
    'alter table item add constraint item_late unique (late) deferrable',
    'create table by_index (id int primary key, k int not null, n int unique)', 'create unique index by_index_k on by_index (k)',
    'alter table by_index replica identity using index by_index_k', 'insert into by_index values (1, 1, 1)',
    'create table by_hand (id int primary key, n int unique)', 'insert into by_hand values (1, 1)',
    'create table last (id int primary key)', 'create publication cdc_pub for all tables');
my $target = new_target();
# SQL Server takes texts for the same that others tell apart.
my $text = $target->kind eq 'mssql' ? 'plain' : 'unique';
my @unique = sort 'plain late', "$text a \"b\" \\,id", "$text code", 'unique n,id';
$target->make->do('create table by_hand (id int primary key, n int)');
my $pipeline = pipeline($pg, $target);
wait_indexes($target, \@unique, 'the unique ones, but for those that a target cannot have');
wait_indexes($target, ['plain k', 'unique n'], 'of a table that cannot be copied in chunks after all', 'by_index');
is_deeply([$target->other_indexes('by_hand')], [], 'a table made by hand is left as it is');

# What those indexes let pass at the source, they let pass at the target.
$pg->do('insert into item select g, null, null, null, g, null, null from generate_series(1001, 1010) g',
    q{update item set code = 'c6 ' where id = 7}, q{update item set code = 'C6' where id = 8},
    'begin; update item set late = late + 1 where id <= 500; commit',
    q{begin; update item set code = null where id = 9; update item set code = 'c9' where id = 10; commit});
$pipeline->wait_caught_up;
same_content($pg, $target, ['item'], 'rows that are no duplicates at the source are none here');

$pg->do('alter table item drop column code', 'insert into item values (2001, 1, $$x$$, 2001)',
    'alter table item alter column n type bigint', 'insert into item values (2002, 5000000000, $$y$$, 2002)');
$pipeline->wait_caught_up;
same_content($pg, $target, ['item'], 'a column that was in an index is dropped, and another gets a wider type');
ok(!(grep { /code/ } $target->other_indexes('item')), 'the index of a dropped column is gone, not narrower');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');
my @left = sort $target->other_indexes('item');
$pipeline->start;
$pg->do('insert into item values (2003, 1, $$x$$, 2003)');
$pipeline->wait_caught_up;
is_deeply([sort $target->other_indexes('item')], \@left, 'after a restart they are what they were');
$pipeline->stop;
if ($target->kind eq 'sqlite') {
    # As kill -9 leaves it between the commit of the rows and the index.
    $target->dbh->do(q{update pg2any_relation set frame = cast(substr(frame, 1, instr(frame, x'0a')) || ? ||
        substr(frame, instr(frame, x'0a') + 1) as blob) where name = 'item'}, undef, "index plain\tword\tword\n");
    $target->disconnect;
    $pipeline->start;
    wait_indexes($target, [sort @left, 'plain word'], 'one that was not made is made after a restart');
    $pipeline->stop;
}
$pg->drop_slot('cdc_slot');

my $once = new_target();
my $only = Pg2any::Pipeline->new(pg => $pg, target => $once, args => { capture => ['--copy', 'only', '--copy-chunk', '4kB'] });
$only->start;
is_deeply($only->wait_all(60), { capture => 0, assemble => 0, apply => 0 }, '--copy only ends');
is_deeply([sort $once->other_indexes('item')], [sort "$text a \"b\" \\,id", 'plain late', 'unique n,id'], 'when the indexes are there');

# A table that is copied again where it is, because it has more than pg2any made.
my @again = (sort $once->other_indexes('item'), 'plain word');
$once->dbh->do('create index mine on item (word)');
$once->disconnect;
my $follow = Pg2any::Pipeline->new(pg => $pg, target => $once, args => { capture => ['--copy', 'initial'] });
$follow->start;
$follow->wait_streaming;
$pg->do('alter table item add column u uuid default gen_random_uuid()', 'update item set n = n');
$follow->wait_while_running(sub { $follow->log_text('apply') =~ /msg="a table is copied" schema=public table=item/ }, 30, 'the copy');
$follow->wait_caught_up;
same_content($pg, $once, ['item'], 'a table that is copied again in its place');
wait_indexes($once, [sort @again], 'keeps its indexes');
unlike($follow->log_text('apply'), qr/index of the source is not created/, 'and there is nothing to be said of them');
$follow->stop;
$pg->drop_slot('cdc_slot');

$pg->do('alter table item add column code varchar(20)', 'create index item_code on item (code, n)', 'create index item_word on item (word)');
my @all = sort 'plain code,n', 'plain late', 'plain n', 'plain word', "$text a \"b\" \\,id", 'unique n,id';
my $with_all = new_target();
my $all = pipeline($pg, $with_all, '--copy-indexes', 'all', '--copy-chunk', '4kB');
wait_indexes($with_all, \@all, '--copy-indexes all: the others, too; of a table that comes in chunks');
$all->stop;
$pg->drop_slot('cdc_slot');

my $bare = new_target();
my $none = pipeline($pg, $bare, '--copy-indexes', 'none');
is_deeply([$bare->other_indexes('item')], [], '--copy-indexes none: none');
$none->stop;
$pg->drop_slot('cdc_slot');

# One that cannot be made is a line in the log. The name of a key is MySQL's own; values of text are too long
# for SQL Server; in SQLite a name may be taken.
my $relid = $pg->value(q{select 'item'::regclass::oid});
$pg->do('create unique index "PRIMARY" on item (word, id)', 'alter table item add column t text', 'create unique index item_t on item (t)');
my $odd = new_target();
if ($odd->kind eq 'sqlite') {
    $odd->make->do($_) for 'create table other (n)', qq{create index "pg2any_index_item_${relid}_item_t" on other (n)};
}
my $some = pipeline($pg, $odd);
$some->wait_while_running(sub { $some->log_text('apply') =~ /msg="an index of the source is not created".*again=never/ }, 60, 'a warning');
$pg->do(q{insert into item values (3001, 1, 'x', 3001)});
$some->wait_caught_up;
same_content($pg, $odd, ['item'], 'an index that cannot be made stops nothing');
$some->stop;

done_testing;

# Names that need quoting, names that are long, tables with very many columns and with none.
# needs: postgres

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(publication => 'for all tables');

sub quoted { return $pg->dbh->quote_identifier(@_) }

# ---- names ----

my @names = (
    'select', 'table', 'group', 'with blank',
    ' leading and trailing ', 'with"quote', q{with'apostrophe}, 'a;b--c',
    'a/*b*/', 'a[b]', 'a`b', 'back\\slash',
    '%s%n', '?1', ':name', '$1',
    '@x', '1digit', '#', 'UPPER',
    'Mixed Case', 'ünïcödé', '表', '😀',
    "tab\there", "line\nbreak", "cr\r\n", 'a.b.c',
    'x' x 63, 'é' x 31, 'rowid', 'main',
    'temp', 'NULL', '0',);
my $n = 0;
for my $name (@names) {
    my ($table, $id, $value) = map { quoted($_) } $name, "$n $name" =~ s/\A(.{40}).*/$1/sr, $name;
    my $column = $name eq 'rowid' ? '"ROWID"' : $value;
    $pg->do("create table $table ($id int, $column text, primary key ($id))");
    $pg->do("alter table $table replica identity full") if $n++ % 3 == 0;
    $pg->do(
        "insert into $table values (1, 'one'), (2, 'two'), (3, null)",
        "update $table set $column = $id || 'x' where $id < 3",
        "update $table set $id = 10 where $id = 1",
        "delete from $table where $id = 2");
}
$pipeline->wait_caught_up;
same_content($pg, $target, ["public.$_"],
    'a table and a column called ' . $_ =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ger)
    for @names;

# PostgreSQL cuts names at 63 bytes, in the middle of nothing: the stream has what is left.
my $long = 'n' x 64;
$pg->do(
    "create table $long (c$long int primary key, d$long text)",
    "insert into $long values (1, 'x'), (2, 'y')",
    "delete from $long where c$long = 1");
$pipeline->wait_caught_up;
same_content($pg, $target, ['n' x 63],
    'a name of 64 bytes arrives cut to 63, as PostgreSQL has it');

$pg->do(
    'create schema "odd ""schema"" 表"',
    'create table "odd ""schema"" 表"."odd ""table""" (id int primary key, "odd ""column""" int)',
    'insert into "odd ""schema"" 表"."odd ""table""" values (1, 1), (2, 2)',
    'update "odd ""schema"" 表"."odd ""table""" set "odd ""column""" = 7 where id = 2');
$pipeline->wait_caught_up;
same_content($pg, $target, ['odd "schema" 表.odd "table"'], 'an odd schema');

# ---- many columns, no columns ----

for my $identity ('default', 'full', 'none') {
    my $table = "wide_$identity";
    my $key = $identity eq 'none' ? 'int' : 'int primary key';
    $pg->do("create table $table (" . join(', ', "c0 $key", map {"c$_ int"} 1 .. 1599) . ')');
    $pg->do("alter table $table replica identity full") if $identity ne 'default';
    $pg->do(
        "insert into $table (c0, c1, c800, c1599) select g, g, null, g from generate_series(1,
            10) g",
        "insert into $table select "
            . join(', ', map {"g + $_"} 100 .. 1699)
            . ' from generate_series(1, 3) g',
        "update $table set c1599 = -1, c7 = 5 where c0 < 4",
        "update $table set c0 = c0 + 1000 where c0 = 5",
        "delete from $table where c0 in (2, 102)");
    $pipeline->wait_caught_up;
    same_content($pg, $target, [$table], "1,600 columns, identity $identity");
}
# A statement for each set of columns that is written: more sets than are kept.
$pg->do(
    'create table sets ('
        . join(', ', 'id int primary key', 'n int', map { ("t$_ text") } 1 .. 6) . ')',
    (map {"alter table sets alter t$_ set storage external"} 1 .. 6),
    'insert into sets select g, 0'
        . (', repeat(md5(g::text), 200)' x 6)
        . ' from generate_series(1, 4) g');
$pg->do(
    map {
        my $mask = $_;
        'update sets set n = n + 1'
            . join('', map { $mask & 1 << $_ - 1 ? ", t$_ = t$_ || 'x'" : '' } 1 .. 6)
    } 0 .. 63,
    0 .. 63);
$pipeline->wait_caught_up;
same_content($pg, $target, ['sets'], 'updates that leave out every set of unsent values');

$pg->do(
    'create table no_columns ()',
    'alter table no_columns replica identity full',
    (('insert into no_columns default values') x 5));
$pipeline->wait_caught_up;
is($target->value('select count(*) from no_columns'),
    5, 'a table without columns: rows are counted');
$pg->do('delete from no_columns where ctid = (select min(ctid) from no_columns)');
$pipeline->wait_caught_up;
is($target->value('select count(*) from no_columns'), 4, 'a table without columns: one row less');
$pg->do('truncate no_columns', 'insert into no_columns default values');
$pipeline->wait_caught_up;
is($target->value('select count(*) from no_columns'), 1, 'a table without columns: TRUNCATE');
# Its rows are all equal, so a delete is of any one of them: no column identifies a row, and that is not
# the lack of a replica identity.
$pg->do(
    'create table new_and_bare ()',
    'alter table new_and_bare replica identity full',
    (('insert into new_and_bare default values') x 3),
    'delete from new_and_bare where ctid = (select min(ctid) from new_and_bare)');
$pipeline->wait_caught_up;
is($target->value('select count(*) from new_and_bare'), 2, 'a row of a table without columns is deleted');

is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

# ---- names that SQLite cannot have: a clear end ----

my $slot = 0;
sub refused {
    my ($name, $like, @sql) = @_;
    my $origin = 'refused_' . ++$slot;
    my $pair =
        Pg2any::Pipeline->new(pg => $pg, target => new_target(origin => $origin), slot => $origin);
    $pair->start;
    $pair->wait_streaming;
    $pg->do(@sql);
    is($pair->wait_exit('apply'), 100, "$name: exit 100");
    like($pair->log_text('apply'), $like, "$name: and it says why");
    $pair->wait_all;
    $pg->drop_slot($origin);
    return;
}
refused(
    'two columns whose names differ in case only',
    qr/level=error.*twin.*duplicate column name/,
    'create table twin ("Id" int primary key, "ID" int)',
    'insert into twin values (1, 2)');
refused(
    'a table called sqlite_…',
    qr/level=error.*sqlite_mine.*begin with sqlite_ for itself.*--schema-map/,
    'create table sqlite_mine (id int primary key)',
    'insert into sqlite_mine values (1)');
refused(
    'a table called pg2any_checkpoint',
    qr/level=error.*pg2any_checkpoint.*--schema-map/,
    'create table pg2any_checkpoint (id int primary key)',
    'insert into pg2any_checkpoint values (1)');
refused(
    'two tables whose names differ in case only',
    qr/level=error.*another relation/,
    'create table "Pair" (id int primary key)',
    'create table "pair" (id int primary key)',
    'insert into "Pair" values (1)',
    'insert into "pair" values (2)');

done_testing;

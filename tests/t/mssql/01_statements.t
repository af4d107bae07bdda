# Every shape of statement that the applier sends is in the list of docs/MSSQL.md, and every shape in
# the list was seen here: the peer's log against the document.
# needs: one postgres, mssql target, time

use Pg2any::MSSQL;
use Pg2any::Test;

my $doc = Pg2any::Postgres::read_file('docs/MSSQL.md');
utf8::decode($doc);
my ($list) = $doc =~ /^## Statements\n(.*?)(?=^## |\z)/ms;
my %documented = map { $_ => 1 } map { s/\A    //r } grep { /\A    \S/ } split /\n/, $list;
cmp_ok(scalar keys %documented, '>', 30, 'docs/MSSQL.md lists statements');

# Names, literals, numbers and types vary, and how many of them there are.
sub shape {
    my ($text) = @_;
    my $sql = $text =~ s/N'(?:[^']|'')*'/N'…'/gr;
    $sql =~ s/0x[0-9a-f]+/0x…/g;
    $sql =~ s/'\$\[\d+\]'/PATH/g;
    $sql =~ s/\[(?:[^\]]|\]\])*\](?:\.\[(?:[^\]]|\]\])*\])+/[table]/g;
    $sql =~ s/\[(?!table\])(?:[^\]]|\]\])*\]/[name]/g;
    $sql =~ s/\[name\]\.sys\./sys./g;
    my $type = qr/(?:n?var(?:char|binary)|decimal|datetime2|datetimeoffset|time|float)\([\w,]+\)|(?:big|small)?int|tinyint|bit|real|date|uniqueidentifier|money/;
    my $column = qr/c\d+/;
    # The rows, as JSON and as literals.
    $sql =~ s/$column $type PATH(?:, $column $type PATH)*/c0 TYPE PATH, …/g;
    $sql =~ s/CONVERT\($type, v\.$column\) AS $column(?:, CONVERT\($type, v\.$column\) AS $column)*/CONVERT(TYPE, v.c0) AS c0, …/g;
    $sql =~ s/\(VALUES .*?\) AS v \($column(?:, $column)*\)/(VALUES (…), …) AS v (c0, …)/gs;
    # A value of a row, what it is compared with.
    my $value = qr/(?:j\.$column|CONVERT\(varbinary\(max\), j\.$column, 2\))/;
    $sql =~ s/ COLLATE \w+//g;
    my $equal = qr/t\.\[name\] = $value(?: AND DATALENGTH\(t\.\[name\]\) = DATALENGTH\($value\))?/;
    my $same = qr/\($equal OR \(t\.\[name\] IS NULL AND j\.$column IS NULL\)\)/;
    $sql =~ s/$same(?: AND $same)*/SAME/g;
    $sql =~ s/$equal(?: AND $equal)*/EQUAL/g;
    $sql =~ s/NOT EXISTS \(SELECT 1 FROM \[table\] AS t WHERE SAME\)(?: AND NOT EXISTS \(SELECT 1 FROM \[table\] AS t WHERE SAME\))*/NOT EXISTS (SELECT 1 FROM [table] AS t WHERE SAME), …/g;
    $sql =~ s/\[name\] = $value(?:, \[name\] = $value)*/[name] = VALUE, …/g;
    $sql =~ s/SELECT $value(?:, $value)* FROM/SELECT VALUE, … FROM/g;
    my $read = qr/(?:\[name\]|CONVERT\(nvarchar\(60\), (?:\[name\](?:, 121)?|CONVERT\(decimal\(19,4\), \[name\]\))\))/;
    $sql =~ s/\ASELECT $read(?:, $read)* FROM \[table\]\z/SELECT READ, … FROM [table]/;
    # Definitions, lists of names.
    $sql =~ s/\[name\] $type (?:NOT )?NULL(?:, \[name\] $type (?:NOT )?NULL)*(?=, PRIMARY|\))/[name] TYPE [NOT] NULL, …/g;
    $sql =~ s/(ADD|ALTER COLUMN) \[name\] $type (?:NOT )?NULL/$1 [name] TYPE NULL/g;
    $sql =~ s/PRIMARY KEY (?:NON)?CLUSTERED/PRIMARY KEY [NON]CLUSTERED/g;
    $sql =~ s/\(\[name\](?:, \[name\])*\)/([name], …)/g;
    $sql =~ s/WHERE \[name\] IS NOT NULL(?: AND \[name\] IS NOT NULL)*/WHERE [name] IS NOT NULL AND …/g;
    $sql =~ s/(?:OBJECT_ID\(N'…', N'U'\), )+OBJECT_ID\(N'…', N'U'\)/OBJECT_ID(N'…', N'U'), …/g if $sql =~ /parent_object_id/;
    $sql =~ s/LOCK_TIMEOUT \d+/LOCK_TIMEOUT N/;
    $sql =~ s/(relid [=>] |timeline = |VALUES \(N'…', )\d+/$1N/g;
    $sql =~ s/(?<=N'…', )\d+(?=\)\z)/N/;
    $sql =~ s/\AIF \@\@TRANCOUNT = 1 UPDATE \[table\] SET \[name\] = \K.*/LITERAL/s;
    $sql =~ s/commit_time = (?:NULL|N'…')/commit_time = N'…'/g;
    $sql =~ s/VALUES \(N'…', N'…', NULL, /VALUES (N'…', N'…', N'…', /g;
    return $sql;
}

# Everything that can be sent: each kind of table and change, and what goes wrong, at both levels.
my $pg = Pg2any::Postgres->new;
my @TABLES = (
    'create table t (id int primary key, v text, b bytea, n numeric(5, 2), at timestamptz)', 'create table k (k text, b bytea, v int, primary key (k, b))',
    'create table f (a int, b text)', 'alter table f replica identity full', 'create table ident (id int primary key, v int)', 'create table none ()', 'alter table none replica identity full',
    'create table g (a int not null, v int)', 'create unique index g_u on g (a)', 'alter table g replica identity using index g_u', 'create table sales.s (id int primary key)',
    'create table old.o (id int primary key, v int)', 'create table parent (id int primary key)', 'create table child (id int primary key, p int)',
);
$pg->do('create schema sales', 'create schema old', 'create publication cdc_pub for all tables');
my %seen;
for my $level (160, 120) {
    for my $conflict ('stop', 'apply') {
        my $server = Pg2any::MSSQL->new(fast => 1, name => "peer-$level-$conflict", level => $level, databases => ['far']);
        my $slot = "s_${level}_$conflict";
        my $target = new_target(kind => 'mssql', server => $server, origin => $slot, schema_map => { public => 'dbo', sales => '[far].[dbo]' });
        $target->dbh->do('create table ident (id int identity primary key, v int)', 'create table parent (id int primary key)',
            'create table child (id int primary key, p int references parent (id))');
        $pg->do('drop table if exists t, k, f, ident, none, g, sales.s, old.o, parent, child', @TABLES);
        my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot, args => { apply => ['--conflict', $conflict] });
        $pipeline->start;
        $pipeline->wait_streaming;
        for my $sql (
            q{insert into t select g, 'v', '\x00', 1, now() from generate_series(1, 5) g}, q{insert into t values (6, 'v', '\x00', 1, now())}, q{update t set v = 'w'}, q{update t set v = 'w' where id = 1},
            'update t set id = -id where id < 3', 'delete from t where id = 3', 'delete from t', q{insert into k values ('a', '\x01', 1), ('b', '\x02', 2)}, 'update k set v = 3', 'delete from k',
            q{insert into f values (1, 'a'), (null, null), (2, 'b')}, 'update f set a = 7', 'delete from f', 'insert into ident values (1, 1), (2, 2)', 'update ident set v = 5', 'update ident set id = 9 where id = 1',
            'insert into none default values', 'delete from none', 'insert into g values (1, 1), (2, 2)', 'update g set v = 3', 'delete from g', 'insert into sales.s values (1)', 'truncate sales.s',
            'insert into parent values (1)', 'insert into child values (1, 1)', 'truncate t', 'truncate parent, child', 'alter table t add column c int default 4', 'insert into t (id) values (1)',
            'alter table t rename column c to d', 'insert into t (id) values (2)', 'alter table t drop column d', 'insert into t (id) values (3)', 'insert into old.o values (1, 1)', 'alter table old.o set schema sales',
            'alter table sales.o rename to p', 'alter table sales.p set schema old', 'insert into old.p values (2, 2)', 'alter table old.p rename column v to w', 'insert into old.p values (3, 3)', 'alter table old.p set schema public',
            'insert into p values (4, 4)', 'alter table p alter id type bigint', 'insert into p values (5, 5)', 'alter table g alter a type bigint', 'insert into g values (6, 6)', 'alter table p rename to o', 'alter table o set schema old',
            'alter table old.o rename column w to v') {
            # The catalog describes rows as it is when they are read.
            $pipeline->wait_caught_up if $sql =~ /\Aalter/;
            $pg->do($sql);
        }
        if ($pipeline->running && $conflict eq 'apply') {
            # Rows that are missing, and that are there.
            $target->dbh->do('insert into ident (v) values (1)') ;
            $pg->do(q{insert into k values ('x', '\x01', 1), ('y', '\x02', 2)});
            $pipeline->wait_caught_up;
            $target->dbh->do(q{delete from k where k = N'x'});
            $pg->do('update k set v = 9', 'delete from k');
            $pipeline->wait_caught_up;
        }
        $server->fault(match => '^COMMIT', action => 'error', number => 1205, severity => 13);
        $pg->do('insert into f values (5, null)', 'delete from f');
        eval { $pipeline->wait_caught_up } or diag(grep { /level=error/ } split /^/, $pipeline->log_text('apply'));
        $pipeline->stop if $pipeline->running;
        run_tool('apply-mssql', args => ['--dest', $target->dest, '--origin', $slot, '--drop-checkpoint']);
        $seen{ shape($_->{text}) } //= $_->{text} for $server->statements;
    }
}
# The indexes of a table that is copied.
$pg->do('create table u (id int primary key, a int unique, b text unique)', 'insert into u values (1, 1, null)', 'create publication u_pub for table u');
my $copied = new_target(kind => 'mssql', server => Pg2any::MSSQL->new(fast => 1, name => 'peer-copy'), origin => 's_copy');
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $copied, slot => 's_copy', publication => 'u_pub', args => { capture => ['--copy', 'initial'] });
$pipeline->start;
$pipeline->wait_while_running(sub { $copied->has_table('u') && $copied->other_indexes('u') }, 30, 'the index');
$pg->do('alter table u drop column a', 'insert into u values (2, $$x$$)');
$pipeline->wait_caught_up;
is_deeply([$copied->other_indexes('u')], [], 'an index goes with its column');
$pipeline->stop;
my $rows = fresh_name('rows.frames');
my $capture = Pg2any::Process->start(name => 'pg-capture', argv => [Pg2any::Pipeline::tool('pg-capture'), '--rows', 'all', '--publication', 'u_pub'],
    stdout => $rows, stderr => fresh_name('rows.log'), env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri });
is($capture->wait_exit(30), 0, 'rows to compare');
my ($status, $said) = run_tool('apply-mssql', args => ['--dest', $copied->dest, '--origin', 's_copy', '--compare', 'all', '--schema-map', 'public:dbo'], stdin => $rows);
is($status, 0, 'equal') or diag($said);
$seen{ shape($_->{text}) } //= $_->{text} for $copied->server->statements;

for my $shape (sort keys %seen) {
    ok($documented{$shape}, 'a statement that was seen is documented') or diag("$shape\nfrom $seen{$shape}");
}
for my $shape (sort keys %documented) {
    ok($seen{$shape}, "documented and seen: $shape");
}

done_testing;

# Tables that are full, copied into SQLite and MariaDB at once through frame-tee, under a mixed load: keys that change, deletes,
# truncates, savepoints, TOASTed values that are not sent, with kill -9 of a random stage every few seconds. Equal in the
# end; no table is copied again that was there, and nothing takes much memory. `make check-copy` is the same with more.
#
# PG2ANY_TARGETS: their kinds (sqlite,mysql). PG2ANY_ROWS: of all tables (50000). PG2ANY_KILLS: at least (6). PG2ANY_SEED: chooses stages, moments and changes.
# needs: one postgres, mariadb, time

use Pg2any::Chaos;
use Pg2any::Front;
use Pg2any::Load;
use Pg2any::MySQL;
use Pg2any::Test;

my $rows = $ENV{PG2ANY_ROWS} // 50_000;
my $kills = $ENV{PG2ANY_KILLS} // 6;
my $seed = $ENV{PG2ANY_SEED} // int rand 1_000_000;
my $MOST_MEMORY_KB = 100_000;
my $FAR = 1_000_000_000;
diag("PG2ANY_SEED=$seed PG2ANY_ROWS=$rows PG2ANY_KILLS=$kills");
srand $seed;

my %part = (keyed => 0.4, bag => 0.1, term => 0.1, rooted => 0.15, leaves => 0.15, toasted => 0.02, short => 0.08);
my %n = map { ($_ => int $rows * $part{$_}) } keys %part;
my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB', max_wal_size => '4GB' });
my ($collation) = $pg->value(q{select quote_ident(collname) from pg_collation where collname = 'en-x-icu'}) // '"C"';
$pg->do(Pg2any::Load::schema(),
    'create table keyed (id int primary key, n int not null, pad text)',
    "insert into keyed select g, 0, repeat('x', g % 100) from generate_series(1, $n{keyed}) g",
    'create table bag (n int, t text)', 'alter table bag replica identity full',
    "insert into bag select g % 1000, 'same' from generate_series(1, $n{bag}) g",
    qq{create table term (name text collate $collation, kind int, n int not null, primary key (name, kind))},
    "insert into term select (array['Ä', 'a', 'A', 'z', 'É', '_', 'ß'])[1 + g % 7] || substr(md5(g::text), 1, 5) || g, g % 3, 0"
        . " from generate_series(1, $n{term}) g",
    (map { ("create table $_ (id bigint primary key, n int not null, t text) partition by range (id)",
        "create table ${_}_1 partition of $_ for values from (minvalue) to (" . int($n{$_} / 2) . ')',
        "create table ${_}_2 partition of $_ for values from (" . int($n{$_} / 2) . ') to (maxvalue)',
        "insert into $_ select g, 0, 'r' || g from generate_series(1, $n{$_}) g") } qw(rooted leaves)),
    'create table toasted (id int primary key, big text, n int not null)', 'alter table toasted alter big set storage external',
    "insert into toasted select g, repeat(md5(g::text), 100), 0 from generate_series(1, $n{toasted}) g",
    'create table short (id int primary key, t text)', "insert into short select g, 's' from generate_series(1, $n{short}) g",
    'create publication cdc_pub for table account, entry, word, keyed, bag, term, leaves, toasted, short',
    'create publication cdc_root for table rooted with (publish_via_partition_root)');
my @tables = (@Pg2any::Load::TABLES, qw(keyed bag term rooted leaves_1 leaves_2 toasted short));

sub one_of { my ($table) = @_; return 1 + int rand $n{$table} }

my @changes = (
    sub { my $id = one_of('keyed'); return "update keyed set n = n + 1 where id between $id and $id + 20" },
    sub { my $id = one_of('keyed'); return "delete from keyed where id between $id and $id + 2" },
    sub { my $id = one_of('keyed'); return "insert into keyed values ($id, -1, 'again') on conflict (id) do update set n = -1" },
    sub { my $id = one_of('keyed'); return "update keyed set id = id + $FAR where id = $id and not exists (select from keyed where id = $id + $FAR)" },
    sub { my ($from, $to) = (one_of('keyed'), one_of('keyed'));
        return "update keyed set id = $to, n = n + 1 where id = $from and not exists (select from keyed where id = $to)" },
    sub { my ($from, $to) = (one_of('toasted'), one_of('toasted'));
        return "update toasted set id = $to, n = n + 1 where id = $from and not exists (select from toasted where id = $to)" },
    sub { my $id = one_of('toasted'); return "update toasted set n = n + 1 where id between $id and $id + 5" },
    sub { my $id = one_of('toasted'); return "update toasted set big = repeat(md5(n::text), 90) where id = $id" },
    sub { my $n = int rand 1000; return "delete from bag where ctid in (select ctid from bag where n = $n limit 3)" },
    sub { my $n = int rand 1000; return "insert into bag select $n, 'same' from generate_series(1, 4)" },
    sub { my $n = int rand 1000; return "update bag set t = t || '!' where ctid in (select ctid from bag where n = $n limit 2)" },
    sub { my $s = substr 'ÄaAzÉ_ß', int rand 7, 1; my $n = int rand 1000;
        return "update term set name = 'M' || name, n = n + 1 where name in (select name from term where name > '$s' order by name offset $n limit 2)"
            . " and not exists (select from term o where o.name = 'M' || term.name and o.kind = term.kind)" },
    sub { my $id = one_of('rooted'); my $to = one_of('rooted');
        return "update rooted set id = $to where id = $id and not exists (select from rooted where id = $to)" },
    sub { my $id = one_of('leaves'); my $to = one_of('leaves');
        return "update leaves set id = $to where id = $id and not exists (select from leaves where id = $to)" },
    sub { my $id = one_of('rooted'); return "update rooted set n = n + 1 where id between $id and $id + 10" },
    sub { my $id = one_of('leaves'); return "delete from leaves where id between $id and $id + 3" },
    sub { return ('savepoint s', 'update keyed set n = 1000 where id < 50', "delete from short where id < 100", 'rollback to s') },
    sub { return rand() < 0.05 ? ('truncate short', q{insert into short select g, 't' from generate_series(1, 500) g})
        : 'insert into short values (' . int(rand $FAR) . q{, 'new') on conflict do nothing} },
);

sub change {
    my ($dbh) = @_;
    $dbh->begin_work;
    for (1 .. 1 + int rand 4) {
        $dbh->do($_) for $changes[rand @changes]->();
    }
    rand() < 0.1 ? $dbh->rollback : $dbh->commit;
    return;
}

my @targets = map { new_target(kind => $_, $_ eq 'mysql' ? (server => Pg2any::MySQL->new(fast => 1)) : ()) }
    split /,/, $ENV{PG2ANY_TARGETS} // 'sqlite,mysql';
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { CDC_COPY => 'initial', CDC_COPY_CHUNK => $rows > 500_000 ? '1MB' : '32kB',
    CDC_PUBLICATION => 'cdc_pub,cdc_root', CDC_TWO_PHASE => 'on', CDC_MEMORY_LIMIT => '1MB', CDC_LOG_LEVEL => 'debug',
    (grep { $_->kind eq 'mssql' } @targets) ? (CDC_SCHEMA_MAPPING => 'public:dbo') : () });
my $chaos = Pg2any::Chaos->new(pg => $pg, front => $front);
# Before the writers: a server may not be able to decode ("could not map filenode") what ran with a TRUNCATE while a slot was made.
$pg->do(q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput', false, true)});
my @writers = Pg2any::Load::start($pg, writers => 2, seed => $seed, pause => 0.1, big => 300, prepare => 1);
wait_for(sub { $pg->value('select count(*) from account') > 100 }, 60, 'rows that are there before');
$front->start;

my %relid = map { ($_ => $pg->value("select '$_'::regclass::oid")) } @tables;

sub is_copied {
    my ($target) = @_;
    my %line = map { ($_->[0] => $_->[1] =~ /\A(cop[^\n]*)\n/ ? $1 : '') } eval { $target->rows('select relid, frame from pg2any_relation') };
    return !grep { ($line{$_} // '') !~ /\Acopied \S+ \S+(?: until \S+)?\z/ } values %relid;
}

# The load waits where the stream is that far behind: on a slow machine it would never catch up.
sub may_change {
    return $pg->value(q{select coalesce(max(pg_current_wal_lsn() - confirmed_flush_lsn), 0) < 67108864 from pg_replication_slots});
}

my (%memory, %killed);
my ($done, $next_kill) = (0, now() + 2);
my $log = '';
my $dbh = $pg->connect;
my $end = now() + 300 + $rows / 300 + 30 * $kills;
my $stages = () = $front->stages;
while ($done < $kills || grep { !is_copied($_) } @targets) {
    die "not copied in time\n" if now() > $end;
    die 'pg2any has ended: ', $front->log_text =~ /(.*kind=permanent.*\n)/ ? $1 : "\n" if !$front->process->running;
    Pg2any::Load::check(@writers);
    if (may_change()) {
        change($dbh) for 1 .. 20;
    }
    for my $stage ($front->stages) {
        my $pid = $chaos->pid($stage) or next;
        my ($kb) = Pg2any::Postgres::read_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m or next;
        $memory{$stage} = $kb if $kb > ($memory{$stage} // 0);
    }
    if ($done < $kills && now() > $next_kill) {
        my $stage = ($front->stages)[rand $stages];
        my $pid = $chaos->pid($stage) or next;
        $killed{$stage}++, $done++ if kill 'KILL', $pid;
        # It would wait longer each time before it starts them again; its log is written anew.
        $front->stop;
        $log .= $front->log_text;
        $front->start;
        # Where there are many rows the stream has more to pass before the copies go on.
        $next_kill = now() + 1 + rand 3 + $rows / 250_000;
    }
    let_pass(0.05);
}
change($dbh) for 1 .. 50;
Pg2any::Load::stop(@writers);
$front->wait_caught_up(300);
diag(join ', ', "$done kills (" . join(' ', map {"$_ $killed{$_}"} sort keys %killed) . ')',
    'most memory: ' . join ' ', map { sprintf '%s %d MB', $_, $memory{$_} / 1000 } sort keys %memory);
same_content($pg, $_, \@tables, 'the target equals the source: ' . $_->kind) for @targets;
my %copied;
$log .= $front->log_text;
$copied{"$1 $2"}++ while $log =~ /tool=(apply-\w+) .*msg="a table is copied" schema=public table=(\S+)/g;
is_deeply([grep { $copied{$_} > 1 } sort keys %copied], [], 'no table is copied again that was there');
# An applier that is killed behind its commit does not say it.
cmp_ok(scalar(keys %copied), '>=', @targets * @tables - $kills, 'and the log shows their copies');
my ($sent, $rows_sent, %chunk) = (0, 0);
$sent++, $rows_sent += $2, $chunk{"$1 $3"}++
    while $log =~ /msg="rows of a table are sent" schema=public table=(\S+) rows=(\d+) from=(\d+)/g;
diag("$rows_sent rows were sent in $sent chunks, of which " . keys(%chunk) . ' are different');
# A kill is a break, and what is stopped behind it, when it may be up again already. What the pipes held is sent again, a few
# chunks; a copy that began anew would repeat half a table.
my $starts = () = $log =~ /tool=pg-capture .*msg=connected connection=catalog/g;
cmp_ok($sent - keys %chunk, '<', 4 * $starts, 'a break repeats what was under way, not the table');
is_deeply([grep { $memory{$_} > $MOST_MEMORY_KB } sort keys %memory], [], 'and nothing takes much memory');
is($front->stop, 0, 'asked to stop, it leaves with 0');

done_testing;

# pg2any compare beside a pipeline under load: no false alarm, though rows go to and fro as fast as they can, though commits
# are seen late, and what is there to be found is found. kill -9 in the middle leaves nothing behind; memory is bounded.
# needs: one postgres, any target, time

use DBD::Pg qw(:async);
use Pg2any::Front;
use Pg2any::Load;
use Pg2any::Test;

plan(skip_all => 'what is there cannot be read back') if ($ENV{TARGET} // '') =~ /\Atext\z/;

my $ROUNDS = $ENV{PG2ANY_ROUNDS} // 8;
my $pg = Pg2any::Postgres->new(settings => { synchronous_standby_names => 'nobody', synchronous_commit => 'local' });
my $target = new_target();
$pg->do(Pg2any::Load::schema(), 'create table restless (id int primary key, n int)', 'insert into restless select g, 0 from generate_series(1, 20) g',
    'create table bag (n int)', 'alter table bag replica identity full', 'insert into bag select g % 10 from generate_series(1, 100) g',
    'create table quiet (id int primary key, v text)', q{insert into quiet select g, 'v' from generate_series(1, 1000) g},
    'create publication cdc_pub for all tables');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => 'initial',
    $target->kind eq 'mssql' ? (CDC_SCHEMA_MAPPING => 'public:dbo') : () });
$front->start;
wait_for(sub { eval { ($target->value('select count(*) from quiet') // 0) == 1000 && ($target->value('select count(*) from bag') // 0) == 100
    && $target->has_table('word') } }, 60, 'the copy');
$front->wait_caught_up;

# Values that go to and fro, a row that comes and goes, one of a table without a key: as fast as the server lets them.
my $lib = $INC{'Pg2any/Wait.pm'} =~ s{/Pg2any/Wait\.pm\z}{}r;
my @restless = map {
    Pg2any::Process->start(name => 'restless', stderr => fresh_name('restless.log'), argv => [$^X, "-I$lib", '-MDBI', '-MPg2any::Wait=let_pass', '-e', <<'END', $pg->port, $_])
my ($port, $what) = @ARGV;
my $stop = 0;
$SIG{TERM} = sub { $stop = 1 };
my $dbh = DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;dbname=postgres", 'postgres', '', { RaiseError => 1, AutoCommit => 1 });
my @turns = $what ? ('delete from restless where id = 7', 'insert into restless values (7, 0)', 'insert into bag values (77)', 'delete from bag where n = 77')
    : ('update restless set n = 1 where id < 7', 'update restless set n = 0 where id < 7');
until ($stop) { for my $sql (@turns) { $dbh->do($sql); let_pass(0.002) } }
END
} 0, 1;
my @writers = Pg2any::Load::start($pg, writers => 2, seed => 7, big => 300);

my ($rounds, @wrong, %results) = (0);
for (1 .. $ROUNDS) {
    my ($status, $out, $err) = $front->command(['compare'], limit => 120);
    push @wrong, "exit $status\n$out$err" if $status == 1 || $status == 100 || $out =~ /differ/;
    $results{$1}++ while $out =~ / s  (\S+)/g;
    Pg2any::Load::check(@writers);
    $rounds++;
}
is_deeply(\@wrong, [], "$rounds rounds under load: no false alarm");
cmp_ok($results{equal} // 0, '>=', $ROUNDS * 4, 'most are decided') or diag(explain(\%results));

# What is there is found, under the same load.
my $sql = sub { return $target->sql_name('public', $_[0]) };
my $dbh = $target->dbh;
$dbh->do('update ' . $sql->('quiet') . q{ set v = 'w' where id = 500});
$dbh->do('delete from ' . $sql->('quiet') . ' where id = 501');
$dbh->do('update ' . $sql->('restless') . ' set n = 5 where id = 15');
$dbh->do('insert into ' . $sql->('restless') . ' values (1000, 1)');
$dbh->do('insert into ' . $sql->('bag') . ' values (3)');
$target->disconnect;
my $keys = fresh_name('keys');
my ($status, $out, $err) = $front->command(['compare', '--keys', $keys, 'public.quiet', 'public.restless', 'public.bag'], limit => 120);
is($status, 1, 'planted differences under load: exit 1') or diag("$out$err");
is_deeply([sort split /\n/, Pg2any::Postgres::read_file($keys)],
    [sort "different\tpublic\tquiet\tid\t500", "missing\tpublic\tquiet\tid\t501", "different\tpublic\trestless\tid\t15",
        "extra\tpublic\trestless\tid\t1000", "extra\tpublic\tbag\tn\t3"], 'all of them, and nothing else') or diag($out);

Pg2any::Load::stop(@writers);
$_->stop('TERM', 60) for @restless;

# ---- a commit that the target has, and others do not see ----

my $hidden = $pg->connect;
my ($pid) = $hidden->selectrow_array('select pg_backend_pid()');
$hidden->do('set synchronous_commit = on');
$hidden->do(q{update quiet set v = 'hidden' where id < 10}, { pg_async => PG_ASYNC });
wait_for(sub { ($pg->value('select wait_event from pg_stat_activity where pid = ?', $pid) // '') eq 'SyncRep' }, 30, 'a commit that waits');
wait_for(sub { ($target->value('select count(*) from quiet where v = ?', 'hidden') // 0) == 9 }, 30, 'the target to have it');
my $rollbacks = $pg->value('select xact_rollback from pg_stat_database where datname = current_database()');
my $late = Pg2any::Process->start(name => 'compare', argv => [Pg2any::Pipeline::tool('pg2any'), 'compare', 'public.quiet'],
    stdout => my $late_out = fresh_name('late'), stderr => my $late_err = fresh_name('late.log'), env => $front->environment);
# It has looked, and takes a snapshot again and again for the next look.
wait_for(sub { !$late->running || $pg->value('select xact_rollback from pg_stat_database where datname = current_database()') > $rollbacks + 20 },
    30, 'pg2any compare to wait');
$pg->configure(synchronous_standby_names => '');
$pg->reload;
$hidden->pg_result;
is($late->wait_exit(60), 1, 'a commit that is seen late') or diag(Pg2any::Postgres::read_file($late_err));
my $text = Pg2any::Postgres::read_file($late_out);
like($text, qr/ 2 keys differ$/m, '... is no difference') or diag($text);

# ---- kill -9 ----

my $large = $target->kind eq 'mssql' ? 20_000 : 300_000; # the peer is slow
$pg->do('create table large (id int primary key, a int, b text, c timestamptz, d float8)',
    qq{insert into large select g, g, md5(g::text), now(), g / 7.0 from generate_series(1, $large) g});
wait_for(sub { (eval { $target->value('select count(*) from large') } // 0) == $large }, 120, 'a large table');
$front->wait_caught_up;
sub of_compare { return grep { my $t = Pg2any::Postgres::read_file("/proc/$_/cmdline"); $t =~ /--rows|--compare/ } $front->processes }
my $killed = Pg2any::Process->start(name => 'compare', argv => [Pg2any::Pipeline::tool('pg2any'), 'compare', 'public.large'],
    stdout => fresh_name('killed'), stderr => fresh_name('killed.log'), env => $front->environment);
wait_for(sub { of_compare() == 2 }, 30, 'both programs');
$killed->signal('KILL');
wait_for(sub { of_compare() == 0 }, 30, 'both to be gone');
ok(1, 'kill -9 of pg2any compare ends its programs');
wait_for(sub { !$pg->value(q{select count(*) from pg_stat_activity where query like '%COPY%large%' and state = 'active' and pid <> pg_backend_pid()}) }, 30, 'the source to be left alone');

# ---- memory ----

my $compare = Pg2any::Process->start(name => 'compare', argv => [Pg2any::Pipeline::tool('pg2any'), 'compare', 'public.large'],
    stdout => my $large_out = fresh_name('large'), stderr => fresh_name('large.log'), env => $front->environment);
my %most;
wait_for(sub {
    for my $p (of_compare()) {
        my ($kb) = Pg2any::Postgres::read_file("/proc/$p/status") =~ /^VmHWM:\s+(\d+) kB/m or next;
        my ($program) = Pg2any::Postgres::read_file("/proc/$p/cmdline") =~ m{([^/\0]+)\0};
        $most{$program} = $kb if $kb > ($most{$program} // 0);
    }
    return !$compare->running;
}, 120, 'the large table');
is($compare->wait_exit(60), 0, 'a large table is equal') or diag(Pg2any::Postgres::read_file($large_out));
is(scalar keys %most, 2, 'two programs');
is_deeply([grep { $most{$_} > 60 * 1024 } sort keys %most], [], 'none with more than 60 MB') or diag(explain(\%most));
note(explain(\%most), Pg2any::Postgres::read_file($large_out));

is($front->stop, 0, 'the pipeline was not disturbed');
unlike($front->log_text, qr/level=error/, 'and says so');
done_testing;

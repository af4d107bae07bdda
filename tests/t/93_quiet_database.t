# A quiet publication beside much WAL of others: other tables, other databases, transactions without anything published, while
# copies wait. Nothing has to be written at the source for the slot to follow: keepalives move it, through all stages and
# targets.
# needs: postgres

use Pg2any::Front;
use Pg2any::LSN qw(lsn_number);
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB', autovacuum => 'off' });
$pg->do('create table quiet (id int primary key)', 'insert into quiet values (1)', 'create table busy (id int, pad text)',
    'create table late (id int primary key)', 'insert into late values (1)', 'create publication cdc_pub for table quiet',
    'create database other');
my @targets = map { new_target(kind => 'sqlite') } 1 .. 2;
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { CDC_COPY => 'initial' });
$front->start;
wait_for(sub { !grep { !eval { $_->value('select count(*) from quiet') } } @targets }, 60, 'the copy');
$front->wait_caught_up;

# A test: what the slot has confirmed, and with `restart` what it keeps, comes to where the server is now.
sub follows {
    my ($what, %option) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $end = lsn_number($pg->current_lsn);
    $pg->do('checkpoint'); # writes which transactions run, without which no slot lets WAL go
    my $slot;
    my $reached = eval {
        wait_for(sub {
            $slot = $pg->slot('cdc_slot');
            return lsn_number($slot->{confirmed_flush_lsn}) >= $end && (!$option{restart} || lsn_number($slot->{restart_lsn}) >= $end);
        }, 60, $what);
        1;
    };
    return ok($reached, $what) || diag("confirmed $slot->{confirmed_flush_lsn}, restart $slot->{restart_lsn}");
}

my $much = q{insert into busy select g, repeat('x', 200) from generate_series(1, 50000) g};
$pg->do($much);
follows('much WAL of a table that is not published', restart => 1);
my $other = $pg->connect(db => 'other');
$other->do('create table busy (id int, pad text)');
$other->do($much);
follows('much WAL of another database', restart => 1);

# An open transaction keeps the WAL from its beginning, whatever it does; what was confirmed moves on.
my $open = $pg->connect(AutoCommit => 0);
$open->do($much);
$pg->do($much);
follows('beside a transaction without published changes that is open, and streamed');
$open->rollback;
follows('when that is rolled back', restart => 1);
$open->do($much);
$open->commit;
follows('when one is committed', restart => 1);

# A copy that waits for a transaction.
$open->do('insert into late values (2)');
$pg->do('alter publication cdc_pub add table late', 'insert into late values (3)');
wait_for(sub { ($front->metric(apply => 'pg2any_copy_tables_awaited') // 0) == 1 }, 30, 'a table to await its copy');
$pg->do($much);
follows('while a table waits to be copied');
$open->commit;
$open->disconnect;
wait_for(sub { !grep { ($_->value(q{select count(*) from sqlite_master where name = 'late'}) // 0) == 0 } @targets }, 60, 'its copy');
$pg->do($much);
follows('when it is copied', restart => 1);
same_content($pg, $_, ['quiet', 'late'], 'equal') for @targets;
is($pg->value('select count(*) from quiet'), 1, 'and nothing was written at the source');
is($front->stop, 0, 'stopped');

done_testing;

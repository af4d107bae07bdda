# Rows of which the stream did not send all, where the target has nothing to complete them by, are read again by their key:
# one that moved to another key while its table settles, and one that came into a row filter. With everything killed
# between the change and the rows.
# needs: one postgres, any target

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $rows = 900;
$pg->do('create table toasted (part varchar(8), id int, big text, n int, primary key (part, id))',
    'alter table toasted alter big set storage external',
    "insert into toasted select 'a', g, repeat(md5(g::text), 200), 0 from generate_series(1, $rows) g",
    'create table filtered (id int primary key, big text, n int)', 'alter table filtered alter big set storage external',
    q{insert into filtered select g, repeat(md5(g::text), 200), 0 from generate_series(1, 20) g},
    'create view filtered_seen as select * from filtered where id > 100');
my $filters = $pg->major >= 15;
$pg->do('create publication cdc_pub for table toasted' . ($filters ? ', filtered where (id > 100)' : ''));
my @all = ('toasted', $filters ? 'filtered_seen' : ());
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--copy-chunk', '1kB'] });
$pipeline->start;

sub equal { my ($name) = @_; return same_content($pg, $target, \@all, $name, target_table => { filtered_seen => 'filtered' }) }

# The copy stands still in the middle: nobody reads the table. Of what changes then the stream says nothing before the copy
# has seen it.
wait_for(sub { eval { $target->rows('select id from toasted') } > 3 }, 30, 'rows of the first chunks');
my $locker = $pg->connect;
$locker->do($_) for 'begin', 'lock table toasted in access exclusive mode';
my $there = () = $target->rows('select id from toasted');
cmp_ok($there, '<', $rows - 4, 'the copy is under way');
my $walsender = $pg->value('select pid from pg_stat_replication');
kill STOP => $walsender or die "the walsender: $!\n";
$locker->do(qq{update toasted set part = '' where id > $rows - 4});
$locker->do('commit');
my $copied = qr/msg="a table is copied" schema=public table=toasted/;
wait_for(sub { $pipeline->log_text('capture') =~ $copied }, 60, 'the copy to come to its end');

# Nor can the rows be read before everything was killed.
$locker->do($_) for 'begin', 'lock table toasted in access exclusive mode';
kill CONT => $walsender or die "the walsender: $!\n";
my $lacks = sub { return scalar grep { $_->[0] =~ /^lacks part\t\tid\t$rows$/m } $target->rows('select frame from pg2any_relation') };
wait_for($lacks, 60, 'the applier to ask for rows');
$pipeline->kill_all;

# Without copies it cannot go on.
my $never = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'never'] });
$locker->do(q{update toasted set n = n + 1 where part = ''});
$locker->do('commit');
$never->start;
is($never->wait_exit('apply', 60), 100, 'without copies it stops');
like($never->log_text('apply'), qr/rows of the table will be read again, and no more of it comes.*--copy initial/, 'and says why');
$never->kill_all;

$pipeline->start;
$pipeline->wait_caught_up;
wait_for(sub { $pipeline->log_text('capture') =~ /msg="rows of a table are read again" schema=public table=toasted keys=4 rows=4/ }, 60, 'the rows');
$pg->do(q{update toasted set n = n + 1}, q{delete from toasted where part = '' and id = } . $rows);
$pipeline->wait_caught_up;
equal('rows that moved to another key are there');
unlike($pipeline->log_text('apply'), qr/in one snapshot/, 'without a copy of the whole table');

SKIP: {
    skip 'row filters are of PostgreSQL 15', 3 if !$filters;
    $pg->do(q{begin; insert into filtered values (201, null, 1); update filtered set id = id + 100 where id <= 5; commit},
        'update filtered set n = n + 1');
    wait_for(sub { $pipeline->log_text('capture') =~ /rows of a table are read again" schema=public table=filtered keys=5 rows=5/ }, 60, 'the rows');
    $pg->do('update filtered set n = n + 1', 'delete from filtered where id = 102');
    $pipeline->wait_caught_up;
    equal('rows that came into a row filter are there');
    # All that the source has of some, when it is asked, is that they are gone.
    kill STOP => $walsender = $pg->value('select pid from pg_stat_replication');
    $pg->do('update filtered set id = id + 100 where id between 7 and 9', 'delete from filtered where id = 108',
        'update filtered set id = 309 where id = 109', 'update filtered set n = n + 1');
    kill CONT => $walsender;
    wait_for(sub { $pipeline->log_text('capture') =~ /table=filtered keys=[1-4] rows=[0-3]\b/ }, 60, 'rows of which some are gone');
    $pg->do('update filtered set n = n + 1');
    $pipeline->wait_caught_up;
    equal('rows that are gone are gone');
    unlike($pipeline->log_text('apply'), qr/in one snapshot/, 'without a copy of the whole table');
}
ok(!$lacks->(), 'none is lacked any more');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

# The target is not what the source thinks: a row is there already, or missing. --conflict says what
# happens; the default is to stop, and whatever passes is counted and logged.
# needs: postgres, any target

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $all_0 = { capture => 0, assemble => 0, apply => 0 };
my @tables = qw(keyed bare unique_too);
$pg->do(
    'create table keyed (id int primary key, v text, big text)',
    'alter table keyed alter big set storage external',
    'create table bare (a int, v text)',
    'alter table bare replica identity full',
    'create table unique_too (id int primary key, code int, v text)',
    'create publication cdc_pub for all tables');
my $toast = q{(select string_agg(md5(g::text), '') from generate_series(1, 300) g)};

my $count = 0;
sub begin {
    my (@args) = @_;
    my $origin = 'conflict_' . ++$count;
    $pg->do('truncate ' . join ', ', @tables);
    my $pipeline = Pg2any::Pipeline->new(
        pg => $pg,
        target => new_target(origin => $origin),
        slot => $origin,
        args => { apply => \@args });
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(
        "insert into keyed select g, 'v' || g, $toast from generate_series(1, 10) g",
        q{insert into bare select g, 'v' from generate_series(1, 5) g},
        q{insert into unique_too select g, g * 10, 'v' from generate_series(1, 5) g});
    $pipeline->wait_caught_up;
    return $pipeline;
}

# Somebody else writes to the target.
sub meddle {
    my ($pipeline, @sql) = @_;
    $pipeline->{target}->dbh->do($_) for @sql;
    $pipeline->{target}->disconnect;
    return;
}

# The statistics come to say that so many of a kind have been met, over all tables.
sub is_counted {
    my ($pipeline, $what, $expected) = @_;
    my $n;
    my $reached = eval {
        wait_for(
            sub {
                my $text = Pg2any::Postgres::read_file($pipeline->stats_file('apply'));
                $n = 0;
                $n += $_ for $text =~ /^pg2any_conflicts_total\{type="$what",table="[^"]*"\} (\d+)/mg;
                $n == $expected;
            },
            60,
            "$what in the statistics");
    };
    return ok($reached, "$what is counted") || diag("counted $n, not $expected");
}

# ---- stop ----

for my $case (
    [   'insert_exists',
        ['insert into keyed values (11, \'theirs\', null)'],
        q{insert into keyed values (11, 'ours', null)},
        'delete from keyed where id = 11',
        qr/insert into public\.keyed \(key id\).*insert_exists/
    ],
    [   'update_missing',
        ['delete from keyed where id = 3'],
        q{update keyed set v = 'x' where id = 3},
        'insert into keyed select 3, v, big from keyed where id = 4',
        qr/update of public\.keyed \(key id\).*update_missing/
    ],
    [   'delete_missing',
        ['delete from keyed where id = 4'],
        'delete from keyed where id = 4',
        q{insert into keyed values (4, 'again', null)},
        qr/delete from public\.keyed \(key id\).*delete_missing/
    ],
    [   'update_missing without a key',
        ['delete from bare where a = 3'],
        q{update bare set v = 'x' where a = 3},
        q{insert into bare values (3, 'v')},
        qr/update of public\.bare.*update_missing/
    ],
    [   'delete_missing without a key',
        ['delete from bare where a = 3'],
        q{delete from bare where a = 3},
        q{insert into bare values (3, 'v')},
        qr/delete from public\.bare.*delete_missing/
    ],
    [   'insert_exists by a unique index of the target',
        [   'create unique index code on unique_too (code)',
            'update unique_too set code = 70 where id = 1'
        ],
        'insert into unique_too values (7, 70, null)',
        'update unique_too set code = 10 where id = 1',
        qr/insert into public\.unique_too.*insert_exists/
    ],
) {
    my ($name, $meddle, $sql, $mend, $like) = @$case;
    my $pipeline = begin();
    meddle($pipeline, @$meddle);
    # One group: the transactions before the one that cannot be applied are applied all the same.
    $pipeline->signal('apply', 'STOP');
    $pg->do(
        q{insert into keyed values (100, 'before', null)},
        q{update keyed set v = 'before' where id = 1});
    my $good = $pg->current_lsn;
    $pg->do(join ';', 'begin', q{insert into keyed values (200, 'in the same transaction', null)},
        $sql, q{insert into keyed values (201, 'after it', null)}, 'commit');
    $pg->do(q{insert into keyed values (300, 'later', null)});
    $pipeline->signal('apply', 'CONT');
    is($pipeline->wait_exit('apply'), 100, "$name stops the applier");
    my ($error) = grep {/level=error/} split /\n/, $pipeline->log_text('apply');
    like($error, qr/$like.*--conflict/, "$name: the error names it, the table and the way out");
    like(
        $error,
        qr{transaction \d+ committed at [0-9A-F]+/[0-9A-F]+},
        "$name: and transaction and LSN");
    unlike($error, qr/ours|in the same/, "$name: but no row's values");
    $pipeline->wait_all;
    is_deeply([$pipeline->{target}->rows('select id from keyed where id >= 100 order by id')],
        [[100]], "$name: whole transactions before it are applied, nothing of it or after it");
    cmp_ok(lsn_number($pipeline->{target}->checkpoint->{remote_lsn}),
        '>=', lsn_number($good), "$name: so says the checkpoint");
    cmp_ok(
        lsn_number($pg->slot($pipeline->{slot})->{confirmed_flush_lsn}),
        '<=',
        lsn_number($pipeline->{target}->checkpoint->{remote_lsn}),
        "$name: the slot is not beyond it");
    meddle($pipeline, $mend);
    $pipeline->start;
    $pipeline->wait_caught_up;
    my %odd = $name =~ /^update_missing$/ ? (ignore => { keyed => ['big'] }) : ();
    same_content($pg, $pipeline->{target}, \@tables,
        "$name: mended and started again, all is the same", %odd);
    is_deeply($pipeline->stop, $all_0, "$name: all leave with 0");
    $pg->drop_slot($pipeline->{slot});
}

# ---- among many rows that go together ----

for my $order (qw(planned strict)) {
    my $pipeline = begin('--conflict', 'skip', '--order', $order);
    $pg->do('insert into unique_too select g, g, null from generate_series(101, 1800) g');
    $pipeline->wait_caught_up;
    meddle($pipeline, 'delete from unique_too where id in (101, 777, 778)', 'delete from keyed',
        q{insert into keyed values (1133, 'v', null), (1700, 'v', null)});
    $pg->do('delete from unique_too where id between 101 and 900', 'update unique_too set v = $$new$$ where id > 900',
        q{delete from keyed}, q{insert into keyed select g, 'v', null from generate_series(1001, 1705) g});
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, \@tables, "$order: all but the rows that conflict");
    is_counted($pipeline, 'delete_missing', 13);
    is_counted($pipeline, 'insert_exists', 2);
    is_deeply($pipeline->stop, $all_0, "$order: all leave with 0");
    $pg->drop_slot($pipeline->{slot});
}

# ---- a key that is taken, a transaction that is applied as it comes ----

for my $policy (qw(stop apply skip)) {
    my $pipeline = begin('--conflict', $policy);
    meddle($pipeline, q{insert into keyed values (11, 'theirs', null)});
    $pg->do('update keyed set id = 11 where id = 1');
    is($pipeline->wait_exit('apply'),
        100, "--conflict $policy: a key update onto a row that is there stops");
    like(
        $pipeline->log_text('apply'),
        qr/level=error.*update of public\.keyed \(key id\), transaction \d+ .*(?:UNIQUE|exists|[Dd]uplicate)/,
        "--conflict $policy: and it says so");
    unlike($pipeline->log_text('apply'), qr/theirs/, "--conflict $policy: without values");
    $pipeline->wait_all;
    is_deeply(
        [$pipeline->{target}->rows('select id, v from keyed where id in (1, 11) order by id')],
        [[1, 'v1'], [11, 'theirs']],
        "--conflict $policy: both rows are as they were");
    $pg->drop_slot($pipeline->{slot});
}
{
    my $pipeline = begin('--group-bytes', '64kB');
    meddle($pipeline, q{insert into keyed values (50000, 'theirs', null)});
    $pg->do(q{insert into keyed values (100, 'before', null)});
    $pg->do('begin',
        q{insert into keyed select g, 'large', null from generate_series(1000, 50100) g}, 'commit');
    is($pipeline->wait_exit('apply'),
        100, 'a conflict in a transaction larger than --group-bytes: exit 100');
    like(
        $pipeline->log_text('apply'),
        qr/level=error.*insert into public\.keyed \(key id\).*insert_exists/,
        'and it says so');
    $pipeline->wait_all;
    is_deeply(
        [$pipeline->{target}->rows('select id, v from keyed where id >= 100 order by id')],
        [[100, 'before'], [50000, 'theirs']],
        'nothing of it is there, and what came before it is');
    meddle($pipeline, 'delete from keyed where id = 50000');
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, ['keyed'], 'mended and started again, all is the same');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
    $pg->drop_slot($pipeline->{slot});
}

# ---- apply ----

{
    my $pipeline = begin('--conflict', 'apply');
    my $target = $pipeline->{target};
    meddle(
        $pipeline,
        q{insert into keyed values (11, 'theirs', 'kept?')},
        'delete from keyed where id in (3, 4)',
        'delete from bare where a = 3');
    $pg->do(
        q{insert into keyed values (11, 'ours', null)},
        "update keyed set v = 'whole', big = 'sent' where id = 3",
        'delete from keyed where id = 4',
        q{update bare set v = 'x' where a = 3});
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, '--conflict apply makes it so');
    meddle($pipeline, 'delete from bare where a = 5');
    $pg->do('delete from bare where a = 5', 'update keyed set id = 30 where id = 5');
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables,
        '--conflict apply: a row that is gone already may be deleted');
    is_counted($pipeline, 'insert_exists', 1);
    is_counted($pipeline, 'update_missing', 2);
    is_counted($pipeline, 'delete_missing', 2);
    like($pipeline->log_text('apply'), qr/level=warning.*conflict/, 'and a warning is logged');
    unlike($pipeline->log_text('apply'), qr/theirs|ours|whole/, 'without values');

    # A key update whose row is missing becomes an insert under the new key.
    meddle($pipeline, 'delete from keyed where id = 11');
    $pg->do(q{update keyed set id = 12, v = 'moved' where id = 11});
    $pipeline->wait_caught_up;
    same_content($pg, $target, \@tables, '--conflict apply: a key update of a missing row');
    # What was not sent cannot be made up.
    meddle($pipeline, 'delete from keyed where id = 6');
    $pg->do(q{update keyed set v = 'x' where id = 6});
    is($pipeline->wait_exit('apply'),
        100, '--conflict apply: an update of a missing row with an unsent value stops');
    like(
        $pipeline->log_text('apply'),
        qr/level=error.*keyed.*big.*not sent/,
        'and says which column');
    $pipeline->wait_all;
    $pg->drop_slot($pipeline->{slot});
}
{
    my $pipeline = begin('--conflict', 'apply');
    meddle(
        $pipeline,
        'create unique index code on unique_too (code)',
        'update unique_too set code = 70 where id = 1');
    $pg->do('insert into unique_too values (7, 70, null)');
    is($pipeline->wait_exit('apply'),
        100,
        '--conflict apply: another row with the same value in a unique column is not overwritten');
    like($pipeline->log_text('apply'), qr/level=error.*unique_too.*another row/, 'and it says so');
    $pipeline->wait_all;
    $pg->drop_slot($pipeline->{slot});
}

# ---- skip ----

{
    my $pipeline = begin('--conflict', 'skip');
    my $target = $pipeline->{target};
    meddle(
        $pipeline,
        q{insert into keyed values (11, 'theirs', null)},
        'delete from keyed where id in (3, 4)');
    $pg->do(
        q{insert into keyed values (11, 'ours', null)},
        q{update keyed set v = 'x', big = '' where id = 3},
        'delete from keyed where id = 4',
        q{insert into keyed values (12, 'after', null)});
    $pipeline->wait_caught_up;
    is_deeply(
        [$target->rows('select id, v from keyed where id in (3, 4, 11, 12) order by id')],
        [[11, 'theirs'], [12, 'after']],
        '--conflict skip leaves the target as it is and goes on');
    is_counted($pipeline, $_, 1)
        for qw(insert_exists update_missing delete_missing);
    is_deeply($pipeline->stop, $all_0, '--conflict skip: all leave with 0');
}

done_testing;

# Where changes come from, and when: replication origins, logical messages, commit times. Sequences
# and other things that leave no trace.
# needs: postgres

use Pg2any::FrameReader qw(read_frames split_frames frame_fields);
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { track_commit_timestamp => 'on' });
my $all_0 = { capture => 0, assemble => 0, apply => 0 };
$pg->do(
    'create table t (id int primary key, v text)',
    'create publication cdc_pub for all tables',
    q{select pg_replication_origin_create('elsewhere')},
    q{select pg_create_logical_replication_slot('looks', 'pgoutput')});
my $target = new_target();
my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target);
$pipeline->start;
$pipeline->wait_streaming;

# A transaction that another server made first.
sub from_elsewhere {
    my (@sql) = @_;
    return (
        q{select pg_replication_origin_session_setup('elsewhere')},
        'begin',
        q{select pg_replication_origin_xact_setup('0/ABCD', '2024-01-01')},
        @sql,
        'commit',
        'select pg_replication_origin_session_reset()');
}

$pg->do(
    q{insert into t values (1, 'here')},
    from_elsewhere(q{insert into t values (2, 'from elsewhere')}, q{update t set v = v || '!'}),
    q{select pg_logical_emit_message(false, 'p', 'alone')},
    'begin',
    q{insert into t values (3, 'with a message')},
    q{select pg_logical_emit_message(true, 'p', 'within')},
    q{select pg_logical_emit_message(false, 'p', 'before its Begin')},
    'commit');
$pipeline->wait_caught_up;
same_content($pg, $target, ['t'], 'with --pg-origin any changes of every origin come (trap 34)');

# ---- what the frames say ----

sub frames_of {
    my (@args) = @_;
    my ($file, $log) = (fresh_name('look.frames'), fresh_name('look.log'));
    my $process = Pg2any::Process->start(
        name => 'pg-capture',
        stdout => $file,
        stderr => $log,
        argv => [
            Pg2any::Pipeline::tool('pg-capture'),
            '--source', $pg->uri, '--slot', 'looks', '--until-lsn', 'current', @args
        ]);
    is($process->wait_exit, 0, "pg-capture @args: exit 0")
        or diag(Pg2any::Postgres::read_file($log));
    my $bytes = read_frames($file);
    return map { [$_->[0], frame_fields($bytes, $_)] } split_frames($bytes);
}

my @plain = frames_of();
is(scalar(grep { $_->[0] eq 'M' } @plain),
    0, 'messages come only when they are asked for (trap 34)');
is_deeply([map { "$_->[2] " . sprintf '%X', $_->[1] } grep { $_->[0] eq 'O' } @plain],
    ['elsewhere ABCD'], 'the origin of a transaction and its LSN there are told');
my @messages = frames_of('--messages');
is_deeply(
    [map { [@$_[1, 4, 5]] } grep { $_->[0] eq 'M' } @messages],
    [[0, 'p', 'alone'], [0, 'p', 'before its Begin'], [1, 'p', 'within']],
    'with --messages they come; one that is not transactional before the Begin around it (trap 9)'
);
my ($outside) = grep { $messages[$_][0] eq 'M' && $messages[$_][5] =~ /before/ } 0 .. $#messages;
is($messages[$outside + 1][0], 'B', 'and outside any transaction (trap 9)');

# Microseconds since 2000-01-01 (trap 30).
my ($first) = grep { $_->[0] eq 'I' && $_->[5][0] eq '1' } @plain;
my ($begin) = grep { $_->[0] eq 'B' && $_->[1] == $first->[1] } @plain;
is( $begin->[3] + 946_684_800_000_000,
    $pg->value(
        'select (extract(epoch from pg_xact_commit_timestamp(?::text::xid)) * 1000000)::bigint',
        $first->[1]
    ),
    'commit times are microseconds since 2000-01-01 (trap 30)');
$pg->do(q{insert into t values (4, 'the last')});
$pipeline->wait_caught_up;
my $when = $pg->value(
    q{select to_char(pg_xact_commit_timestamp(xmin) at time zone 'UTC',
        'YYYY-MM-DD HH24:MI:SS.US') from t where id = 4}
);
like($target->checkpoint->{commit_time}, qr/\A\Q$when\E/, 'and the checkpoint has the last one');

# ---- changes of other origins left out ----

if ($pg->major >= 16) {
    my $local = Pg2any::Pipeline->new(
        pg => $pg,
        target => new_target(origin => 'local'),
        slot => 'local',
        args => { capture => ['--pg-origin', 'none'] });
    $local->start;
    $local->wait_streaming;
    $pg->do(
        q{insert into t values (20, 'here')},
        from_elsewhere('insert into t values (21)'),
        q{insert into t values (22, 'here')});
    $local->wait_caught_up;
    is_deeply(
        [$local->{target}->rows('select id from t order by id')],
        [[20], [22]],
        '--pg-origin none leaves out everything with an origin (trap 34)');
    is_deeply($local->stop, $all_0, '--pg-origin none: all leave with 0');
} else {
    my ($status, undef, $log) = run_tool(
        'pg-capture',
        args => [
            '--source', $pg->uri, '--slot', 'looks',
            '--pg-origin', 'none', '--until-lsn', 'current'
        ]);
    is($status, 100, '--pg-origin none is refused before PostgreSQL 16 (trap 34)');
    like($log, qr/level=error.*origin.*16/, 'and it says so');
}

# ---- what leaves no trace ----

$pg->do(
    'create sequence s',
    q{select nextval('s')},
    'create table unlogged_one (id int)',
    'drop table unlogged_one',
    'create unlogged table u (id int)',
    'insert into u values (1)',
    'create temp table tmp (id int)',
    'insert into tmp values (1)',
    'create materialized view m as select * from t',
    'refresh materialized view m',
    'vacuum full t',
    'analyze t',
    'cluster t using t_pkey',
    'reindex table t',
    'select lo_create(0)',
    'create role somebody',
    'begin',
    q{insert into t values (50, 'rolled back')},
    'rollback');
$pg->do(q{update t set v = v || '?'});
$pipeline->wait_caught_up;
is_deeply(
    [   map { $_->[0] } $target->rows(
            q{select name from sqlite_master where type = 'table' and name not like 'pg2any%'})
    ],
    ['t'],
    'sequences, unlogged and temporary tables, views and maintenance leave no trace (trap 37)');
same_content($pg, $target, ['t'], 'and rows go on as before');
is_deeply($pipeline->stop, $all_0, 'all leave with 0');

done_testing;

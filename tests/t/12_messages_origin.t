# Logical messages and replication origins: no rows for a target, but parts of the stream that
# others read, with rules of their own about where they stand.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new(settings => { logical_decoding_work_mem => '64kB' });
$pg->do(
    'create table t (id int primary key, n int, pad text)',
    'create publication cdc_pub for all tables',
    q{select pg_replication_origin_create('far away')},
    q{select pg_replication_origin_create('far "é"')},
);
my $major = $pg->major;

sub fresh {
    my ($slot, @capture) = @_;
    my ($raw, $whole) = map { fresh_name("$slot.$_") } qw(raw.frames committed.frames);
    my $target = new_target(origin => $slot);
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $slot,
        args => { capture => \@capture, assemble => ['--memory-limit', '64kB'] },
        tee => { capture => $raw, assemble => $whole });
    $pipeline->start;
    $pipeline->wait_streaming;
    return { slot => $slot, pipeline => $pipeline, target => $target, raw => $raw, whole => $whole };
}

sub rows {
    my ($from, $count) = @_;
    return "insert into t select g, 0, repeat(md5(g::text), 3)"
        . " from generate_series($from, $from + $count - 1) g";
}

sub emit { my ($transactional, $content) = @_; return "select pg_logical_emit_message($transactional, 'test', '$content')" }

# One transaction on a connection of its own.
sub transaction {
    my (@statements) = @_;
    my $dbh = $pg->connect;
    $dbh->do($_) for @statements;
    $dbh->disconnect;
    return;
}

sub finish {
    my (@ways) = @_;
    for my $way (@ways) {
        $way->{pipeline}->wait_caught_up;
        same_content($pg, $way->{target}, ['t'], "$way->{slot}: the rows are as ever");
        is_deeply([grep { $_ ne '0' } values %{ $way->{pipeline}->stop }], [],
            "$way->{slot}: all leave with 0");
    }
    return;
}

# Frames with the contents of messages as text.
sub told {
    my ($file, @types) = @_;
    my @frames = frames($file, @types);
    for my $frame (grep { $_->{type} eq 'message' } @frames) {
        $frame->{content} = pack 'H*', $frame->{content}{bytes};
    }
    return @frames;
}

sub contents { my (@frames) = @_; return [map { $_->{content} } @frames] }

# ---- messages ----

{
    my @ways = (fresh('streaming', '--messages'),
        fresh('not_streaming', '--messages', '--streaming', 'off'), fresh('without'));
    transaction('begin', emit('true', 'first'), q{insert into t values (1, 1, 'x')},
        emit('true', 'second'), 'commit');
    transaction('begin', q{insert into t values (2, 1, 'x')}, emit('true', 'before'),
        emit('false', 'early'), emit('true', 'after'), 'commit');
    transaction('begin', emit('true', 'never'), emit('false', 'although rolled back'), 'rollback');
    transaction('begin', q{insert into t values (3, 1, 'x')}, 'savepoint s', emit('true', 'undone'),
        'rollback to s', emit('true', 'kept'), 'commit');
    transaction(emit('false', 'alone'));
    transaction('begin', emit('true', 'nothing else'), 'commit');
    transaction('begin', rows(1001, 1000), emit('true', 'streamed'), 'savepoint s',
        emit('true', 'streamed, undone'), rows(3001, 1000), 'rollback to s',
        emit('false', 'within the stream'), emit('true', 'streamed, kept'), rows(5001, 1000),
        'commit');
    $pg->do('update t set n = n + 1 where id < 10');
    finish(@ways);

    my ($streaming, $not_streaming, $without) = @ways;
    for my $way ($streaming, $not_streaming) {
        my $name = $way->{slot};
        my @raw = told($way->{raw}, 'message');
        my @whole = told($way->{whole}, qw(message begin commit insert));
        my @messages = grep { $_->{type} eq 'message' } @whole;
        # PostgreSQL gives a message in a stream the xid of the whole transaction, so that nobody can
        # tell that it was in a savepoint rolled back later.
        my @undone = $name eq 'streaming' ? 'streamed, undone' : ();
        is_deeply(contents(grep { $_->{transactional} } @messages),
            ['first', 'second', 'before', 'after', 'kept', 'nothing else', 'streamed', @undone,
                'streamed, kept'],
            "$name: transactional messages of what was committed, in order");
        is_deeply([sort @{ contents(grep { !$_->{transactional} } @messages) }],
            ['alone', 'although rolled back', 'early', 'within the stream'],
            "$name: the others whatever became of the transaction");
        is_deeply([sort { $a <=> $b } map { lsn_number($_->{lsn}) } grep { !$_->{transactional} } @messages],
            [map { lsn_number($_->{lsn}) } grep { !$_->{transactional} } @messages],
            "$name: in the order of their LSNs");

        # Where they stand.
        my ($inside, %in, %before) = (0);
        for my $frame (@whole) {
            $inside = 1 if $frame->{type} eq 'begin';
            $inside = 0 if $frame->{type} eq 'commit';
            $in{ $frame->{content} } = $inside if $frame->{type} eq 'message';
        }
        is_deeply([sort grep { $in{$_} } keys %in],
            [sort 'after', 'before', 'first', 'kept', 'nothing else', 'second', 'streamed', @undone,
                'streamed, kept'],
            "$name: transactional ones stand in their transaction, others outside any");
        my ($early) = grep { ($whole[$_]{content} // '') eq 'early' } 0 .. $#whole;
        my ($begin) = grep { $_ > $early && $whole[$_]{type} eq 'begin' } 0 .. $#whole;
        is($whole[$begin + 1]{new}{id} // $whole[$begin + 2]{new}{id}, 2,
            "trap 9: $name: a non-transactional message comes before the begin of the transaction around it");
        my %position = map { ($whole[$_]{content} // '') => $_ } 0 .. $#whole;
        my ($insert) = grep { ($whole[$_]{new}{id} // 0) == 1 } 0 .. $#whole;
        ok($position{first} < $insert && $insert < $position{second},
            "$name: transactional messages keep their place among the changes");
        my ($stream) = frames($way->{raw}, 'stream_start');
        is_deeply([map { $_->{xid} } grep { $_->{content} eq 'streamed, undone' } @raw],
            [map { $stream->{xid} } @undone],
            "trap 1: $name: a message of a rolled back savepoint comes in a stream only, with the"
            . ' xid of the transaction');
    }
    is(scalar(frames($without->{raw}, 'message')), 0, 'without --messages there are none');
    $pg->drop_slot($_->{slot}) for @ways;
}

# ---- origins ----

# What an apply process does: the session has an origin, each transaction a position at it.
sub from_afar {
    my ($origin, $lsn, @statements) = @_;
    my $dbh = $pg->connect;
    $dbh->do('select pg_replication_origin_session_setup(?)', undef, $origin);
    $dbh->do('begin');
    $dbh->do("select pg_replication_origin_xact_setup('$lsn', now())");
    $dbh->do($_) for @statements;
    $dbh->do('commit');
    $dbh->disconnect;
    return;
}

{
    $pg->do('truncate t');
    my @ways = (fresh('origins'), fresh('origins_not_streaming', '--streaming', 'off'));
    my $local = $major >= 16 ? fresh('local_only', '--pg-origin', 'none') : undef;
    $pg->do(q{insert into t values (1, 1, 'local')});
    from_afar('far away', '1/2345', q{insert into t values (2, 1, 'far away')});
    from_afar('far "é"', 'AB/CDEF', rows(1001, 1000), 'savepoint s', rows(3001, 1000),
        'rollback to s', rows(5001, 1000));
    $pg->do(q{insert into t values (3, 1, 'local')}, rows(7001, 1000));
    finish(@ways);

    for my $way (@ways) {
        my $name = $way->{slot};
        for my $file (qw(raw whole)) {
            my @origins = frames($way->{$file}, 'origin');
            # A stream begins before the transaction has its place at the origin.
            is_deeply([map { [@$_{qw(name commit_lsn)}] } @origins],
                [['far away', '1/2345'], ['far "é"', $name eq 'origins' ? undef : 'AB/CDEF']],
                "trap 4: $name: each origin once, also where it is streamed ($file frames)");
        }
        my @frames = frames($way->{whole}, qw(begin origin insert commit));
        my @after = map { $frames[$_ - 1]{type} } grep { $frames[$_]{type} eq 'origin' } 1 .. $#frames;
        is_deeply(\@after, ['begin', 'begin'], "$name: an origin stands right after its begin");
    }

    if ($local) {
        $local->{pipeline}->wait_caught_up;
        $local->{pipeline}->stop;
        my $ids = $local->{target}->value('select count(*) from t where id in (1, 3) or id > 7000');
        is($ids, 1002, 'trap 34: --pg-origin none: local changes come');
        is($local->{target}->value('select count(*) from t'), 1002,
            'trap 34: --pg-origin none: those with an origin do not');
        is(scalar(frames($local->{raw}, 'origin')), 0, 'trap 34: and so no origin frame');
        $pg->drop_slot('local_only');
    } else {
        my ($status, undef, $log) = run_tool('pg-capture',
            args => ['--source', $pg->uri, '--pg-origin', 'none']);
        is($status, 100, "trap 34: --pg-origin none is not for PostgreSQL $major");
        like($log, qr/--pg-origin none needs PostgreSQL 16/, 'trap 34: and it says so');
    }
    $pg->drop_slot($_->{slot}) for @ways;
}

done_testing;

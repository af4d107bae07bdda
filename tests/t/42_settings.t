# Values have one form whatever the role, the database and a pooler say about the session: what
# their text depends on is set on the session itself and read back, on both connections.
# needs: postgres

use Pg2any::PostgresProxy;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do(
    'create role cdc login superuser replication',
    (map {"alter role cdc set $_"} q{datestyle = 'SQL, DMY'}, q{timezone = 'Asia/Kolkata'},
        'intervalstyle = sql_standard', 'bytea_output = escape', 'extra_float_digits = 0',
        'client_min_messages = error', 'array_nulls = off', 'default_transaction_isolation = serializable'),
    (map {"alter database postgres set $_"} q{search_path = 'other, public'},
        'quote_all_identifiers = on', 'statement_timeout = 30000', 'standard_conforming_strings = off'),
    'create schema other',
    'create table other.t (id int primary key, d date, at timestamptz, n interval, f float8, b bytea,'
        . ' days date[], span tstzrange, kind regclass)',
    'create table other.filled (id int primary key)',
    'create publication cdc_pub for all tables');

# A row of types whose text depends on a setting, and one of a table that gets defaults.
sub write_rows {
    my ($id) = @_;
    $pg->do(
        "insert into other.t values ($id, '2024-02-03', '2024-02-03 10:20:30.5+00', '1 day 02:03:04',"
            . q{ 0.1::float8 + 0.2::float8, '\x00ff10', '{2024-02-03}',}
            . " '[2024-02-03 10:20:30+00,)', 'other.t')",
        "insert into other.filled (id) values ($id)");
    return;
}

sub pipeline {
    my ($slot, $uri, $target) = @_;
    return Pg2any::Pipeline->new(target => $target, slot => $slot, pg => $pg,
        env => { CDC_SOURCE_CONNECTION_STRING => $uri })->start;
}

my $id = 0;
for my $case (
    ['direct', sub { $pg->uri(user => 'cdc') }, 'role and database alone'],
    ['dropped', sub { Pg2any::PostgresProxy->new($pg) }, 'a pooler that drops options'],
    ['refused', sub { Pg2any::PostgresProxy->new($pg, options => 'refuse') },
        'a pooler that refuses options'],
) {
    my ($slot, $make, $name) = @$case;
    my $proxy = $make->();
    my $target = new_target(origin => $slot);
    $pg->do('truncate other.t', 'drop table other.filled', 'create table other.filled (id int primary key)');
    my $pipeline = pipeline($slot, ref $proxy ? $proxy->uri(user => 'cdc') : $proxy, $target);
    $pipeline->wait_streaming;
    write_rows(++$id);
    $pipeline->wait_caught_up;
    $pg->do(q{alter table other.filled add at timestamptz not null default '2024-02-03 10:20:30.5+00',}
        . q{ add b bytea default '\x00ff10', add f float8 default 0.1::float8 + 0.2::float8});
    write_rows(++$id);
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['other.t', 'other.filled'], "$name: same content",
        ignore => { 'other.t' => ['kind'] });
    is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, "$name: stopped");
    $pg->drop_slot($slot);
}

# A session that does not keep what it is told, found by what it says afterwards.
for my $case (
    [q{'ISO, YMD'}, q{'SQL, DMY'}, qr/datestyle was set to \\"ISO, YMD\\" and is \\"SQL, DMY\\"/],
    [q{digits', '3'}, q{digits', '1'}, qr/extra_float_digits was set to \\"3\\" and is \\"1\\"/],
) {
    my ($from, $to, $says) = @$case;
    my $proxy = Pg2any::PostgresProxy->new($pg, replace => [$from, $to]);
    my ($status, undef, $log) = run_tool('pg-capture', args => ['--source', $proxy->uri(user => 'cdc')]);
    is($status, 100, "$from changed on the way: exit 100");
    like($log, $says, 'it says which setting');
    like($log, qr/connect to PostgreSQL itself/, 'and what to do');
}
is($pg->slot('cdc_slot'), undef, 'and no slot was made');

# Answers of another shape: a column or the row is missing, as where a pooler mixes up two sessions.
for my $case (
    ['the settings', q{, pg_catalog.current_setting('datestyle')}],
    ['the slot', ' s.two_phase,', undef, '--status'],
    ['the server', ' quote_ident(current_user),'],
    ['the server, no row', '= current_user', q{= 'nobody_one'}],
    ['the number of slots', '::int, count(*)', '::int          '],
    ['a publication', 'quote_ident($1), '],
    ['identities', q{ t.relreplident = 'f' AND NOT k.has_key,}],
    ['types', q{, string_agg(DISTINCT format_type(t.oid, NULL), ', ')}],
    ['columns', ' a.atttypmod, c.relreplident', '              c.relreplident'],
    ['a table', ' part.texts,'],
    ['transactions', 'pg_snapshot_xmin(pg_current_snapshot())::xid::text,'],
    ['the publications, for a stream', 'quote_ident(name), ', undef, '--until-lsn', 'current'],
    ['what a stream needs', q{ current_setting('wal_level'), }, undef, '--until-lsn', 'current'],
) {
    my ($name, $from, $to, @args) = @$case;
    my $proxy = Pg2any::PostgresProxy->new($pg, replace => [$from, $to // ' ' x length $from]);
    # The publication that is not there is the only row of its query.
    my @publication = $name =~ /for a stream/ ? ('--publication', 'no_such') : ();
    my ($status, $out, $log) = run_tool('pg-capture',
        args => ['--source', $proxy->uri(user => 'cdc'), @publication, @args ? @args : '--check']);
    is($status, 111, "$name: an answer of another shape: exit 111") or diag($log);
    like($out . $log, qr/which is not what was asked for/, "$name: and it says so");
    $pg->drop_slot('cdc_slot') if $pg->slot('cdc_slot');
}

done_testing;

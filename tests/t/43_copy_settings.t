# What a role or a database sets bends no copy: time limits, the form of values, paths, row security. Nor does the shape of a
# table that somebody made at the target: another order of columns, defaults, columns of its own, rows that are there.
# needs: postgres, any target

use DBI;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do(q{create table odd (id int primary key, at timestamptz, d date, i interval, f float8, m money, b bytea, a text[], guarded int)},
    q{insert into odd select g, timestamptz '2024-02-29 12:00+01' + g * interval '1 hour', date '2024-02-29' + g, interval '1 year 2 days 3.5 s' * g,
        g / 3.0, g, decode(lpad(to_hex(g), 4, '0'), 'hex'), array['a', null, g::text], g from generate_series(1, 3000) g},
    'create table shaped (id int primary key, n int, t text)', q{insert into shaped select g, g % 5, 't' || g from generate_series(1, 500) g},
    'create table long (n int, pad text)', q{insert into long select g, repeat('x', 100) from generate_series(1, 100000) g},
    'create schema hidden', 'create function hidden.same(int, int) returns bool language sql as $$select true$$',
    'create operator hidden.= (leftarg = int, rightarg = int, function = hidden.same)',
    $pg->major >= 15 ? 'create publication cdc_pub for table odd where (not (guarded = 7)), shaped, long' : 'create publication cdc_pub for table odd, shaped, long',
    'alter table odd replica identity full', 'alter table odd enable row level security', 'create policy few on odd using (id < 10)',
    'create role cdc login replication bypassrls', 'grant select on odd, shaped, long to cdc', 'grant create on database postgres to cdc',
    q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
my %settings = (statement_timeout => "'200ms'", lock_timeout => "'1ms'", idle_in_transaction_session_timeout => "'200ms'",
    idle_session_timeout => "'200ms'", default_transaction_isolation => 'serializable', default_transaction_read_only => 'off',
    default_transaction_deferrable => 'on', row_security => 'off', search_path => 'hidden, pg_catalog', datestyle => "'German'", intervalstyle => "'sql_standard'",
    timezone => "'Asia/Tokyo'", bytea_output => 'escape', extra_float_digits => -15, lc_monetary => "'C'", array_nulls => 'off',
    standard_conforming_strings => 'off', escape_string_warning => 'off', quote_all_identifiers => 'on', client_encoding => "'LATIN1'",
    enable_indexscan => 'off', cursor_tuple_fraction => '0.01', synchronize_seqscans => 'on', transform_null_equals => 'on');
$settings{transaction_timeout} = "'200ms'" if $pg->major >= 17;
$pg->do(map {"alter role cdc set $_ = $settings{$_}"} sort keys %settings);

my $target = new_target();
if ($target->kind eq 'sqlite') {
    my $dbh = DBI->connect('dbi:SQLite:dbname=' . $target->file, '', '', { RaiseError => 1 });
    $dbh->do($_) for ('create table shaped (extra text default \'e\', t text, n integer default 77, id integer primary key)',
        q{insert into shaped (id, n, t) values (1, 100, 'old'), (99999, 1, 'old')});
    $dbh->disconnect;
}
my $pipeline = Pg2any::Pipeline->new(pg => $pg, pg_uri => [user => 'cdc'], target => $target,
    args => { capture => ['--copy', 'initial', '--copy-chunk', '16kB'] });
$pipeline->start;
$pipeline->wait_copied(['odd', 'shaped', 'long']);
$pg->do('update odd set f = f + 1 where id % 100 = 0', 'update shaped set n = n + 1 where id < 9');
$pipeline->wait_caught_up;
$pg->do('delete from odd where guarded = 7') if $pg->major >= 15;
$pipeline->wait_caught_up;
same_content($pg, $target, ['odd', 'shaped', 'long'], 'the copy is what the source has', extra_columns => 1);
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'asked to stop, all leave with 0');

done_testing;

# What a new user gets wrong. Each ends with the exit status of docs, one clear line that says what
# to do, and no password in any log.
# needs: postgres

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $secret = 'S3cr@t:/%&?=pass';
$pg->do(
    'create table t (id int primary key, v text)',
    'create publication cdc_pub for table t',
    'create database elsewhere');
$pg->create_password_user('cdc', $secret);
my @everything;

# pg-capture with arguments; exit status, then what the one error line must say.
sub mistake {
    my ($name, $status, $like, %arg) = @_;
    my $tool = $arg{tool} // 'pg-capture';
    my @until = $tool eq 'pg-capture' && !$arg{plain} ? ('--until-lsn', 'current') : ();
    my ($got, $out, $log) = run_tool(
        $tool,
        args => [@{ $arg{args} // [] }, @until],
        env => {
            PGPASSFILE => '/nonexistent',
            CDC_SOURCE_CONNECTION_STRING => $arg{uri},
            %{ $arg{env} // {} }
        },
        stdin => $arg{stdin},
        limit => 60);
    push @everything, $log, $out;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($got, $status, "$name: exit $status");
    my @errors = grep {/level=error/} split /\n/, $log;
    is(scalar @errors, 1, "$name: one error line") or diag($log);
    (my $said = $errors[-1] // '') =~ s/\\"/"/g;
    like($said, $like, "$name: it says what is wrong");
    return $log;
}

# ---- where and who ----

mistake('no connection string', 100, qr/CDC_SOURCE_CONNECTION_STRING.*--source/, uri => undef);
mistake(
    'a wrong password',
    100,
    qr/password authentication failed/,
    uri => $pg->uri(user => 'cdc', password => "$secret!"));
mistake('no password', 100, qr/no password supplied/, uri => $pg->uri(user => 'cdc'));
mistake(
    'an unknown role',
    100,
    qr/role "nobody_known" does not exist/,
    uri => $pg->uri(user => 'nobody_known'));
mistake(
    'an unknown database',
    100,
    qr/database "no_such" does not exist/,
    uri => $pg->uri(db => 'no_such'));
mistake('a port that nobody listens on',
    111, qr/refused/,
    uri => 'postgresql://postgres@127.0.0.1:' . Pg2any::Postgres::free_port() . '/postgres');
mistake(
    'an unknown host', 111, qr/no\.such\.host\.invalid/,
    uri => 'postgresql://postgres@no.such.host.invalid/postgres',
    args => ['--connect-timeout', '5']);
mistake(
    'a URI that is none',
    100,
    qr/connection string/,
    uri => "postgresql://cdc:$secret\@127.0.0.1/postgres");
for my $uri (
    "postgresql://cdc:pa\@$secret\@127.0.0.1/postgres",
    'postgresql://cdc:S3cr@t%3Apass@127.0.0.1/postgres',
    'postgresql://cdc:S3cr/t:pass@127.0.0.1/postgres',
    'postgresql://cdc:12/S3cr@127.0.0.1/postgres',
    'postgres://cdc:S3cr?@t@127.0.0.1/postgres',
    'postgresql://cdc:S3cr/postgres')
{
    my $log = mistake('a password that is not escaped', 100, qr/cannot be read.*%40/, uri => $uri);
    unlike($log, qr/S3cr|pass\b/, 'nothing of it is told');
}
mistake(
    'a URI without its option',
    100,
    qr/unexpected argument postgresql:\/\/cdc\@h\/d/,
    uri => $pg->uri,
    args => ["postgresql://cdc:S3cr\@h/d"], plain => 1);
mistake(
    'an unknown keyword',
    100,
    qr/connection string.*(?:bogus|invalid)/,
    uri => 'host=127.0.0.1 bogus=1');

# A server that takes the connection and says nothing.
{
    my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, Proto => 'tcp')
        or die "listen: $!";
    my $start = now();
    mistake(
        'a server that does not answer', 111, qr/time|answer/,
        uri => 'postgresql://postgres@127.0.0.1:' . $mute->sockport . '/postgres',
        args => ['--connect-timeout', '2']);
    cmp_ok(now() - $start, '<', 20, 'and it does not take long');
}

# ---- rights and settings at the source ----

$pg->do(q{create role plain login}, q{create role replicator login replication});
mistake(
    'no REPLICATION privilege',
    100,
    qr/plain.*REPLICATION|REPLICATION|replication/i,
    uri => $pg->uri(user => 'plain'));
mistake(
    'a publication that is not there', 100, qr/CREATE PUBLICATION no_pub FOR ALL TABLES/,
    uri => $pg->uri,
    args => ['--publication', 'no_pub']);
mistake(
    'a publication of another database',
    100,
    qr/cdc_pub.*elsewhere.*CREATE PUBLICATION/,
    uri => $pg->uri(db => 'elsewhere'));
mistake(
    'one of several publications that is not there', 100, qr/CREATE PUBLICATION "No Pub"/,
    uri => $pg->uri,
    args => ['--publication', 'cdc_pub,No Pub']);
ok(!$pg->slot('cdc_slot'), 'no slot was made by any of these');
mistake(
    'a slot name that PostgreSQL does not allow', 100, qr/"Bad-Name" is no name for a slot/,
    uri => $pg->uri,
    args => ['--slot', 'Bad-Name']);
$pg->do(q{select pg_create_logical_replication_slot('other_plugin', 'test_decoding')})
    if eval { $pg->do(q{load 'test_decoding'}); 1 };
mistake(
    'a slot of another plugin', 100, qr/other_plugin.*test_decoding/,
    uri => $pg->uri,
    args => ['--slot', 'other_plugin']
) if $pg->slot('other_plugin');
$pg->do(q{select pg_create_physical_replication_slot('physical')});
mistake('a physical slot', 100, qr/physical/, uri => $pg->uri, args => ['--slot', 'physical']);
$pg->dbh('elsewhere')->do(q{select pg_create_logical_replication_slot('far', 'pgoutput')});
mistake(
    'a slot of another database', 100, qr/far.*elsewhere/,
    uri => $pg->uri,
    args => ['--slot', 'far']);
{
    my ($status, undef, $text) = run_tool(
        'pg-capture',
        args => ['--slot', 'cdc_slot', '--until-lsn', 'current'],
        env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri(user => 'replicator') });
    is($status, 0, 'REPLICATION is enough to capture') or diag($text);
}

# Trap 35: the publication is dropped while it is in use.
{
    my $target = new_target(origin => 'mid');
    my $pipeline = Pg2any::Pipeline->new(
        pg => $pg,
        target => $target,
        slot => 'mid',
        publication => 'mid_pub',
        pg_uri => [user => 'cdc', password => $secret]);
    $pg->do('create publication mid_pub for table t');
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into t values (1, 'a')});
    $pipeline->wait_caught_up;
    $pg->do('drop publication mid_pub', q{insert into t values (2, 'b')});
    is($pipeline->wait_exit('capture'),
        100, 'a publication that is dropped in mid-stream (trap 35)');
    like(
        $pipeline->log_text('capture'),
        qr/level=error.*publication.*does not exist/,
        'it says so (trap 35)');
    $pipeline->wait_all;
    push @everything, map { $pipeline->log_text($_) } qw(capture assemble apply);
    is_deeply([$target->rows('select id from t')],
        [[1]], 'what came before it is applied (trap 35)');
# Decoding looks publications up as they were at that place of the WAL, so that making it again does
# not help.
    $pg->do('create publication mid_pub for table t');
    $pg->drop_slot('mid');
}

# ---- the server is not set up ----

for my $case (
    ['wal_level = replica', qr/wal_level.*logical/, wal_level => 'replica', max_wal_senders => 5],
    [   'no free slot',
        qr/replication slots are in use|max_replication_slots/,
        max_replication_slots => 1
    ],
    ['no free WAL sender', qr/max_wal_senders/, max_wal_senders => 0]
) {
    my ($name, $like, %settings) = @$case;
    my $other = Pg2any::Postgres->new(settings => \%settings);
    $other->do('create publication cdc_pub for all tables');
    $other->do(q{select pg_create_physical_replication_slot('taken')}) if $name eq 'no free slot';
    # Where all are in use one may become free.
    my ($status, undef, $text) = run_tool(
        'pg-capture',
        args => ['--until-lsn', 'current'],
        env => { CDC_SOURCE_CONNECTION_STRING => $other->uri },
        limit => 60);
    push @everything, $text;
    ok($status eq 100 || $name ne 'wal_level = replica' && $status eq 111,
        "$name: exit 100, or 111 where it may pass")
        or diag("exit $status");
    like($text, qr/level=error.*$like/, "$name: it says so");
    $other->stop('immediate');
}

# ---- options ----

my $uri = $pg->uri(user => 'cdc', password => $secret);
mistake('an unknown option', 100, qr/--no-such/, uri => $uri, args => ['--no-such', 'x']);
mistake('an operand', 100, qr/operand|argument/, uri => $uri, args => ['x']);
mistake(
    'an option without its value', 100, qr/--slot/,
    uri => $uri,
    args => ['--until-lsn', 'current', '--slot'],
    plain => 1);
mistake(
    'a bad LSN', 100, qr/--until-lsn.*(?:LSN|yesterday)/,
    uri => $uri,
    args => ['--until-lsn', 'yesterday'],
    plain => 1);
mistake(
    'a bad number', 100, qr/--protocol-version.*(?:1 to 4|from 1|between)/,
    uri => $uri,
    args => ['--protocol-version', '5']);
mistake(
    'a bad word', 100, qr/--streaming.*parallel/,
    uri => $uri,
    args => ['--streaming', 'maybe']);
mistake(
    'a bad value in the environment', 100, qr/CDC_STREAMING/,
    uri => $uri,
    env => { CDC_STREAMING => 'maybe' });
mistake(
    'a log level that is none', 100, qr/--log-level.*debug/,
    uri => $uri,
    args => ['--log-level', 'loud']);
mistake(
    'a protocol version that the server does not have', 100, qr/protocol/,
    uri => $uri,
    args => ['--protocol-version', '4']
) if $pg->major < 16;
mistake(
    'streaming = parallel on a server that does not have it', 100, qr/parallel.*16|16.*parallel/,
    uri => $uri,
    args => ['--streaming', 'parallel']
) if $pg->major < 16;
mistake('an ack path that is a regular file', 100, qr/FIFO/, uri => $uri, args => ['--ack', $0]);
mistake(
    'an ack path in a folder that is not there', 100, qr{/no/such/place/ack},
    uri => $uri,
    args => ['--ack', '/no/such/place/ack']);

# ---- the target ----

my $committed = fresh_name('committed.frames');
my $raw = fresh_name('raw.frames');
{
    my $pipeline = Pg2any::Pipeline->new(
        pg => $pg,
        stages => [qw(capture)],
        slot => 'frames',
        output => $raw,
        args => { capture => ['--until-lsn', 'current', '--streaming', 'on'] });
    $pg->do(
        q{select pg_create_logical_replication_slot('frames', 'pgoutput')},
        q{insert into t values (10, 'x')},
        'set logical_decoding_work_mem = 64',
        q{insert into t select g, repeat('x', 100) from generate_series(1000, 3000) g});
    # Large enough to be streamed: a raw stream that is not also a committed one.
    $pg->configure(logical_decoding_work_mem => '64kB');
    $pg->reload;
    $pipeline->start;
    is_deeply($pipeline->wait_all, { capture => 0 }, 'a raw stream');
    my $assemble = Pg2any::Process->start(
        argv => [Pg2any::Pipeline::tool('txn-assemble')],
        stdin => $raw,
        stdout => $committed,
        stderr => fresh_name('assemble.log'));
    is($assemble->wait_exit, 0, 'a committed stream');
}
my @apply = (tool => 'apply-sqlite', stdin => $committed);
mistake('no target', 100, qr/no target \(give it with --dest: /, @apply);
mistake('a target in a folder that is not there',
    100, qr{/no/such/folder}, @apply, args => ['--dest', '/no/such/folder/x.db']);
mistake(
    'a target that is a folder',
    100, qr{unable to open|is a directory},
    @apply, args => ['--dest', scratch_dir()]);
my $text_file = fresh_name('not.db');
open my $fh, '>', $text_file or die $!;
print {$fh} 'This is not a database. ' x 1000;
close $fh or die $!;
mistake(
    'a target that is not a database',
    100, qr/not a database/,
    @apply, args => ['--dest', $text_file]);
is( Pg2any::Postgres::read_file($text_file),
    'This is not a database. ' x 1000,
    'and it is left as it was');
mistake(
    'the URI of another kind of target',
    100, qr/not a SQLite database/,
    @apply, args => ['--dest', "mysql://root:$secret\@localhost/db"]);
mistake('a number of changes that is none',
    100, qr/--group-changes/, @apply,
    args => ['--dest', fresh_name('x.db'), '--group-changes', '0']);
mistake('a schema map that is none',
    100, qr/--schema-map/, @apply, args => ['--dest', fresh_name('x.db'), '--schema-map', 'a,b']);
mistake('no reader of the acknowledgements', 111, qr/no\.fifo/, @apply,
    args =>
        ['--dest', fresh_name('x.db'), '--ack', fresh_name('no.fifo'), '--connect-timeout', '1']);

# As another user, so that rights count.
sub as_nobody {
    my ($name, $status, $like, @argv) = @_;
    my $err = fresh_name('nobody.log');
    my $process = Pg2any::Process->start(
        argv => \@argv,
        stdin => $committed,
        stderr => $err,
        user => 'nobody',
        dir => '/');
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($process->wait_exit, $status, "$name: exit $status");
    like(Pg2any::Postgres::read_file($err), $like, "$name: it says so");
    return;
}
SKIP: {
    my $copy = fresh_name('bin');
    my $place = fresh_name('place');
    skip 'needs root, and a user nobody', 8 if $> != 0 || !defined getpwnam 'nobody';
    mkdir $_ or die $! for $copy, $place;
    chmod 0755, $copy, $place;
    system('cp', map({ Pg2any::Pipeline::tool($_) } qw(apply-sqlite txn-assemble)), $copy) == 0
        or die 'cp';
    chmod 0644, $committed;
    as_nobody(
        'a folder that cannot be written',
        100, qr/level=error.*x\.db.*unable to open/,
        "$copy/apply-sqlite", '--dest', "$place/x.db");
    system('sqlite3', "$place/ro.db", 'create table x (a)') == 0 or skip 'no sqlite3', 6;
    chmod 0644, "$place/ro.db";
    as_nobody(
        'a target that cannot be written',
        100, qr/level=error.*ro\.db.*may not be written by this user/,
        "$copy/apply-sqlite", '--dest', "$place/ro.db");
    chmod 0000, "$place/ro.db";
    as_nobody(
        'a target that cannot be read',
        100, qr/level=error.*ro\.db.*unable to open/,
        "$copy/apply-sqlite", '--dest', "$place/ro.db");
    as_nobody('a spill folder that cannot be written',
        100, qr/level=error.*place/, "$copy/txn-assemble", '--spill-dir', $place);
}
mistake(
    'a spill folder that is not there', 100, qr{/no/such/spill},
    tool => 'txn-assemble',
    stdin => $raw,
    args => ['--spill-dir', '/no/such/spill', '--memory-limit', '64kB']);

# ---- the disk is full ----

{
    my $db = fresh_name('full.db');
    my $err = fresh_name('full.log');
    # No file may grow beyond 200 blocks of 512 bytes. SIGXFSZ is ignored, so that write() fails.
    my $process = Pg2any::Process->start(
        argv => [
            'sh', '-c', 'trap "" XFSZ; ulimit -f 200; exec "$@"',
            'sh', Pg2any::Pipeline::tool('apply-sqlite'),
            '--dest', $db
        ],
        stdin => $committed,
        stderr => $err);
    is($process->wait_exit, 111, 'a target that can grow no more: exit 111');
    like(Pg2any::Postgres::read_file($err), qr/level=error.*(?:full|disk I.O error)/, 'it says so');
    my $target = Pg2any::Target::SQLite->new(file => $db, origin => 'frames');
    my $rows =
        $target->has_table('t') ? $target->value('select count(*) from t where id >= 1000') : 0;
    is($rows, 0, 'nothing of the transaction is there');
    $target->disconnect;
    my ($status) = run_tool('apply-sqlite', args => ['--dest', $db], stdin => $committed);
    is($status, 0, 'with room again it goes on');
    is($target->value('select count(*) from t where id >= 1000'), 2001, 'and all is there');
}
SKIP: {
    my $mount = fresh_name('small');
    mkdir $mount or die $!;
    skip 'no small file system can be mounted here', 5
        if $> != 0 || system("mount -t tmpfs -o size=128k none $mount 2>/dev/null") != 0;
    mistake('a target on a full disk', 111, qr/full/, @apply, args => ['--dest', "$mount/x.db"]);
    my ($status, undef, $text) = run_tool(
        'txn-assemble',
        args => ['--spill-dir', $mount, '--memory-limit', '64kB'],
        stdin => $raw);
    is($status, 111, 'a full spill folder: exit 111');
    like($text, qr/level=error.*No space left/, 'and it says so');
    system('umount', $mount) == 0 or diag("umount $mount: $?");
}

# ---- streams that are none ----

my $garbage = fresh_name('garbage');
open $fh, '>:raw', $garbage or die $!;
print {$fh} "GET / HTTP/1.0\r\n\r\n" x 100;
close $fh or die $!;
my @tools =
    (['txn-assemble'], ['apply-sqlite', '--dest', fresh_name('garbage.db')], ['frame-dump']);
for my $tool (@tools) {
    my ($name, @args) = @$tool;
    mistake(
        "$name: garbage", 100, qr/frame|byte/,
        tool => $name,
        stdin => $garbage,
        args => \@args);
    mistake(
        "$name: nothing at all", 111, qr/end(?:ed|s)/,
        tool => $name,
        stdin => '/dev/null',
        args => \@args);
}
mistake(
    'a committed stream that begins in the middle',
    100,
    qr/hello/,
    tool => 'apply-sqlite',
    args => ['--dest', fresh_name('middle.db')],
    stdin => do {
        my $middle = fresh_name('middle.frames');
        my $bytes = do { local (@ARGV, $/) = $committed; <> };
        open my $out, '>:raw', $middle or die $!;
        print {$out} substr $bytes, 6 + unpack 'N', substr $bytes, 1, 4;
        close $out or die $!;
        $middle;
    }
);
mistake(
    'a raw stream fed to apply-sqlite', 100, qr/txn-assemble/,
    tool => 'apply-sqlite',
    stdin => $raw,
    args => ['--dest', fresh_name('raw.db')]);
{
    my ($status, $out) = run_tool('txn-assemble', stdin => $committed);
    is($status, 0, 'a committed stream fed to txn-assemble passes');
    is($out, Pg2any::Postgres::read_file($committed), 'as it is');
}

# ---- --help, --version ----

for my $tool (qw(pg-capture txn-assemble apply-sqlite frame-dump)) {
    my ($status, $out) = run_tool($tool, args => ['--help']);
    ok($status eq 0 && $out =~ /\AUsage: $tool/ && $out =~ /Exit status/, "$tool --help");
    ($status, $out) = run_tool($tool, args => ['--version']);
    ok($status eq 0 && $out =~ /\d+\.\d+/, "$tool --version");
}

my @told = grep {
    index($_, $secret) >= 0 || index($_, Pg2any::Postgres::uri_escape($secret)) >= 0 || /S3cr/
} @everything;
is(scalar @told, 0, 'no password in any log') or diag($told[0]);

done_testing;

# The connection to the server: how it is made, with passwords and TLS; that it is made again when it
# is lost, at any point of a commit; and what the applier says when it cannot be made.
# needs: one postgres, mysql target

use Pg2any::MySQL;
use Pg2any::MySQLProxy;
use Pg2any::Network;
use Pg2any::Test;

my $all_0  = {capture => 0, assemble => 0, apply => 0};
my $server = Pg2any::MySQL->new(fast => 1, tls => ['DNS:db.example', 'IP:127.0.0.2']);
my $elsewhere =
    Pg2any::MySQL->new(fast => 1, name => 'here', tls => ['DNS:localhost', 'IP:127.0.0.1']);
my $pg = Pg2any::Postgres->new;
$pg->do(
    'create table t (id int primary key, n int)',
    'create publication cdc_pub for all tables',
    q{insert into t values (1, 0)}
);

my $count = 0;

sub pipeline {
    my ($to, %arg) = @_;
    my $origin = 'connection_' . ++$count;
    my $target =
        new_target(kind => 'mysql', server => $to, origin => $origin, uri => $arg{uri} // []);
    $target = $arg{target}->($target) if $arg{target};
    return Pg2any::Pipeline->new(
        pg     => $pg,
        target => $target,
        slot   => $origin,
        args   => {apply => $arg{args} // []},
        env    => $arg{env} // {}
    );
}

sub works {
    my ($name, $to, %arg) = @_;
    my $pipeline = pipeline($to, %arg);
    $pipeline->start;
    $pipeline->wait_streaming;
    # What was there before the slot is not copied.
    $pg->do('truncate t', "insert into t values ($count, 0)", 'update t set n = n + 1');
    eval {$pipeline->wait_caught_up; 1} or diag($@);
    my ($said) = grep {/msg=target/} split /\n/, $pipeline->log_text('apply');
    note($said // 'it said nothing of its target');
    is($pipeline->{target}->value('select n from t where id = ?', $count), 1, $name);
    is_deeply($pipeline->stop, $all_0, "$name: all leave with 0");
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
    return $said // '';
}

sub refuses {
    my ($name, $status, $like, $to, %arg) = @_;
    my $pipeline = pipeline($to, %arg, args => ['--connect-timeout', '2s']);
    $pipeline->start;
    is($pipeline->wait_exit('apply', 40), $status, "$name: exit $status");
    my ($error) = grep {/level=error/} split /\n/, $pipeline->log_text('apply');
    like($error // '', $like, "$name: and it says why");
    unlike($pipeline->log_text('apply'), qr/s3cr(?:@|%40)t/, "$name: without the password");
    $pipeline->wait_all(60);
    # A target that refuses may leave before the slot is made.
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
    return;
}

# ---- ways to connect ----

my $odd_password = q{s3cr@t:/?#[]% "'\é};
$_->create_user('writer', $odd_password), $_->create_user('tls_only', 's3cr@t', 'require ssl')
    for $server, $elsewhere;
sub password {return (user => 'writer', password => $odd_password)}
works('through the socket, as root', $server);
works('over TCP, as root', $server, uri => [tcp => 1, parameters => {tls => 'off'}]);
like(works('with a password, over TCP', $server, uri => [password(), tcp => 1]),
    qr/TCP/, 'the log says how');
like(works('with a password, through the socket', $server, uri => [password()]),
    qr/socket/i, 'the log says how');
works(
    'a literal @ in the password', $server,
    uri    => [user => 'tls_only', tcp => 1, parameters => {tls => 'required'}],
    target => sub {my ($t) = @_; return Literal->new($t, 's3cr@t')}
);
{
    # A password need not stand on a command line.
    my $file = fresh_name('client.cnf');
    open my $fh, '>', $file or die "$file: $!\n";
    print {$fh} qq{[client]\nuser = tls_only\npassword = 's3cr\@t'\n};
    close $fh or die "$file: $!\n";
    my $home = fresh_name('home');
    mkdir $home or die "$home: $!\n";
    rename $file, "$home/.my.cnf" or die "$file: $!\n";
    works(
        'user and password from an option file', $server,
        uri    => [parameters => {tls => 'required'}],
        env    => {HOME => $home},
        target => sub {my ($t) = @_; return Literal->new($t, undef)}
    );
}
refuses(
    'a wrong password',
    100,     qr/Access denied/,
    $server, uri => [user => 'writer', password => 's3cr@t']
);
refuses(
    'a user that does not exist',
    100,     qr/Access denied/,
    $server, uri => [user => 'nobody', password => 's3cr@t', tcp => 1]
);
refuses('a server that is not there',
    111, qr/level=error/, $server,
    target => sub {my ($t) = @_; return Literal->new($t, undef, 'mysql://root@127.0.0.1:1/x')});
refuses(
    'a URI without a database',
    100, qr/no database/,
    $server,
    target => sub {my ($t) = @_; return Literal->new($t, undef, 'mysql://root:s3cr@t@127.0.0.1')}
);
refuses('a database that is not there, with create_database=off',
    100, qr/target_\d+|database/, $server, uri => [parameters => {create_database => 'off'}]);

# ---- TLS ----

# db.example has no address: the server with the certificate for 127.0.0.1 is the one to verify.
sub tls {
    my (%parameters) = @_;
    return (uri => [user => 'tls_only', password => 's3cr@t', tcp => 1, parameters => \%parameters]);
}
like(works('tls=required', $server, tls(tls => 'required')),
    qr/tls=TLS/, 'tls=required: encrypted, whoever it is');
like(works('tls=verify-ca', $server, tls(tls => 'verify-ca', ca => $server->ca_file)),
    qr/tls=TLS/, 'tls=verify-ca: its CA is the right one');
like(
    works(
        'tls=verify-identity', $elsewhere,
        tls(tls => 'verify-identity', ca => $elsewhere->ca_file)
    ),
    qr/tls=TLS/,
    'tls=verify-identity: and it has the right name'
);
refuses('tls=verify-ca with another CA',
    100, qr/certificate|SSL|TLS/i, $server, tls(tls => 'verify-ca', ca => $server->wrong_ca_file));
refuses('tls=verify-identity with another CA',
    100, qr/certificate|SSL|TLS/i, $elsewhere,
    tls(tls => 'verify-identity', ca => $elsewhere->wrong_ca_file));
refuses(
    'tls=verify-identity with a certificate for another name',
    100,     qr/certificate|SSL|TLS|match/i,
    $server, tls(tls => 'verify-identity', ca => $server->ca_file)
);
refuses('tls=verify-ca without a CA', 100, qr/needs ca=/, $server, tls(tls => 'verify-ca'));
refuses('a CA file that is not there',
    100, qr/level=error/, $server, tls(tls => 'verify-ca', ca => '/nonexistent/ca.pem'));
refuses('tls=off where the account needs TLS', 100, qr/Access denied/, $server, tls(tls => 'off'));
refuses('an unknown value of tls', 100, qr/tls is off, required/, $server, tls(tls => 'perhaps'));

# ---- a connection that is lost ----

my $proxy = Pg2any::MySQLProxy->new($elsewhere);
{
    my $pipeline = pipeline(
        $elsewhere,
        target => sub {
            my ($t) = @_;
            return Literal->new($t, undef,
                $proxy->uri(db => $t->database, parameters => {tls => 'off'}));
        },
        args => ['--connect-timeout', '20s']
    );
    my $target = $pipeline->{target};
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do('truncate t', 'insert into t select g, 0 from generate_series(1, 100) g');
    $pipeline->wait_caught_up;
    my $pid = $pipeline->pid('apply');
    for my $round (1 .. 5) {
        for my $when (qw(before after)) {
            $proxy->set_trap($when);
            $pg->do('update t set n = n + 1',
                "insert into t values (100 + $round * 2 + @{[$when eq 'after' ? 1 : 0]}, 0)");
            $pipeline->wait_caught_up;
            ok($proxy->sprung,
                "the connection is cut $when the server has the COMMIT (round $round)");
            same_content($pg, $target, ['t'], 'and everything is applied once');
        }
    }
    is($pipeline->pid('apply'), $pid, 'by the same process');
    $pg->do('update t set n = n + 1');
    $pipeline->wait_caught_up;

    # Its sessions are ended by an administrator, while it waits and while it works.
    for my $round (1 .. 3) {
        $target->disconnect;
        cmp_ok($elsewhere->kill_sessions, '>', 0,
            "its sessions are killed while it is idle (round $round)");
        $pg->do('update t set n = n + 1');
        $pipeline->wait_caught_up;
        same_content($pg, $target, ['t'], 'and everything is applied once');
    }
    my $holder = $target->new_dbh;
    for my $round (1 .. 3) {
        $holder->do('begin');
        $holder->do('select * from t for update');
        $pg->do('update t set n = n + 1');
        # Oracle's server still shows the transaction of a session that has gone for a moment.
        wait_for(
            sub {
                my $id = $elsewhere->value(q{select trx_mysql_thread_id
                    from information_schema.innodb_trx where trx_state = 'LOCK WAIT'});
                return $id && eval { $elsewhere->do("kill $id"); 1 };
            },
            30, 'the applier to wait for a lock, and be killed');
        $holder->do('rollback');
        $pipeline->wait_caught_up;
        same_content($pg, $target, ['t'],
            "a session killed in the middle of a transaction (round $round)");
    }
    $holder->disconnect;

    # The server restarts, away for a while.
    for my $mode ('TERM', 'KILL') {
        $elsewhere->stop($mode);
        $pg->do('update t set n = n + 1');
        let_pass(2);
        ok($pipeline->running, "SIG$mode: while the server is away the applier waits for it");
        $elsewhere->start;
        $pipeline->wait_caught_up;
        same_content($pg, $target, ['t'], "SIG$mode: the server went and came back");
    }
    is($pipeline->pid('apply'), $pid, 'all that in the same process');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
}
{
    # What is between the two forgets the connections. The server does not notice, and keeps the session, in the middle
    # of a transaction with the lock on the checkpoint.
    my $network = Pg2any::Network->new($elsewhere->port);
    my $pipeline = pipeline(
        $elsewhere,
        target => sub {
            my ($t) = @_;
            return Literal->new($t, undef, $network->uri($elsewhere->uri(db => $t->database, tcp => 1)));
        },
        args => ['--query-timeout', '2s']
    );
    my $target = $pipeline->{target};
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do('truncate t', 'insert into t select g, 0 from generate_series(1, 100) g');
    $pipeline->wait_caught_up;
    # At first while it does nothing; the next session must not go unnamed for that.
    $network->order('hole both');
    $network->order('pass');
    $pg->do('update t set n = n + 1');
    $pipeline->wait_caught_up(undef, tend => 1);
    my $holder = $target->new_dbh;
    $holder->do('begin');
    $holder->do('select * from t for update');
    $pg->do('update t set n = n + 1');
    wait_for(
        sub {
            $elsewhere->value(q{select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'});
        },
        30, 'the applier to wait for a lock');
    $network->order('hole both');
    $network->order('pass');
    $holder->do('rollback');
    $holder->disconnect;
    # Another process knows nothing of the session.
    $pipeline->signal('apply', 'KILL');
    $pipeline->wait_caught_up(undef, tend => 1);
    same_content($pg, $target, ['t'], 'a session that was forgotten with its locks');
    like($pipeline->log_text('apply'), qr/ending a session that an earlier applier left behind/, 'the log says that it was ended');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
}
{
    # A server that stays away, and one that stays silent, are temporary errors in the end.
    my $pipeline =
        pipeline($elsewhere, args => ['--connect-timeout', '3s', '--query-timeout', '2s']);
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do('truncate t', 'insert into t select g, 0 from generate_series(1, 100) g');
    $pipeline->wait_caught_up;
    $elsewhere->signal('STOP');
    $pg->do('update t set n = n + 1');
    is($pipeline->wait_exit('apply', 60), 111, 'a server that does not answer: 111');
    $pipeline->wait_all;
    $elsewhere->signal('CONT');
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, ['t'],
        'when it answers again, everything is applied once');
    $elsewhere->stop;
    $pg->do('update t set n = n + 1');
    is($pipeline->wait_exit('apply', 60), 111, 'a server that stays away: 111');
    $pipeline->wait_all;
    $elsewhere->start;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, ['t'], 'when it is back, everything is applied once');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

done_testing;

# A target whose --dest is written in another way than its own.
package Literal;
our @ISA;
BEGIN {@ISA = ('Pg2any::Target::MySQL')}

sub new {
    my ($class, $target, $password, $dest) = @_;
    my %self = %$target;
    $self{literal} = $dest // do {
        my %uri  = @{$self{uri}};
        my $user = defined $password ? "$uri{user}:$password" : '';
        my $rest = join '&', map {"$_=$uri{parameters}{$_}"} keys %{$uri{parameters} // {}};
        'mysql://'
            . ($user eq '' ? '' : "$user\@")
            . '127.0.0.1:'
            . $target->server->port
            . "/$self{database}"
            . ($rest eq '' ? '' : "?$rest");
    };
    return bless \%self, $class;
}

sub dest {return $_[0]{literal}}

# The connection to the server: how it is made, with passwords and TLS; that it is made again when it
# is lost, at any point of a group; and what the applier says when it cannot be made. The server is the
# TDS peer.
# needs: one postgres, mssql target

use Pg2any::MSSQL;
use Pg2any::Test;

my $all_0 = { capture => 0, assemble => 0, apply => 0 };
my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, n int)', 'create publication cdc_pub for all tables',
    q{insert into t values (1, 0)});
my $count = 0;
my $tmp = fresh_name('tmp');
mkdir $tmp or die "$tmp: $!\n";

sub pipeline {
    my ($server, %arg) = @_;
    my $origin = 'connection_' . ++$count;
    my $target = new_target(kind => 'mssql', server => $server, origin => $origin, uri => $arg{uri} // []);
    return Pg2any::Pipeline->new(pg => $pg, target => $target, slot => $origin, args => { apply => $arg{args} // [] },
        env => { TMPDIR => $tmp, %{ $arg{env} // {} } });
}

sub works {
    my ($name, $server, %arg) = @_;
    my $pipeline = pipeline($server, %arg);
    $pipeline->start;
    $pipeline->wait_streaming;
    # What was there before the slot is not copied.
    $pg->do('truncate t', "insert into t values ($count, 0)", 'update t set n = n + 1');
    eval { $pipeline->wait_caught_up; 1 } or diag($@);
    is($pipeline->{target}->value("select n from t where id = $count"), 1, $name);
    my $log = $pipeline->log_text('apply');
    is_deeply($pipeline->stop, $all_0, "$name: all leave with 0");
    unlike($log, qr/p\@ss|%40ss/, "$name: no password in the log");
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
    return $log;
}

sub refuses {
    my ($name, $status, $like, $server, %arg) = @_;
    my $pipeline = pipeline($server, %arg, args => ['--connect-timeout', '2s']);
    $pipeline->start;
    is($pipeline->wait_exit('apply', 40), $status, "$name: exit $status");
    my ($error) = grep { /level=error/ } split /\n/, $pipeline->log_text('apply');
    like($error // '', $like, "$name: and it says why");
    unlike($pipeline->log_text('apply'), qr/p\@ss|%40ss|s3cret/, "$name: without the password");
    $pipeline->wait_all(60);
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
    return;
}

sub with { my (%parameters) = @_; return (uri => [parameters => \%parameters]) }

# ---- in the clear ----

my $plain = Pg2any::MSSQL->new(fast => 1);
works('without TLS, with a password that is hard to write', $plain, with(encrypt => 'no'));
works('the environment of FreeTDS has no say', $plain, with(encrypt => 'no'),
    env => { TDSVER => '4.2', TDSPORT => 1, TDSHOST => 'nowhere.invalid', FREETDSCONF => '/nonexistent' });
refuses('a wrong password', 100, qr/Login failed for user.*18456/, $plain,
    uri => [password => 's3cret', parameters => { encrypt => 'no' }]);
refuses('a user that does not exist', 100, qr/Login failed/, $plain, uri => [user => 'nobody', parameters => { encrypt => 'no' }]);
refuses('a server without TLS, which the default asks for', 111, qr/encrypt=no/, $plain);
$plain->fault(match => '^LOGIN$', action => 'error', number => 4060);
refuses('a database that is not there', 100, qr/4060/, $plain, with(encrypt => 'no'));
$plain->fault(match => '^LOGIN$', action => 'error', number => 18_401);
refuses('a server that is being upgraded', 111, qr/upgrade mode/, $plain, with(encrypt => 'no'));
for my $where ('PRELOGIN', 'LOGIN') {
    $plain->fault(match => "^$where\$", action => 'hang', seconds => 20, times => 50);
    refuses("a server that says nothing to the \L$where\E", 111, qr/level=error/, $plain, with(encrypt => 'no'));
    $plain->clear_faults;
    $plain->fault(match => "^$where\$", action => 'close', times => 50);
    refuses("a server that hangs up at the \L$where\E", 111, qr/level=error/, $plain, with(encrypt => 'no'));
    $plain->clear_faults;
}

# ---- TLS ----

# A certificate for this address, and one for another name.
my $tls = Pg2any::MSSQL->new(fast => 1, name => 'tls', tls => ['IP:127.0.0.1', 'DNS:localhost']);
my $other = Pg2any::MSSQL->new(fast => 1, name => 'other', tls => ['DNS:db.example']);
my $login = Pg2any::MSSQL->new(fast => 1, name => 'login', tls => ['DNS:localhost'], encryption => 'login');
like(works('encrypt=yes, the default', $tls), qr/level=warning.*anyone may be at the other end/, 'it is said that nothing is verified');
unlike(works('a CA', $tls, uri => [host => 'localhost', parameters => { ca => $tls->ca_file }]), qr/level=warning/, 'verified: no warning');
works('encrypt=verify', $tls, uri => [host => 'localhost', parameters => { encrypt => 'verify', ca => $tls->ca_file }]);
works('encrypt=no where only the login is encrypted', $login, with(encrypt => 'no'));
works('encrypt=yes where only the login needs it', $login, with(encrypt => 'yes'));
refuses('another CA', 111, qr/certificate is not signed by the CA/, $tls,
    uri => [host => 'localhost', parameters => { ca => $tls->wrong_ca_file }]);
refuses('a certificate for another name', 111, qr/does not name localhost/, $other,
    uri => [host => 'localhost', parameters => { ca => $other->ca_file }]);
refuses('the system’s CAs, of which it is not', 111, qr/certificate/, $tls,
    uri => [host => 'localhost', parameters => { encrypt => 'verify' }]);
refuses('a CA file that is not there', 100, qr/nonexistent/, $tls, with(ca => '/nonexistent/ca.pem'));
refuses('encrypt=no where the server insists', 111, qr/insists on TLS/, $tls, with(encrypt => 'no'));
is_deeply([glob "$tmp/*"], [], 'no configuration of FreeTDS is left behind');

# ---- a connection that is lost, at every place of a group ----

{
    my $pipeline = pipeline($plain, with(encrypt => 'no'), args => ['--connect-timeout', '20s']);
    my $target = $pipeline->{target};
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do('truncate t', 'insert into t select g, 0 from generate_series(1, 100) g');
    $pipeline->wait_caught_up;
    my $pid = $pipeline->pid('apply');
    for my $place ('^BEGIN TRANSACTION$', 'UPDLOCK', 'UPDATE t SET', 'INSERT INTO \[dbo\]\.\[t\]', 'UPDATE \[dbo\]\.pg2any_checkpoint', '^COMMIT TRANSACTION$') {
        for my $action (qw(close_before close_after half garbage lie)) {
            $plain->fault(match => $place, action => $action);
            $pg->do('begin; update t set n = n + 1; insert into t select max(id) + 1, 0 from t; commit');
            $pipeline->wait_caught_up;
            is($plain->faults_left, 0, "$action at $place: it has happened");
            same_content($pg, $target, ['t'], 'and everything is applied once');
        }
    }
    for my $action (qw(split tiny)) {
        $plain->fault(match => '.', action => $action, times => 30);
        $pg->do('update t set n = n + 1') for 1 .. 4;
        $pipeline->wait_caught_up;
        same_content($pg, $target, ['t'], "$action: a response in small pieces is a response");
        $plain->clear_faults;
    }
    is($pipeline->pid('apply'), $pid, 'all that in the same process');

    # The server restarts, away for a while.
    $plain->stop('KILL');
    $pg->do('update t set n = n + 1');
    let_pass(2);
    ok($pipeline->running, 'while the server is away the applier waits for it');
    $plain->fault(match => '^LOGIN$', action => 'error', number => 4060, times => 3);
    $plain->start;
    $pipeline->wait_caught_up;
    same_content($pg, $target, ['t'], 'the server went and came back, its database later than itself');
    is($plain->faults_left, 0, 'which was refused at first');
    is($pipeline->pid('apply'), $pid, 'in the same process still');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
    $pg->drop_slot($pipeline->{slot}) if $pg->slot($pipeline->{slot});
}
{
    # A statement that takes too long: the connection is closed and the group repeated.
    my $pipeline = pipeline($plain, with(encrypt => 'no'), args => ['--connect-timeout', '20s', '--query-timeout', '1s']);
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do('truncate t', 'insert into t select g, 0 from generate_series(1, 100) g');
    $pipeline->wait_caught_up;
    $plain->fault(match => 'UPDATE t SET', action => 'delay', seconds => 30);
    $pg->do('update t set n = n + 1');
    $pipeline->wait_caught_up;
    is($plain->faults_left, 0, 'a statement is delayed');
    same_content($pg, $pipeline->{target}, ['t'], 'a statement that takes too long is given up and repeated');
    like($pipeline->log_text('apply'), qr/level=warning.*no answer in/, 'and it says so');

    # A server that stays away, and one that stays silent, are temporary errors in the end.
    $pipeline->stop;
    $pipeline->{args}{apply} = ['--connect-timeout', '3s', '--query-timeout', '1s'];
    $pipeline->start;
    $pipeline->wait_streaming;
    $pipeline->wait_caught_up;
    $plain->stop('KILL');
    $pg->do('update t set n = n + 1');
    is($pipeline->wait_exit('apply', 60), 111, 'a server that stays away: 111');
    $pipeline->wait_all;
    $plain->start;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, ['t'], 'when it is back, everything is applied once');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

done_testing;

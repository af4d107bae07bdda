# TLS to the source: used and verified where the connection string asks for it; what is wrong with it is a
# permanent error.
# needs: postgres

use Pg2any::Certificates;
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new(start => 0);
my $dir = $pg->socket_dir;
my $ca = Pg2any::Certificates->new(dir => $dir, name => 'ca');
my ($certificate, $key) = $ca->issue('server', 'DNS:localhost');
my $other = Pg2any::Certificates->new(dir => scratch_dir(), name => 'other');
chown((stat $pg->data_dir)[4, 5], $certificate, $key) or die "chown: $!\n";
chmod 0600, $key or die "chmod: $!\n";
$pg->configure(ssl => 'on', ssl_cert_file => $certificate, ssl_key_file => $key);
$pg->start;
$pg->do('create table t (id int primary key)', 'create publication cdc_pub for all tables');

sub source {
    my ($host, $options) = @_;
    return "postgresql://postgres\@$host:" . $pg->port . "/postgres?$options";
}

my $target = new_target(kind => 'sqlite');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target],
    env => { CDC_SOURCE_CONNECTION_STRING => source('localhost', 'sslmode=verify-full&sslrootcert=' . $ca->file) });
$front->start;
$front->wait_all_ready;
$pg->do('insert into t select generate_series(1, 2000)');
$front->wait_caught_up;
same_content($pg, $target, ['t'], 'verify-full: rows come');
is($pg->value(q{select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name = 'pg-capture' and not s.ssl}),
    0, 'over TLS, both connections');
is($front->stop, 0, 'it leaves with 0');
my ($status, $out) = $front->command(['check']);
is($status, 0, 'check passes');
like($out, qr/TLS on/, 'and says that TLS is on');

for my $case (
    ['another CA', source('localhost', 'sslmode=verify-full&sslrootcert=' . $other->file), qr/certificate verify failed/],
    ['another name', source('127.0.0.1', 'sslmode=verify-full&sslrootcert=' . $ca->file), qr/does not match host name/],
    ['no CA file', source('localhost', 'sslmode=verify-full&sslrootcert=/nonexistent'), qr/root certificate file/],
) {
    my ($name, $uri, $like) = @$case;
    my ($got, undef, $log) = run_tool('pg-capture', env => { CDC_SOURCE_CONNECTION_STRING => $uri });
    is($got, 100, "$name: 100");
    like($log, $like, 'said');
    like($log, qr/check sslmode, sslrootcert/, 'and what to do');
}
$pg->configure(ssl => 'off');
$pg->restart;
my ($got, undef, $log) = run_tool('pg-capture', env => { CDC_SOURCE_CONNECTION_STRING => source('localhost', 'sslmode=require') });
is($got, 100, 'a server without TLS: 100');
like($log, qr/does not support SSL/, 'said');

done_testing;

# A server, or whoever stands before it, that says it has no TLS and asks for the password: where TLS
# is asked for nothing of the login leaves, and the password as it is never.
# needs: nothing

use IO::Select;
use IO::Socket::INET;
use Pg2any::Test;

my $secret = 'TopSecretPw';
my $ca     = fresh_name('ca.pem');
system("openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca -subj /CN=ca -days 2 2>/dev/null") == 0
    or die "openssl failed\n";

sub packet {
    my ($number, $body) = @_;
    return substr(pack('V', length $body), 0, 3) . chr($number) . $body;
}

# What a client sends; '' where it hangs up.
sub next_packet {
    my ($client) = @_;
    my $data = '';
    return $data if !IO::Select->new($client)->can_read(20);
    sysread $client, $data, 65536;
    return $data // '';
}

# All that one client sends to a server whose account has that plugin.
sub serve {
    my ($client, $plugin) = @_;
    my $capabilities = 0xffffffff & ~0x800 & ~0x20;    # neither TLS nor compression
    syswrite $client, packet(0, "\x0a5.5.5-10.11.6-MariaDB\0" . pack('V', 7) . "abcdefgh\0"
            . pack('v', $capabilities & 0xffff) . "\x21\2\0" . pack('v', $capabilities >> 16)
            . "\x15" . "\0" x 10 . "ijklmnopqrst\0mysql_native_password\0");
    my $login = next_packet($client);
    return $login if length $login < 4;
    syswrite $client, packet(ord(substr $login, 3, 1) + 1, "\xfe$plugin\0abcdefghijklmnopqrst\0");
    my $answer = next_packet($client);
    my $full   = '';
    if ($plugin eq 'caching_sha2_password' && length $answer > 3) {
        syswrite $client, packet(ord(substr $answer, 3, 1) + 1, "\x01\x04");
        $full = next_packet($client);
    }
    return $login . $answer . $full;
}

sub sent {
    my ($plugin, $parameters) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8) or die "listen: $!\n";
    my $log  = fresh_name('apply.log');
    my $tool = Pg2any::Process->start(
        name   => 'apply-mysql',
        argv   => [Pg2any::Pipeline::tool('apply-mysql'), '--status', '--origin', 'x', '--connect-timeout', '2s'],
        env    => { CDC_DEST_URI => "mysql://someone:$secret\@127.0.0.1:" . $listener->sockport . "/d$parameters" },
        stdin  => '/dev/null',
        stderr => $log);
    my $all   = '';
    my $ready = IO::Select->new($listener);
    while ($tool->running) {
        next if !$ready->can_read(0.1);
        my $client = $listener->accept or next;
        $all .= serve($client, $plugin);
        close $client;
    }
    return ($tool->wait_exit(60), $all, Pg2any::Postgres::read_file($log));
}

for my $plugin (qw(mysql_clear_password caching_sha2_password dialog sha256_password)) {
    for my $parameters ("?tls=verify-identity&ca=$ca", "?tls=verify-ca&ca=$ca", "?ca=$ca", '?tls=required', '?tls=off', "?tls=off&ca=$ca", '') {
        (my $name = "$plugin, $parameters") =~ s/\Q$ca\E/FILE/;
        my ($status, $all, $log) = sent($plugin, $parameters);
        unlike($all, qr/\Q$secret\E/, "$name: no password");
        unlike($log, qr/\Q$secret\E/, "$name: nor in the log");
        next if $parameters eq '' || $parameters =~ /off/;
        is($all, '', "$name: nothing of the login");
        is($status, 100, "$name: exit 100") or diag($log);
    }
}

done_testing;

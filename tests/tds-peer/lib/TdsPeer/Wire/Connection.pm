package TdsPeer::Wire::Connection;

# One connection: prelogin, TLS, login, then requests until the client leaves, and what goes wrong on
# purpose.

use strict;
use warnings;
use JSON::PP ();
use TdsPeer::Error;
use TdsPeer::Session;
use TdsPeer::Wire::Request;
use TdsPeer::Wire::Stream;
use TdsPeer::Wire::Tokens;

my ($OFF, $ON, $NOT_SUPPORTED, $REQUIRED) = (0, 1, 2, 3);
my $SP_EXECUTESQL = 10;
my $OLDEST_VERSION = 0x72090002;
my $json = JSON::PP->new->utf8->canonical;

# new(socket, server => the program's options, faults, spid)
sub new {
    my ($class, %arg) = @_;
    return bless { stream => TdsPeer::Wire::Stream->new($arg{socket}), server => $arg{server}, faults => $arg{faults},
        spid => $arg{spid} }, $class;
}

sub serve {
    my ($self) = @_;
    $self->prelogin;
    $self->login or return;
    1 while $self->request;
    return;
}

# --- the beginning

# What the client asks for and what this server does, to the answer ([MS-TDS] 2.2.6.5).
sub negotiated {
    my ($policy, $asked) = @_;
    return $NOT_SUPPORTED if $policy eq 'off';
    return $asked == $NOT_SUPPORTED ? $NOT_SUPPORTED : $asked == $OFF ? $OFF : $ON if $policy eq 'login';
    return $asked == $ON ? $ON : $REQUIRED;
}

sub prelogin {
    my ($self) = @_;
    my $stream = $self->{stream};
    my ($type, undef, $content) = $stream->message;
    die "a message of type $type before the login\n" if $type != TdsPeer::Wire::Stream::PRELOGIN;
    my $options = TdsPeer::Wire::Request::prelogin($content);
    if (my $fault = $self->{faults}->next_for('PRELOGIN')) {
        $self->stay_silent($fault->{seconds}) if $fault->{action} eq 'hang';
        die "told to close\n";
    }
    my $asked = unpack 'C', $options->{1} // "\2";
    my $answer = negotiated($self->{server}{encryption}, $asked);
    $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, TdsPeer::Wire::Request::prelogin_answer($self->{server}{version}, $answer));
    die "a client without TLS\n" if $answer == $REQUIRED && $asked == $NOT_SUPPORTED;
    if ($answer != $NOT_SUPPORTED) {
        $stream->start_tls(@{ $self->{server} }{qw(certificate key)});
        $self->{login_only} = $answer == $OFF;
    }
    return;
}

# Until the client gives up.
sub stay_silent {
    my ($self, $seconds) = @_;
    $self->{stream}->pending($seconds // 3600);
    return;
}

sub login {
    my ($self) = @_;
    my $stream = $self->{stream};
    my ($type, undef, $content) = $stream->message;
    die "a message of type $type instead of a login\n" if $type != TdsPeer::Wire::Stream::LOGIN;
    $stream->end_tls if $self->{login_only};
    my $login = TdsPeer::Wire::Request::login($content);
    my $tokens = TdsPeer::Wire::Tokens->new;
    my $server = $self->{server};
    my $error;
    if (my $fault = $self->{faults}->next_for('LOGIN')) {
        $self->stay_silent($fault->{seconds}) if $fault->{action} eq 'hang';
        die "told to close\n" if $fault->{action} eq 'close';
        $error = TdsPeer::Error->custom($fault->{number}, arguments => [$login->{user}]);
    } elsif ($login->{version} < $OLDEST_VERSION) {
        die "a client that speaks an older version\n";
    } elsif ($login->{user} ne $server->{user} || $login->{password} ne $server->{password}) {
        $error = TdsPeer::Error->new(18_456, $login->{user});
    }
    if (!$error) {
        $self->{session} = eval {
            TdsPeer::Session->new(%$server, database => $login->{database} eq '' ? 'master' : $login->{database},
                user => $login->{user}, spid => $self->{spid});
        };
        $error = $@ if !$self->{session};
        die $error if $error && !ref $error;
    }
    if ($error) {
        $tokens->error({ number => $error->{number}, severity => $error->{severity}, state => $error->{state}, message => $error->{text} });
        $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, $tokens->finish);
        return 0;
    }
    my $size = $login->{packet_size};
    $size = 4096 if $size < 512;
    $size = 32_767 if $size > 32_767;
    $tokens->environment({ kind => 'database', new => $self->{session}->database, old => 'master' });
    $tokens->info({ number => 5701, severity => 0, state => 2, message => "Changed database context to '" . $self->{session}->database . "'." });
    $tokens->environment({ kind => 'collation' });
    $tokens->environment({ kind => 'language', new => 'us_english', old => '' });
    $tokens->login_acknowledged($server->{version});
    $tokens->environment({ kind => 'packet_size', new => $size, old => 4096 });
    $tokens->done({});
    $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, $tokens->finish);
    $stream->{packet_size} = $size;
    return 1;
}

# --- requests

sub request {
    my ($self) = @_;
    my $stream = $self->{stream};
    my ($type, $status, $content) = eval { $stream->message };
    if (!defined $type) {
        return 0 if $@ eq "the client is gone\n";
        die $@;
    }
    $self->{session}->reset if $status & TdsPeer::Wire::Stream::RESET;
    if ($type == TdsPeer::Wire::Stream::ATTENTION) {
        # What it was to interrupt has been answered.
        my $tokens = TdsPeer::Wire::Tokens->new(session => $self->{session});
        $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, $tokens->attention_done);
        return 1;
    }
    my $call;
    if ($type == TdsPeer::Wire::Stream::BATCH) {
        $call = { kind => 'batch', text => TdsPeer::Wire::Request::batch($content) };
    } elsif ($type == TdsPeer::Wire::Stream::RPC) {
        $call = call(TdsPeer::Wire::Request::rpc($content));
    } else {
        die "a message of type $type\n";
    }
    return $self->answer($call);
}

# Of the procedures there is sp_executesql.
sub call {
    my ($rpc) = @_;
    my $known = $rpc->{procedure} =~ /\A\d+\z/ ? $rpc->{procedure} == $SP_EXECUTESQL
        : $rpc->{procedure} =~ /\A(?:sys\.)?sp_executesql\z/i;
    return { kind => 'rpc', text => $rpc->{procedure}, unknown => 1 } if !$known;
    my ($statement, $declaration, @parameters) = @{ $rpc->{parameters} };
    return { kind => 'rpc', text => $statement->{value} // '', declaration => $declaration ? $declaration->{value} : undef, parameters => \@parameters };
}

sub log_statement {
    my ($self, $call) = @_;
    open my $log, '>>', "$self->{server}{dir}/statements.log" or die "statements.log: $!\n";
    syswrite $log, $json->encode({ session => 0 + $self->{spid}, kind => $call->{kind}, text => $call->{text},
        $call->{kind} eq 'rpc' ? (declaration => $call->{declaration}) : () }) . "\n";
    close $log or die "statements.log: $!\n";
    return;
}

sub execute {
    my ($self, $call, $tokens) = @_;
    my $session = $self->{session};
    if ($call->{unknown}) {
        my $error = TdsPeer::Error->new(2812, $call->{text});
        $tokens->error({ number => 2812, severity => 16, state => 62, message => $error->{text} });
        return;
    }
    $self->log_statement($call);
    return $session->run_batch($call->{text}, $tokens) if $call->{kind} eq 'batch';
    return $session->run_rpc($call->{text}, $call->{declaration}, $call->{parameters}, $tokens);
}

sub answer {
    my ($self, $call) = @_;
    my $stream = $self->{stream};
    my $tokens = TdsPeer::Wire::Tokens->new(session => $self->{session}, rpc => $call->{kind} eq 'rpc');
    my $fault = $self->{faults}->next_for($call->{text}) // { action => '' };
    my $action = $fault->{action};
    die "told to close\n" if $action eq 'close_before';
    if ($action eq 'delay' && $self->interrupted($fault->{seconds})) {
        $self->{session}->fail_with({ number => 3980, severity => 11, state => 1, message => 'The request was cancelled.' }, $tokens);
        $stream->message;
        $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, $tokens->attention_done);
        return 1;
    }
    my $outputs;
    if ($action eq 'error') {
        $self->{session}->fail_with($fault, $tokens);
    } else {
        $outputs = $self->execute($call, $tokens);
    }
    if ($action eq 'error_after') {
        $self->{session}->fail_with($fault, $tokens);
        undef $outputs;
    }
    die "told to close\n" if $action eq 'close_after';
    local @$stream{qw(split tiny)} = ($action eq 'split', $action eq 'tiny' ? 16 : undef);
    my $response = $tokens->finish($call->{kind} eq 'rpc' ? $outputs : undef);
    if ($action =~ /\A(?:half|garbage|lie)\z/) {
        $stream->put(spoilt($stream, $action, $response));
        die "told to close\n";
    }
    $stream->send_message(TdsPeer::Wire::Stream::RESPONSE, $response);
    return 1;
}

# A response that is not one.
sub spoilt {
    my ($stream, $action, $response) = @_;
    if ($action eq 'half') {
        my $packets = $stream->packets(TdsPeer::Wire::Stream::RESPONSE, $response);
        return substr $packets, 0, length($packets) / 2;
    }
    # A message whose length is that of no message; bytes that are no tokens.
    return $stream->packets(TdsPeer::Wire::Stream::RESPONSE, pack('Cv', 0xaa, 0xfff0) . 'x' x 20) if $action eq 'lie';
    return $stream->packets(TdsPeer::Wire::Stream::RESPONSE, join '', map { chr(7 + $_ * 37 % 249) } 1 .. 400);
}

# Waits; whether the client has asked to stop meanwhile, or has gone.
sub interrupted {
    my ($self, $seconds) = @_;
    return $self->{stream}->pending($seconds);
}

1;

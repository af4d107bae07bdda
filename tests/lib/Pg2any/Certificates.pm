package Pg2any::Certificates;

# A certificate authority for the length of a test, and what it issues, by the openssl command.

use strict;
use warnings;
use Carp qw(croak);
use Pg2any::Postgres;
use Pg2any::Process;

# Pg2any::Certificates->new(dir => DIR, name => 'ca'): DIR/ca.pem and its key.
sub new {
    my ($class, %arg) = @_;
    my $self = bless { dir => $arg{dir}, name => $arg{name} }, $class;
    $self->request($arg{name}, '-x509', '-days', 2, '-out', $self->file,
        '-addext', 'basicConstraints=critical,CA:TRUE');
    return $self;
}

sub file { return "$_[0]{dir}/$_[0]{name}.pem" }

# A certificate for these names (DNS:…, IP:…); the paths of it and of its key.
sub issue {
    my ($self, $name, @names) = @_;
    my ($request, $extensions) = map { "$self->{dir}/$name.$_" } qw(csr ext);
    my $certificate = "$self->{dir}/$name.pem";
    my $key = $self->request($name, '-out', $request);
    open my $fh, '>', $extensions or croak "$extensions: $!";
    print {$fh} 'subjectAltName=', join(',', @names), "\n";
    close $fh or croak "$extensions: $!";
    $self->openssl('x509', '-req', '-in', $request, '-CA', $self->file, '-CAkey',
        "$self->{dir}/$self->{name}.key", '-CAcreateserial', '-days', 2, '-extfile', $extensions,
        '-out', $certificate);
    return ($certificate, $key);
}

# A new key, and a request or a self-signed certificate with it.
sub request {
    my ($self, $name, @options) = @_;
    my $key = "$self->{dir}/$name.key";
    $self->openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
        '-keyout', $key, '-subj', "/CN=pg2any test $name", @options);
    return $key;
}

sub openssl {
    my ($self, @argv) = @_;
    my $log = "$self->{dir}/openssl.log";
    my $process = Pg2any::Process->start(name => 'openssl', argv => ['openssl', @argv],
        stderr => $log);
    $process->wait_exit(30) eq '0' or croak "openssl @argv: ", Pg2any::Postgres::read_file($log);
    return;
}

1;

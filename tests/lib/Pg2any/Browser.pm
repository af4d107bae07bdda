package Pg2any::Browser;

# A headless Chromium, spoken to as WebDriver has it (https://www.w3.org/TR/webdriver2/), over plain HTTP to
# chromedriver; what WebDriver lacks by the browser's own protocol (https://chromedevtools.github.io/devtools-protocol/).

use strict;
use warnings;
use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(wait_for);

my $json = JSON::PP->new->utf8->canonical;

# Until they are closed: a driver that is stopped leaves its browser behind.
my %open;

END {
    local $?;
    eval { $_->close_browser } for values %open;
}

sub new {
    my ($class) = @_;
    my $port = Pg2any::Postgres::free_port();
    my $dir = fresh_name('browser');
    mkdir $dir or croak "mkdir $dir: $!";
    my $self = bless { http => HTTP::Tiny->new(timeout => 60), url => "http://127.0.0.1:$port" }, $class;
    $self->{driver} = Pg2any::Process->start(name => 'chromedriver', argv => ['nice', 'chromedriver', "--port=$port"],
        stderr => fresh_name('chromedriver.log'), env => { HOME => $dir }, parent_death => 'TERM');
    wait_for(sub { eval { $self->call('GET', '/status')->{ready} } }, 30, 'chromedriver');
    my $session = $self->call('POST', '/session', { capabilities => { alwaysMatch => {
        'goog:loggingPrefs' => { browser => 'ALL' },
        # As root, and in a container, it has no sandbox; it sees nothing but our own page.
        'goog:chromeOptions' => { args => ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
            '--disable-background-networking', '--hide-scrollbars', "--user-data-dir=$dir/profile"] },
    } } });
    $self->{session} = "/session/$session->{sessionId}";
    $open{ $self->{session} } = $self;
    return $self;
}

sub call {
    my ($self, $method, $path, $body) = @_;
    my $reply = $self->{http}->request($method, "$self->{url}$path",
        { headers => { 'content-type' => 'application/json' }, $method eq 'POST' ? (content => $json->encode($body // {})) : () });
    my $value = eval { $json->decode($reply->{content})->{value} };
    croak "$method $path: " . (ref $value ? $value->{message} // '' : $reply->{content}) if !$reply->{success};
    return $value;
}

sub command {
    my ($self, $method, $path, $body) = @_;
    return $self->call($method, "$self->{session}$path", $body);
}

# A command of the browser's own protocol.
sub devtools {
    my ($self, $name, %arg) = @_;
    return $self->command('POST', '/goog/cdp/execute', { cmd => $name, params => \%arg });
}

sub open { return $_[0]->command('POST', '/url', { url => $_[1] }) }

# The body of a function of JavaScript, with its arguments; what it returns, a promise's value too.
sub script {
    my ($self, $body, @args) = @_;
    return $self->command('POST', '/execute/sync', { script => $body, args => \@args });
}

# What the browser complained of.
sub complaints {
    my ($self) = @_;
    return [map { $_->{message} } grep { $_->{level} =~ /\A(?:SEVERE|WARNING)\z/ } @{ $self->command('POST', '/se/log', { type => 'browser' }) }];
}

# A screen of that many CSS pixels; a phone has a finger, and its pixels are smaller.
sub screen {
    my ($self, $width, $height) = @_;
    my $phone = $width < 600;
    $self->devtools('Emulation.setDeviceMetricsOverride', width => $width, height => $height,
        deviceScaleFactor => $phone ? 2 : 1, mobile => $phone ? JSON::PP::true : JSON::PP::false);
    return;
}

sub scheme {
    my ($self, $scheme) = @_;
    $self->devtools('Emulation.setEmulatedMedia', features => [{ name => 'prefers-color-scheme', value => $scheme }]);
    return;
}

# A key, by WebDriver's name for it ("\x{e004}": the tabulator).
sub key {
    my ($self, $key) = @_;
    $self->command('POST', '/actions', { actions => [{ type => 'key', id => 'keys',
        actions => [map { { type => $_, value => $key } } qw(keyDown keyUp)] }] });
    return;
}

# The whole page, as PNG.
sub screenshot {
    my ($self, $file) = @_;
    my $shot = $self->devtools('Page.captureScreenshot', captureBeyondViewport => JSON::PP::true, format => 'png');
    CORE::open(my $fh, '>:raw', $file) or croak "$file: $!";
    print {$fh} decode_base64($shot->{data});
    close $fh or croak "$file: $!";
    return;
}

sub close_browser {
    my ($self) = @_;
    delete $open{ $self->{session} };
    $self->command('DELETE', '');
    return $self->{driver}->stop;
}

1;

# metrics-http by itself: files that are missing, damaged or hostile; clients that are slow, hostile or
# many. It goes on answering, in bounded memory. The page: what is in the document, whatever names hold, and how
# little it weighs; `make check-page` looks at it in a browser.
# needs: nothing

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use Sys::Hostname ();
use Pg2any::Pipeline;
use Pg2any::Test;

my $dir = fresh_name('stats');
mkdir $dir or die "$dir: $!\n";

sub write_file {
    my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print {$fh} $text;
    close $fh or die "$dir/$name: $!\n";
    return;
}

my $port = Pg2any::Postgres::free_port();
my $log = fresh_name('metrics.log');

sub start {
    my (@args) = @_;
    return Pg2any::Process->start(name => 'metrics-http', argv => [Pg2any::Pipeline::tool('metrics-http'), @args],
        stderr => $log, env => { METRICS_PORT => undef, METRICS_LISTEN => undef });
}

sub get {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 15)->get("http://127.0.0.1:$port$path");
}

my $alive = "pid=$$ state=ready";
my $server = start('--port', $port, map { ('--stats', "$dir/$_.prom") } 'capture', 'apply', 'a"b\\c');
wait_for(sub { get('/')->{status} == 200 }, 60, 'the server');
is(get('/health')->{status}, 503, 'no file at all: 503');
is(get('/health')->{content}, 'capture has not been started', 'with the reason');
is(get('/metrics')->{status}, 200, '/metrics answers all the same');

write_file('capture.prom', "# pg2any component=pg-capture $alive\n# HELP pg2any_x X.\n# TYPE pg2any_x gauge\npg2any_x 1\n"
    . "pg2any_x{a=\"b\"} 2\npg2any_x{a=\"}\"} 3\npg2any_y 4\nrubbish\n# TYPE\n# HELP pg2any_x X.\npg2any_x{a=\"c\"} 5\npg2any_x 6");
write_file('apply.prom', "# pg2any component=apply-sqlite $alive\n# HELP pg2any_x X.\n# TYPE pg2any_x gauge\npg2any_x 7\n");
write_file('a"b\\c.prom', "# pg2any component=frame-tee $alive\n# HELP pg2any_x X.\n# TYPE pg2any_x gauge\npg2any_x 8\n");
wait_for(sub { get('/health')->{status} == 200 }, 60, 'all three');
my $text = get('/metrics')->{content};
is(join('', grep { !/pg2any_(?:up|health)/ } split /^/, $text), <<'END', 'files are merged, what is no metric is left out');
# HELP pg2any_x X.
# TYPE pg2any_x gauge
pg2any_x{stage="capture"} 1
pg2any_x{stage="capture",a="b"} 2
pg2any_x{stage="capture",a="}"} 3
pg2any_x{stage="capture",a="c"} 5
pg2any_x{stage="apply"} 7
pg2any_x{stage="a\"b\\c"} 8
END
is(get('/ready')->{status}, 200, '/ready');
is(get('/health')->{content}, 'ok', '/health');
my $apply = Pg2any::Postgres::read_file("$dir/apply.prom");
write_file('apply.prom', $apply . "# TYPE pg2any_tables_aside gauge\npg2any_tables_aside{reason=\"paused\"} 1\npg2any_tables_aside{reason=\"refused\"} 2\n");
my $aside = wait_for(sub { my $h = get('/health'); $h->{content} ne 'ok' && $h }, 60, 'tables to be set aside');
is("$aside->{status} $aside->{content}", '200 ok, but tables are set aside: 2', 'tables that the target refused are said; those of a person are not');
write_file('apply.prom', $apply);

for my $case (['empty', ''], ['binary', join '', map { chr } 0 .. 255], ['no state', "pg2any_x 1\n"],
    ['a pid of nobody', "# pg2any component=x pid=4194303 state=ready\n"], ['a pid of everybody', "# pg2any component=x pid=-1 state=ready\n"],
    ['stopped', "# pg2any component=x pid=1 state=stopped status=100 follows=0 reason=why not\n"]) {
    my ($name, $content) = @$case;
    write_file('apply.prom', $content);
    my $ill = wait_for(sub { my $h = get('/health'); $h->{status} == 503 && $h }, 60, "a 503 for $name");
    like($ill->{content}, qr/\Athe statistics of apply cannot be read|\Aapply was killed|\Aapply has stopped for good: why not\z/, "$name: 503");
}
unlink "$dir/apply.prom" or die "unlink: $!\n";
mkdir "$dir/apply.prom" or die "mkdir: $!\n";
wait_for(sub { get('/health')->{status} == 503 }, 60, 'a directory');
rmdir "$dir/apply.prom" or die "rmdir: $!\n";
write_file('apply.prom', "# pg2any component=apply-sqlite $alive\n");
wait_for(sub { get('/health')->{status} == 200 }, 60, 'all is well again');

# Requests.
is(get('/nonsense')->{status}, 404, 'another path: 404');
is(HTTP::Tiny->new->post("http://127.0.0.1:$port/metrics", { content => 'x' x 100_000 })->{status}, 405, 'POST: 405');
is(HTTP::Tiny->new->head("http://127.0.0.1:$port/metrics")->{status}, 200, 'HEAD');

sub raw {
    my ($bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return;
    $socket->blocking(0);
    syswrite $socket, $bytes if length $bytes;
    return $socket;
}

for my $bytes ("GET /\0 HTTP/1.1\r\n\r\n", "\xff\xfe\0\0" x 1000, 'GET ' . '/x' x 50_000 . " HTTP/1.1\r\n\r\n",
    "GET /metrics HTTP/1.1\r\n" . ("X: " . 'y' x 1000 . "\r\n") x 1000 . "\r\n", "GET /metrics HTTP/9.9\r\n\r\n", "\r\n" x 10_000,
    "GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n") {
    raw($bytes) for 1 .. 3;
}
is(get('/health')->{status}, 200, 'requests that make no sense do not matter');

# The name by which it is asked for: a site's own name that leads here is none of ours.
sub as_host {
    my ($host, $path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return 'no connection';
    print {$socket} "GET $path HTTP/1.0\r\n", defined $host ? "Host: $host\r\n" : '', "\r\n";
    my ($status) = (<$socket> // '') =~ / (\d+) /;
    return $status;
}
for my $path (qw(/ /status.json /metrics /health)) {
    is(as_host('evil.example', $path), 421, "$path: not for another name");
}
is(as_host($_ // undef, '/health'), 200, 'asked for as ' . ($_ // 'nothing')) for undef, "127.0.0.1:$port", "localhost:$port", '[::1]', 'LocalHost.', Sys::Hostname::hostname();
is(as_host($_, '/health'), 421, "not as '$_'") for 'evil.example:8080', 'localhost.evil.example', 'evil-localhost', '127.0.0.1.evil.example', '[evil.example]', '', '.', 'x' x 300;

# ---- the page ----

sub page {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 15, default_headers => { Accept => 'text/html,application/xhtml+xml,*/*;q=0.8' })
        ->get("http://127.0.0.1:$port$path");
}

# Every start tag has its end, in order; no attribute of an element runs script or style.
sub well_formed {
    my ($html) = @_;
    my (@open, @faults);
    my %void = map { $_ => 1 } qw(meta link br img input);
    for my $tag ($html =~ /<(?!!)([^>]*)>/g) {
        if ($tag =~ m{\A/(\w+)\z}) {
            my $opened = pop @open // 'nothing';
            push @faults, "</$1> ends <$opened>" if $opened ne $1;
        } elsif ($tag =~ m{\A(\w+)((?: [a-z-]+(?:="[^"<>]*")?)*)\z}) {
            push @faults, "<$tag> has what runs" if $2 =~ / (?:on\w+|style)=/;
            push @open, $1 if !$void{$1};
        } else {
            push @faults, "<$tag>";
        }
    }
    return [@faults, map { "<$_> has no end" } @open];
}

my $evil = q{public.<script>alert("1")</script>&'\\\\};
my $label = $evil =~ s/(["\\])/\\$1/gr;
write_file('capture.prom', "# pg2any component=pg-capture $alive\npg2any_slot_info{slot=\"cdc<slot\"} 1\n"
    . "pg2any_source_connection_status 1\npg2any_server_lsn 2000000000\npg2any_last_received_lsn 1999995904\n"
    . "pg2any_server_wal_bytes_per_second 1048576\npg2any_slot_wal_status{status=\"reserved\"} 1\n"
    . "pg2any_slot_retained_wal_bytes 134217728\npg2any_slot_wal_budget_bytes 1073741824\n");
write_file('apply.prom', "# pg2any component=apply-sqlite $alive\npg2any_destination_connection_status 1\n"
    . "pg2any_last_processed_lsn 1895142400\npg2any_apply_received_lsn 1999995904\npg2any_apply_wal_bytes_per_second 11534336\n"
    . "pg2any_replication_lag_seconds 30.5\n"
    . "pg2any_tables_aside{reason=\"paused\"} 2\npg2any_tables_aside{reason=\"refused\"} 0\npg2any_events_by_type_total{event_type=\"insert\",table=\"$label\"} 42\n"
    . "pg2any_events_by_type_total{event_type=\"delete\",table=\"$label\"} 8\npg2any_conflicts_total{type=\"insert_exists\",table=\"$label\"} 3\n"
    . join '', map { "pg2any_events_by_type_total{event_type=\"update\",table=\"public.t$_\"} $_\n" } 1 .. 60);
wait_for(sub { page('/')->{content} =~ /catching up/ }, 60, 'the page to know');
my $page = page('/');
is($page->{headers}{'content-type'}, 'text/html; charset=utf-8', 'a browser gets a page');
is_deeply(well_formed($page->{content}), [], 'which is well formed');
unlike($page->{content}, qr/<script>/, 'no name of a table is anything but a name');
my ($shown) = $page->{content} =~ m{<th scope="row">(public\.&#60;.*?)</tr>};
is($shown =~ s/&#(\d+);/chr $1/ger, "$evil</th><td>42</td><td>0</td><td>8</td><td>3</td>", 'with what was counted of it');
like($page->{content}, qr/>and 11 more, /, 'the tables with the most changes');
for my $words ('cdc&#60;slot</h2>', '>100 MB behind, catching up: 10 s left<', '>keeps 128 MB of WAL<', '>12 % of the budget of 1.0 GB<',
    '>4.0 kB to read<', '>1.0 MB/s of WAL<', '>lag 30.5 s, 100 MB<',
    '>tables set aside, paused: 2<') {
    ok(index($page->{content}, $words) >= 0, "without a script it says: $words");
}
my $csp = $page->{headers}{'content-security-policy'};
like($csp, qr/\Adefault-src 'none';/, 'a content security policy that allows nothing');
unlike($csp, qr/unsafe|http|\*|data:/, '... but its own script and style');
is($page->{headers}{'x-content-type-options'}, 'nosniff', 'nor is a type guessed');
unlike($page->{content}, qr{(?:src|href)="(?!/)}, 'nothing is loaded from elsewhere');
my $weight = 0;
for my $url ('/', '/status.json', $page->{content} =~ m{<(?:link|script)[^>]* (?:href|src)="(/[^"]+)"}g) {
    my $reply = page($url);
    is($reply->{status}, 200, "$url is there");
    $weight += length $reply->{content};
}
# An hour of a target: 360 samples of four values.
cmp_ok($weight + 360 * 4 * 9, '<', 60 * 1024, "page, style, script and data weigh little: $weight bytes and the hour");
is(get('/')->{headers}{'content-type'}, 'text/plain; charset=utf-8', 'who does not ask for HTML gets text');
is(get('/')->{content}, <<'END', 'a few lines');
cdc<slot: 100 MB behind, catching up: 10 s left
  capture   running
  apply     running      100 MB behind, catching up: 10 s left
  a"b\c     running
/metrics /health /ready /status.json, and a page for browsers
END
wait_for(sub { decode_json(get('/status.json')->{content})->{pipelines}[0]{history}{retained_wal_bytes}[-1] }, 60, 'a sample');
my $status = decode_json(get('/status.json')->{content});
is_deeply([sort keys %$status], [qw(healthy pipelines ready time)], '/status.json');
my ($pipeline) = @{ $status->{pipelines} };
is_deeply([sort keys %$pipeline], [qw(copies history name retained_wal_bytes server_wal_bytes_per_second stages state state_directory state_words tables_left targets
    wal_budget_bytes)], '... a pipeline');
is($pipeline->{state}, 'catching up', '... its state');
is_deeply({ %{ $pipeline->{targets}[0] }{qw(stage lag behind_bytes seconds_left)} },
    { stage => 'apply', lag => 'catching up', behind_bytes => 104857600, seconds_left => 10 }, '... a target, as pg2any status --json has it');
is_deeply({ %{ $pipeline->{targets}[0] }{qw(tables_paused tables_refused apart)} }, { tables_paused => 2, tables_refused => 0, apart => undef },
    '... which tables it has set aside, and that it is in the pipeline');
is($pipeline->{targets}[0]{last_compare}, undef, '... and that it was never compared');
# What pg2any compare has left.
my $compared = sub {
    my ($equal, $different, $keys) = @_;
    write_file('compare.prom', "# pg2any component=apply-sqlite pid=1 state=stopped status=0 follows=0 reason=\n# TYPE pg2any_compare_timestamp_seconds gauge\n"
        . "pg2any_compare_timestamp_seconds 1700000000\npg2any_compare_duration_seconds 7\npg2any_compare_rows 1000\npg2any_compare_keys_different $keys\n"
        . "# TYPE pg2any_compare_tables gauge\npg2any_compare_tables{result=\"equal\"} $equal\npg2any_compare_tables{result=\"different\"} $different\n"
        . "pg2any_compare_tables{result=\"undecided\"} 0\npg2any_compare_tables{result=\"not compared\"} 2\n");
};
$compared->(11, 1, 5);
wait_for(sub { decode_json(get('/status.json')->{content})->{pipelines}[0]{targets}[0]{last_compare} }, 60, 'the comparison');
is_deeply(decode_json(get('/status.json')->{content})->{pipelines}[0]{targets}[0]{last_compare}, { time => 1_700_000_000, seconds => 7, rows => 1000,
        words => '1 of 14 tables differs; keys found to differ: 5; 2 not compared', tables_equal => 11, tables_different => 1,
        tables_undecided => 0, tables_not_compared => 2, keys_different => 5 }, 'what the last comparison came to');
like(page('/')->{content}, qr{<p class="fault">Last compared: <time datetime="2023-11-14T22:13:20Z">[^<]*</time>, 1 of 14 tables differs; keys found to differ: 5; 2 not compared</p>},
    '... on the page');
like(get('/metrics')->{content}, qr/^pg2any_compare_tables\{stage="apply",result="different"\} 1$/m, '... as a metric of its target');
$compared->(12, 0, 0);
wait_for(sub { page('/')->{content} =~ m{<p class="dir">Last compared: [^<]*<time [^<]*</time>, 12 tables equal; 2 not compared</p>} }, 60, 'another comparison');
is(get('/health')->{status}, 200, '... which is no matter of health');
write_file('apply.apart', "paused 1700000000\nx.db\nsomebody\n");
wait_for(sub { (decode_json(get('/status.json')->{content})->{pipelines}[0]{targets}[0]{apart} // '') eq 'paused' }, 60, 'the target to be apart');
is(decode_json(get('/status.json')->{content})->{pipelines}[0]{targets}[0]{apart_since}, 1_700_000_000, '... since when it is not');
unlink "$dir/apply.apart" or die "unlink: $!\n";
is_deeply([sort keys %{ $pipeline->{history}{targets}[0] }], [qw(changes_per_second lag_bytes lag_seconds stage)], '... curves of a target');
is($pipeline->{history}{targets}[0]{lag_bytes}[-1], 104857600, '... with a sample');
write_file('apply.prom', "# pg2any component=apply-sqlite pid=1 state=stopped status=100 follows=0 reason=no <room> (make some)\n");
wait_for(sub { page('/')->{content} =~ m{<p class="fault">apply has stopped for good: no &#60;room&#62; \(make some\)</p>} }, 60, 'the error');
pass('the page has the error and its advice');
like(page('/')->{content}, qr{<li class="node bad"><h3>apply</h3><p class="state">failed</p>}, '... at the stage');
write_file('apply.prom', "# pg2any component=apply-sqlite $alive\n");
wait_for(sub { get('/health')->{status} == 200 }, 60, 'the error to go');

# More clients than there are places, which say nothing, or a byte now and then.
my @silent = map { raw('') } 1 .. 80;
my @slow = map { raw('GET /met') } 1 .. 20;
my $began = now();
is(get('/health')->{status}, 200, 'a client that asks gets an answer beside 100 that do not');
cmp_ok(now() - $began, '<', 3, 'at once: it is those that took longest that have to go');
$began = now();
my $answered = eval {
    wait_for(sub {
        syswrite $_, 'x' for grep { defined } @slow;
        get('/health')->{status} == 200;
    }, 40, 'an answer');
};
ok($answered, sprintf 'a client gets an answer beside 100 that hold their connections (after %.1f s)', now() - $began);
$_ && close $_ for @silent, @slow;
wait_for(sub { get('/health')->{status} == 200 }, 60, 'the server');

# Clients that ask and do not read.
write_file('capture.prom', "# pg2any component=pg-capture $alive\n# HELP pg2any_x X.\n# TYPE pg2any_x gauge\n"
    . join('', map { "pg2any_x{n=\"$_\"} 1\n" } 1 .. 50_000));
wait_for(sub { length(get('/metrics')->{content}) > 1_000_000 }, 60, 'the long text');
my @deaf = grep { defined } map { raw("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") } 1 .. 30;
cmp_ok(length(get('/metrics')->{content}), '>', 1_000_000, 'a long answer, beside 30 clients that do not read theirs');
close $_ for @deaf;
@deaf = grep { defined } map { raw("GET /$_ HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\n\r\n") } ('', 'status.json', 'page.js') x 12;
$began = now();
is(get('/health')->{status}, 200, 'nor do those who ask for the page and do not read it keep /health from others');
cmp_ok(now() - $began, '<', 3, '... who get it at once');
close $_ for @deaf;
cmp_ok($server->peak_memory_kb, '<', 200_000, 'in bounded memory');
ok($server->running, 'and it runs');

my $second = start('--port', $port, '--stats', "$dir/capture.prom");
is($second->wait_exit(60), 111, 'a port that is in use: 111');
like(Pg2any::Postgres::read_file($log), qr/another program has the port/, 'and what to do');
is($server->stop, 0, 'asked to stop, it leaves with 0');

# Several pipelines, by their state directories: what not all have counts where it is there.
my @dirs = map { fresh_name("pipeline$_") } 1, 2;
for my $dir_of (@dirs) {
    mkdir $dir_of or die "$dir_of: $!\n";
    for my $stage ('capture', 'assemble', 'apply', $dir_of eq $dirs[1] ? ('tee', 'apply-2') : ()) {
        open my $fh, '>', "$dir_of/$stage.prom" or die "$dir_of: $!\n";
        print {$fh} '# pg2any component=', { capture => 'pg-capture', assemble => 'txn-assemble', tee => 'frame-tee' }->{$stage} // 'apply-mysql',
            " $alive\n# TYPE pg2any_x gauge\npg2any_x 1\n";
        close $fh or die "$dir_of: $!\n";
    }
}
my $several = start('--port', $port, '--host-name', 'a.example,b.example', '--host-name', 'c.example', map { ('--state-dir', $_) } @dirs);
wait_for(sub { get('/health')->{status} == 200 }, 60, 'both');
is(as_host($_, '/health'), 200, "asked for as $_, a name that it was given") for 'a.example', "B.example:$port", 'c.example';
is(as_host($_, '/health'), 421, "not as $_") for 'd.example', 'a.example,b.example', 'a.example.evil.example';
my @served = get('/metrics')->{content} =~ /^pg2any_x\{pipeline="([^"]*",stage="[^"]*)"\} 1$/mg;
is(join(' ', sort @served),
    join(' ', sort map { my $d = $_; map { "$d\",stage=\"$_" } 'capture', 'assemble', 'apply', $d eq $dirs[1] ? ('tee', 'apply-2') : () } @dirs),
    'two pipelines, each with its stages');
is_deeply(well_formed(page('/')->{content}), [], 'the page of both is well formed');
unlink "$dirs[1]/apply.prom" or die "unlink: $!\n";
wait_for(sub { get('/health')->{status} == 503 }, 60, '503');
is(get('/health')->{content}, "$dirs[1]: apply has not been started", '/health says which of them');
is($several->stop, 0, 'it stops');

is(start('--stats', 'x', '--state-dir', 'y')->wait_exit(60), 100, 'files and directories: 100');
is(start('--listen', 'nonsense', '--stats', 'x')->wait_exit(60), 100, 'an address that is none: 100');
is(start('--listen', '127.0.0.1:99999', '--stats', 'x')->wait_exit(60), 100, 'a port that is none: 100');
is(start('--listen', "127.0.0.1:$port")->wait_exit(60), 100, 'nothing to serve: 100');
my $six = start('--listen', "[::1]:$port", '--stats', "$dir/apply.prom");
my $has_six = eval { wait_for(sub { HTTP::Tiny->new(timeout => 2)->get("http://[::1]:$port/health")->{status} == 200 || !$six->running }, 60, 'IPv6'); $six->running };
SKIP: {
    skip 'no IPv6 here', 1 if !$has_six;
    is($six->stop, 0, 'IPv6 works');
}

done_testing;

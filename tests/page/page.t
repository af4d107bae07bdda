# The page of metrics-http in a browser (headless Chromium): what it shows of a pipeline that is healthy, copies, catches up
# and has stopped, on a desk and on a phone, light and dark; that it follows without being loaded again, by keyboard and
# for a screen reader; and that axe-core finds nothing to complain of.
#
# Pictures of all that are left in PG2ANY_SHOTS; PG2ANY_AXE is axe.min.js. `make check-page` sets both.
# needs: nothing

use HTTP::Tiny;
use JSON::PP ();
use Pg2any::Browser;
use Pg2any::Test;

my $shots = $ENV{PG2ANY_SHOTS} // fresh_name('shots');
mkdir $shots if !-d $shots;
my $axe = Pg2any::Postgres::read_file($ENV{PG2ANY_AXE} // die "PG2ANY_AXE does not name axe.min.js\n");
my ($shop, $crm) = map { my $dir = fresh_name($_); mkdir $dir or die "$dir: $!\n"; $dir } qw(shop crm);
my ($MB, $GB) = (1 << 20, 1 << 30);

sub write_stats {
    my ($dir, $stage, $head, @lines) = @_;
    open my $fh, '>', "$dir/$stage.new" or die "$dir/$stage: $!\n";
    print {$fh} map { "$_\n" } "# pg2any component=$head", @lines;
    close $fh or die "$dir/$stage: $!\n";
    rename "$dir/$stage.new", "$dir/$stage.prom" or die "$dir/$stage: $!\n";
    return;
}

sub copy_of {
    my ($table, $rows, $of) = @_;
    my %value = (active => 1, rows => $rows, bytes => $rows * 130, estimated_rows => $of, begun_timestamp_seconds => time - 40);
    return map { qq(pg2any_capture_copy_$_\{table="$table"} $value{$_}) } sort keys %value;
}

# A pipeline, as its stages would tell of it.
my %STATE = (
    healthy => { behind => 2 * $MB, seconds => 0.2, compared => { equal => 12 } },
    copying => { behind => 2 * $MB, seconds => 0.2, copies => 1 },
    'catching-up' => { behind => 900 * $MB, seconds => 95, speed => 13 * $MB, compared => { equal => 11, different => 1 } },
    stopped => { behind => 50 * $MB, stopped => 1 },
);
my $at = 40 * $GB;

sub pipeline {
    my ($dir, $state, $slot, @targets) = @_;
    my $is = $STATE{$state};
    my $alive = "pid=$$ state=ready";
    $at += $MB;
    my @copies = $is->{copies} ? ('pg2any_capture_copy_tables_left 3', copy_of('public.orders', 420_000, 1_200_000),
        copy_of('archive.order_lines_with_a_name_that_is_as_long_as_names_may_be_63', 1_000, 0)) : ();
    write_stats($dir, 'capture', "pg-capture $alive", qq(pg2any_slot_info{slot="$slot"} 1), 'pg2any_source_connection_status 1',
        "pg2any_server_lsn $at", 'pg2any_last_received_lsn ' . ($at - 4096), 'pg2any_server_wal_bytes_per_second ' . 3 * $MB,
        'pg2any_slot_wal_status{status="reserved"} 1', 'pg2any_slot_retained_wal_bytes ' . ($is->{behind} + 300 * $MB),
        'pg2any_slot_wal_budget_bytes ' . 4 * $GB, 'pg2any_buffer_memory_usage_bytes 12000', "pg2any_capture_emitted_bytes_total $at", @copies);
    write_stats($dir, 'assemble', "txn-assemble $alive", 'pg2any_queue_depth 2', 'pg2any_spill_bytes 0', 'pg2any_assemble_changes_total ' . $at / 200);
    write_stats($dir, 'tee', "frame-tee $alive", 'pg2any_tee_frames_total ' . $at / 200) if @targets > 1;
    my $stage = 'apply';
    my $n = 1;
    for my $program (@targets) {
        my $head = $is->{stopped} && $n == 1 ? 'pid=1 state=stopped status=100 follows=0 reason=table public.orders, insert_exists in transaction 754 '
            . 'that ended at 0/2A4F0120: the target has a row with this key already (mend the row, or start with CDC_CONFLICT=apply)' : $alive;
        write_stats($dir, $stage, "$program $head", 'pg2any_destination_connection_status 1', 'pg2any_last_processed_lsn ' . ($at - $is->{behind}),
            'pg2any_apply_received_lsn ' . ($at - int $is->{behind} / 2), 'pg2any_apply_wal_bytes_per_second ' . ($is->{speed} // 3 * $MB),
            'pg2any_replication_lag_seconds ' . ($is->{seconds} // 0), 'pg2any_queue_depth 14', 'pg2any_events_processed_total ' . $at / 210,
            'pg2any_restarts_total 1', $is->{copies} ? ('pg2any_copy_tables_awaited 3', 'pg2any_copy_tables_settling 1') : (),
            qq(pg2any_conflicts_total{type="insert_exists",table="public.orders"} 4),
            map { my $table = $_; map { qq(pg2any_events_by_type_total{event_type="$_",table="$table"} ) . $at / 200 / length $table } qw(insert update delete) }
                'public.orders', 'public.customers', 'archive.order_lines_with_a_name_that_is_as_long_as_names_may_be_63');
        write_stats($dir, $stage =~ s/apply/compare/r, "$program pid=1 state=stopped status=0 follows=0 reason=", 'pg2any_compare_timestamp_seconds 1700000000',
            map { qq(pg2any_compare_tables{result="$_"} $is->{compared}{$_}) } sort keys %{ $is->{compared} });
        $stage = 'apply-' . ++$n;
    }
    return;
}

# What the server keeps of an hour, told at once.
my $HOUR = <<'END';
    const wave = (most, at) => Array.from({ length: 360 }, (_, i) => i > 40 && i < 48 ? null
        : most * (0.08 + 0.04 * Math.sin(i / 9) + Math.max(0, 1 - Math.abs(i - at) / 40)));
    const status = JSON.parse(arguments[0]);
    for (const p of status.pipelines) {
        p.history.retained_wal_bytes = wave(2.5e9, 250);
        p.history.targets.forEach((t, k) => Object.assign(t, { lag_seconds: wave(70 / (k + 1), 230 + 30 * k),
            lag_bytes: wave(9e8 / (k + 1), 230 + 30 * k), changes_per_second: wave(5200, 200 + 20 * k) }));
    }
    draw(status);
END

my $port = Pg2any::Postgres::free_port();
my $url = "http://127.0.0.1:$port/";

sub get {
    my ($path) = @_;
    return HTTP::Tiny->new(timeout => 15)->get("$url$path");
}

sub serve {
    my (@dirs) = @_;
    my $server = Pg2any::Process->start(name => 'metrics-http', stderr => fresh_name('metrics.log'), env => { METRICS_PORT => undef, METRICS_LISTEN => undef },
        argv => [Pg2any::Pipeline::tool('metrics-http'), '--port', $port, map { ('--state-dir', $_) } @dirs]);
    wait_for(sub { get('')->{status} == 200 }, 20, 'the server');
    return $server;
}

my $browser = Pg2any::Browser->new;

sub seen {
    my ($text, $name) = @_;
    return ok(eval { wait_for(sub { index($browser->script('return document.body.innerText'), $text) >= 0 }, 20, $text) }, $name)
        || diag($browser->script('return document.body.innerText'));
}

# What a tool finds that knows WCAG.
sub accessible {
    my ($name) = @_;
    my $found = $browser->script("$axe; return axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map("
        . "(v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 120) + ' ' + n.failureSummary).join('; ')))");
    return is_deeply($found, [], "$name: axe-core finds nothing") || diag(join "\n", @$found);
}

sub look {
    my ($name) = @_;
    for my $screen ([1280, 900, 'light'], [1280, 900, 'dark'], [360, 740, 'light'], [360, 740, 'dark']) {
        my ($width, $height, $scheme) = @$screen;
        $browser->screen($width, $height);
        $browser->scheme($scheme);
        $browser->script($HOUR, get('status.json')->{content});
        is_deeply($browser->script(<<'END'), [], "$name, $width $scheme: nothing is wider than the screen");
            return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
                && !e.closest('.wide, .unseen, svg')).map((e) => e.outerHTML.slice(0, 100))
                .concat(document.documentElement.scrollWidth > innerWidth ? ['it scrolls sideways'] : []);
END
        accessible("$name, $width $scheme");
        $browser->screenshot("$shots/$name-$width-$scheme.png");
    }
    $browser->screen(1280, 900);
    $browser->scheme('light');
    return;
}

pipeline($shop, 'healthy', 'cdc_slot', 'apply-mysql');
my $server = serve($shop);
$browser->screen(1280, 900);
$browser->open($url);
seen('up to date', 'a healthy pipeline');
seen('WAL that the slot keeps', 'its curves');
seen('12 tables equal', 'its last comparison');
$browser->script('window.mine = true');
$browser->script($HOUR, get('status.json')->{content});
is($browser->script(q{return document.querySelectorAll('path.curve').length}), 4, 'four curves');
cmp_ok($browser->script(q{return document.querySelector('figure path.curve').getAttribute('d').split('M').length - 1}), '==', 2,
    'with a gap where nothing is known');
look('healthy');

# The keyboard reaches what there is, and stays there while the page goes on.
$browser->script('document.activeElement.blur(); scrollTo(0, 0)');
my @reached;
for (1 .. 12) {
    $browser->key("\x{e004}");
    push @reached, $browser->script('return document.activeElement.innerText.trim().split("\n")[0]');
}
is_deeply([@reached[0 .. 3]], ['Lag in seconds as a table', 'Lag in WAL as a table', 'Changes a second as a table', 'WAL that the slot keeps as a table'],
    'the keyboard reaches the tables of the curves');
ok(scalar(grep({ $_ eq '/status.json' } @reached)), '... and the links');
$browser->script(q{document.querySelector('summary').focus()});
$browser->key("\x{e007}");
ok($browser->script(q{return document.querySelector('details').open}), 'a key opens one');
like($browser->script(q{return document.querySelector('details table').innerText}), qr/^From\s+Most\s+\d\d:\d\d\s+\d/m, '... with the values');

# It follows.
pipeline($shop, 'copying', 'cdc_slot', 'apply-mysql');
seen('copying: 4 tables to go', 'the copy begins');
seen("420000 of about 1200000 rows, 52 MB", 'how far it is');
is($browser->script(q{return document.querySelector('progress').position.toFixed(2)}), '0.35', '... and a bar');
ok($browser->script('return window.mine'), 'without being loaded again');
ok($browser->script(q{return document.activeElement === document.querySelector('summary') && document.querySelector('details').open}),
    'who stands on something still does');
is($browser->script(q{return document.querySelector('[role=status]').textContent}), 'cdc_slot: copying', 'what a screen reader says');
look('copying');
pipeline($shop, 'catching-up', 'cdc_slot', 'apply-mysql');
seen('900 MB behind, catching up: 90 s left', 'it catches up');
seen('1 of 12 tables differs; keys found to differ: 0', 'its last comparison found a difference');
look('catching-up');
pipeline($shop, 'stopped', 'cdc_slot', 'apply-mysql');
seen('mend the row, or start with CDC_CONFLICT=apply', 'it has stopped, with the error and its advice');
is($browser->script(q{return document.querySelector('[role=status]').textContent}), 'cdc_slot: failed', 'what a screen reader says');
look('stopped');
is_deeply($browser->complaints, [], 'the browser has nothing to complain of: neither the policy nor the script');

# Nobody answers.
is($server->stop, 0, 'the server stops');
seen('No answer: what follows is what was last known.', 'the page says that it is old');
accessible('without a server');
$browser->complaints;

# Two pipelines, one of them with three targets.
pipeline($shop, 'healthy', 'cdc_slot', 'apply-mysql');
pipeline($crm, 'catching-up', 'crm_slot', 'apply-sqlite', 'apply-mysql', 'apply-mssql');
$server = serve($shop, $crm);
seen('crm_slot', 'another set of pipelines is another page');
$browser->script($HOUR, get('status.json')->{content});
is($browser->script(q{return document.querySelectorAll('path.curve').length}), 4 + 3 * 3 + 1 + 9, 'curves of all, and a key where there are several');
look('several');

# Without JavaScript.
$browser->devtools('Emulation.setScriptExecutionDisabled', value => JSON::PP::true);
$browser->open($url);
$browser->devtools('Emulation.setScriptExecutionDisabled', value => JSON::PP::false);
like($browser->script('return document.body.innerText'), qr/crm_slot\s+900 MB behind, catching up.*apply-mssql/s, 'without JavaScript it shows the same');
is($browser->script(q{return document.querySelectorAll('svg').length}), 0, '... but curves');
is($server->stop, 0, 'the server stops');
$browser->close_browser;
note("pictures are in $shots");
done_testing;

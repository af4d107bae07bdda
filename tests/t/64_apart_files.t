# What says that a target is left out are files in the state directory: that it was never started, of
# another pipeline, of an earlier configuration, by root, while the next try is waited for. 63_apart has the rest.
# needs: one postgres, time

use DBI;
use HTTP::Tiny;
use JSON::PP;
use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, n int)', 'create publication cdc_pub for all tables');
my @targets = map { new_target(kind => 'sqlite', file => fresh_name('target.db')) } 1 .. 2;
DBI->connect('dbi:SQLite:dbname=' . $_->file, '', '', { RaiseError => 1 })->do('create table t (id int primary key, n int)') for @targets;
my $port = Pg2any::Postgres::free_port();
my $front = Pg2any::Front->new(pg => $pg, targets => \@targets, env => { METRICS_PORT => $port, CDC_COPY => 'never', CDC_PAUSE_WAL => '1MB', CDC_CONFLICT_2 => 'quarantine' });
my $rows = 0;

sub command {
    my ($what, $words, $expected, $like, %env) = @_;
    my ($status, $out, $err) = $front->command($words, env => \%env);
    is($status, $expected, "$what: $expected") or diag($out, $err);
    like($out . $err, $like, "$what: what it says") if $like;
    return;
}

sub insert { $rows++; $pg->do("insert into t values ($rows, 0)"); return }
sub how { my (undef, $out) = $front->command(['status', '--json']); return decode_json($out)->{targets}[1]{apart} // '' }
sub lag_of_slot { return lsn_number($pg->current_lsn) - lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}) }

sub start {
    my (@stages) = @_;
    $front->start;
    $front->wait_ready($_, 0, 60) for 'capture', 'assemble', @stages;
    return;
}

SKIP: {
    skip 'not root', 3 if $> != 0;
    my $theirs = $front->dir . '/theirs';
    mkdir $theirs, 0700 or die "mkdir $theirs: $!\n";
    chown 65534, 65534, $theirs or die "chown $theirs: $!\n";
    command('as root, of another user', ['pause', '--target', '2'], 0, qr/does not run now/, CDC_STATE_DIR => $theirs);
    is_deeply([map { (stat)[4] } glob "$theirs/*"], [65534, 65534], 'the files are theirs');
    command('and back', ['resume', '--target', '2'], 0, undef, CDC_STATE_DIR => $theirs);
}

# Nothing says where it stands: it needs everything that the slot has. And it has no checkpoint.
command('where nothing runs', ['pause', '--target', '2'], 0, qr/\Atarget 2 is paused for the pipeline of the state directory \S+, which does not run now/);
start('apply');
insert();
wait_for(sub {
    $pg->value(q{select pg_logical_emit_message(false, 'x', repeat('y', 500000))::text});
    insert();
    return how() eq 'given up';
}, 60, 'a target that was never started to be given up');
wait_for(sub { insert(); lag_of_slot() < 400_000 }, 60, 'the slot to move on');
command('no way back without copies', ['resume', '--target', '2'], 100, qr/target 2 was given up, .*CDC_COPY=never: nothing would copy the tables/);
is(how(), 'given up', 'it stays so');
is($front->stop, 0, 'stopped');

$front->{env}{CDC_COPY} = 'initial';
start('apply');
command('with copies', ['resume', '--target', '2'], 0);
$front->wait_caught_up;
wait_for(sub { $targets[1]->value('select count(*) from t') == $rows }, 60, 'the copy');
same_content($pg, $targets[$_ - 1], ['t'], "target $_") for 1, 2;

# A table that is set aside: what comes while the target catches up goes on being kept for a replay.
subtest 'a table that is set aside' => sub {
    $targets[1]->dbh->do('insert into t values (5000, 1)');
    $targets[1]->disconnect;
    $pg->do('insert into t values (5000, 2)');
    my @files;
    wait_for(sub { (@files = glob $front->state_dir . '/quarantine/apply-2/*') > 0 }, 60, 'the file of its changes');
    command('pause', ['pause', '--target', '2'], 0);
    $pg->do('insert into t values (5001, 2)');
    command('resume', ['resume', '--target', '2'], 0, qr/target 2 catches up, while/);
    $pg->do('insert into t values (5002, 2)');
    $front->wait_caught_up;
    my (undef, $dump) = run_tool('frame-dump', stdin => $files[0]);
    is(scalar(() = $dump =~ /"500[012]"/g), 3, 'all of them are kept') or diag($dump, $front->log_text);
    command('copied again', ['copy', 'public.t'], 0);
    wait_for(sub { $targets[1]->value('select count(*) from t where id between 5000 and 5002 and n = 2') == 3 }, 60, 'the copy');
    same_content($pg, $targets[1], ['t'], 'it is back');
};

# The pipeline begins anew after the pause, and meanwhile nobody hears what the target acknowledges.
for my $n (1 .. 4) {
    command("at once, $n", ['pause', '--target', '2'], 0);
    command("and back, $n", ['resume', '--target', '2'], 0, qr/target 2 catches up, while/);
}

# A pause right before a pipeline starts that has the target in it. That pipeline notices a little later; the one here, when it goes on.
command('pause', ['pause', '--target', '2'], 0);
my ($mark) = glob $front->state_dir . '/*.apart';
my $paused = Pg2any::Postgres::read_file($mark);
command('resume', ['resume', '--target', '2'], 0);
$front->wait_ready('apply-2', 0, 60);
$front->process->signal('STOP');
open my $fh, '>', $mark or die "$mark: $!\n";
print {$fh} $paused;
close $fh or die "$mark: $!\n";
my $out = fresh_name('resume.log');
my $resume = Pg2any::Process->start(name => 'resume', argv => [Pg2any::Pipeline::tool('pg2any'), 'resume', '--target', '2'], stdout => $out, stderr => $out,
    env => $front->environment);
eval { wait_for(sub { Pg2any::Postgres::read_file($out) =~ /waiting for an applier to end/ || !$resume->running }, 60, 'what it says') };
$front->process->signal('CONT');
is($resume->wait_exit(60), 0, 'resume, while the applier still runs: 0') or diag(Pg2any::Postgres::read_file($out));
like(Pg2any::Postgres::read_file($out), qr/^target 2: waiting for an applier to end\ntarget 2 catches up, while/m, 'it waits for that');
$front->wait_caught_up;

# What one pauses a target for.
command('pause', ['pause', '--target', '2'], 0);
my $file = $targets[1]->file;
rename $file, "$file.away" or die "rename $file: $!\n";
mkdir $file or die "mkdir $file: $!\n";
my @said;
ok(eval { wait_for(sub { @said = $front->command(['status']); $said[0] == 0 }, 30, 'status'); 1 }, 'a paused target that cannot be asked: status leaves with 0') or diag(@said);
like($said[1], qr/target 2 is paused since/, 'and says so');
like($said[2], qr/level=error/, 'it was asked');
rmdir $file or die "rmdir $file: $!\n";
rename "$file.away", $file or die "rename $file: $!\n";
command('resume', ['resume', '--target', '2'], 0);
$front->wait_caught_up;

# The configuration has one target less.
command('pause the first', ['pause', '--target', '1'], 0);
is($front->stop, 0, 'stopped');
delete @{ $front->{env} }{qw(CDC_DEST_URI_2 CDC_DEST_TYPE_2)};
start('apply');
unlike(HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics")->{content}, qr/^pg2any_apart/m, 'a target alone is in the pipeline: metrics');
is_deeply([glob $front->state_dir . '/*.apart'], [], 'nothing says otherwise');
is($front->stop, 0, 'stopped');
# A target that cannot be reached holds all up. Paused while the next try is waited for, it does so no longer.
my $reachable = new_target(kind => 'sqlite', file => fresh_name('reachable.db'), origin => 'waits');
my $nobody = Pg2any::Postgres::free_port();
$pg->do('create table late (id int primary key)');
$front = Pg2any::Front->new(pg => $pg, targets => [$reachable], env => { CDC_REPLICATION_SLOT => 'waits', CDC_DEST_TYPE_2 => 'MySQL',
    CDC_DEST_URI_2 => "mysql://nobody\@127.0.0.1:$nobody/x" });
$front->start;
wait_for(sub { $front->log_text =~ /the pipeline is restarted.* wait_ms=8000/ }, 120, 'a long wait for the next try');
command('while it waits', ['pause', '--target', '2'], 0, qr/\Atarget 2 is paused/);
wait_for(sub { $front->log_text =~ /the set of its targets has changed/ }, 60, 'the wait to end');
$front->wait_ready($_, 0, 60) for 'apply', 'capture';    # which makes the slot
$pg->do('insert into late values (1)');
$front->wait_caught_up;
same_content($pg, $reachable, ['late'], 'the others go on');
is($front->stop, 0, 'stopped');

done_testing;

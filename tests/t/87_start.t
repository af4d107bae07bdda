# What `make service` does behind the installation: checks, sets up, starts under s6 in the background, waits
# until all is ready; says what is wrong where it is not.
# needs: one postgres

use Cwd ();
use File::Basename ();
use Pg2any::S6;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key)', 'create table full_of_rows (id int primary key)',
    'insert into full_of_rows select generate_series(1, 1000)');
my $prefix = Pg2any::S6::install();
my $dir = Pg2any::S6::writable_dir('data');
my $root = fresh_name('pipeline');
my $file = fresh_name('my.env');
my ($script) = map { "$_/start" } Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../svc');
open my $fh, '>', $file or die "$file: $!\n";
print {$fh} 'CDC_SOURCE_CONNECTION_STRING=', $pg->uri, "\nCDC_DEST_URI=$dir/copy.db\n";
print {$fh} 'CDC_USER=', Pg2any::S6::stage_user(), "\n" if defined Pg2any::S6::stage_user();
close $fh or die "$file: $!\n";
chmod 0600, $file or die "chmod: $!\n";

sub start {
    my ($out) = fresh_name('start.log');
    my $process = Pg2any::Process->start(name => 'svc/start', argv => [$script, $file, $root], stdout => $out, stderr => $out,
        env => { PATH => "$prefix/bin:$ENV{PATH}", CDC_COPY => undef, map { $_ => undef } grep { /^(?:CDC_|METRICS_|PG(?!2ANY_))/ } keys %ENV });
    return ($process->wait_exit(90), Pg2any::Postgres::read_file($out));
}

sub svscan { return system("s6-svscanctl $_[0] $root/service 2>/dev/null") == 0 }

END { svscan('-t') if defined $root && -d "$root/service" }

my ($status, $text) = start();
is($status, 100, 'a publication that is missing: 100');
like($text, qr/FAIL  publication cdc_pub does not exist.*\n      mend: CREATE PUBLICATION/, 'and what to do');
ok(!-e "$root/service", 'nothing was set up');

$pg->do('create publication cdc_pub for all tables');
($status, $text) = start();
is($status, 0, 'mended, it starts') or diag($text);
like($text, qr/The pipeline runs, supervised by s6/, 'and says so');
my ($stop) = $text =~ /^  stop:   (.*)$/m;
my $target = new_target(kind => 'sqlite', file => "$dir/copy.db");
$pg->do('insert into t select generate_series(1, 1000)');
wait_for(sub { (eval { $target->value('select count(*) from t') } // 0) == 1000 }, 30, 'rows');
same_content($pg, $target, ['t', 'full_of_rows'], 'rows come, and those that were there are copied');
($status, $text) = start();
is($status, 0, 'once more');
like($text, qr/what is in \S+\/env counts, \S+my\.env is not read/, 'it says whose configuration counts');
like($text, qr/is running already/, 'it runs already');
ok($stop, 'it says how to stop');
is(system($stop), 0, 'and so it stops');
wait_for(sub { !svscan('-z') }, 30, 's6-svscan to leave');
wait_for(sub { !$pg->slot('cdc_slot')->{active} }, 30, 'the slot to be free');
pass('everything has left');
($status, $text) = start();
is($status, 0, 'and starts again from what was set up');
$pg->do('insert into t values (2000)');
wait_for(sub { ($target->value('select max(id) from t') // 0) == 2000 }, 30, 'the row');
same_content($pg, $target, ['t'], 'rows come again');

# A stage that stops for good, and what brings it back.
$target->dbh->do('insert into t values (3000)');
$pg->do('insert into t values (3000)');
wait_for(sub { `s6-svstat $root/service/apply` =~ /exitcode 100/ }, 30, 'apply to stop for good');
$target->dbh->do('delete from t where id = 3000');
($status, $text) = start();
is($status, 0, 'mended: make service brings it up again');
wait_for(sub { ($target->value('select max(id) from t') // 0) == 3000 }, 30, 'the row');
pass('and it goes on');
svscan('-t');
wait_for(sub { !svscan('-z') }, 30, 's6-svscan to leave');

# What root may and the stages may not.
SKIP: {
    skip 'only root gives the stages to another user', 4 if $> != 0;
    my $closed = fresh_name('closed');
    mkdir $closed, 0700 or die "$closed: $!\n";
    $root = fresh_name('second');
    open $fh, '>', $file or die "$file: $!\n";
    print {$fh} 'CDC_SOURCE_CONNECTION_STRING=', $pg->uri, "\nCDC_REPLICATION_SLOT=other\nCDC_DEST_URI=$closed/copy.db\nCDC_USER=nobody\n";
    close $fh or die "$file: $!\n";
    ($status, $text) = start();
    is($status, 100, 'a directory that the stages may not write into: 100');
    like($text, qr/FAIL  target: \S+copy\.db: .*may uid \d+ write there\?.*this is what user nobody sees.*nothing was set up/s, 'seen with their eyes');
    $root = "$closed/pipeline";
    ($status, $text) = start();
    is($status, 100, 'a place that they cannot get to: 100');
    like($text, qr/user nobody cannot get into \S+: choose another directory/, 'said');
    ok(!-e "$root/service", 'nothing is left behind');
}
($status, $text) = do { $file = '/nonexistent'; $root = fresh_name('third'); start() };
is($status, 100, 'no configuration: 100');
like($text, qr/\/nonexistent cannot be read/, 'said');

done_testing;

# What `make service` does behind the installation: checks, sets up, starts under s6 in the background, waits
# until all is ready; says what is wrong where it is not.

use Cwd ();
use File::Basename ();
use Pg2any::S6;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key)');
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
        env => { PATH => "$prefix/bin:$ENV{PATH}", map { $_ => undef } grep { /^(?:CDC_|METRICS_|PG(?!2ANY_))/ } keys %ENV });
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
same_content($pg, $target, ['t'], 'rows come');
($status, $text) = start();
is($status, 0, 'once more');
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

done_testing;

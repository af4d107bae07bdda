# How far a copy is, for people: pg2any status, /metrics, the log, a terminal.
# needs: one postgres

use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table big (id int primary key, pad text)', q{insert into big select g, repeat('x', 500) from generate_series(1, 20000) g},
    'create table small (id int primary key)', 'insert into small values (1), (2)', 'analyze',
    'create publication cdc_pub for all tables');
my $target = new_target(kind => 'sqlite');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => undef, CDC_COPY_CHUNK => undef });
my $state = $front->state_dir;

sub stats { return -e "$state/$_[0].prom" ? Pg2any::Postgres::read_file("$state/$_[0].prom") : '' }
sub value { return stats($_[0]) =~ /^\Q$_[1]\E (\S+)$/m ? $1 : undef }

# In the middle of the table: the assembler does not read on.
$pg->do(q{select pg_create_logical_replication_slot('cdc_slot', 'pgoutput')});
# The small one waits until then, so that it comes second.
my %locker = map { $_ => $pg->connect } qw(big small);
$locker{$_}->do("begin; lock table $_") for keys %locker;
$front->start;
$front->wait_all_ready;
wait_for(sub { (value('apply', 'pg2any_copy_tables_awaited') // 0) == 2 }, 30, 'the applier to await two tables');
my ($pid) = stats('assemble') =~ /\bpid=(\d+)/;
kill STOP => $pid;
$locker{big}->do('rollback');
wait_for(sub { (value('capture', 'pg2any_capture_copy_active{table="public.big"}') // 0) == 1 }, 30, 'the copy to begin');
$locker{small}->do('rollback');
wait_for(sub { value('capture', 'pg2any_capture_copy_rows{table="public.big"}') > 0 }, 30, 'rows');
my (undef, $status) = $front->command(['status']);
note($status);
like($status, qr/^ +copying public\.big: \d+ of about 20000 rows, \d+ bytes, for \d+ s$/m, 'status says where it is');
like($status, qr/^ +tables that are not copied yet: [12]$/m, 'what is to come');
like($status, qr/^ +tables that await their copy: [12]$/m, 'and what the target awaits');
wait_for(sub { $front->log_text =~ /msg="copying goes on" table=public\.big rows=\d+ bytes=\d+ rows_per_second=\d+ estimated_rows=20000/ },
    30, 'a line of the log');
# The copies come to their end without the stream: the second one, whose snapshot is still to come, settles.
my $sender = $pg->value(q{select active_pid from pg_replication_slots where slot_name = 'cdc_slot'});
kill STOP => $sender;
kill CONT => $pid;
wait_for(sub { (value('apply', 'pg2any_copy_tables_settling') // 0) >= 1 }, 30, 'the last table to settle');
(undef, $status) = $front->command(['status']);
like($status, qr/^ +tables that settle: [12]$/m, 'status says so');
wait_for(sub { $front->log_text =~ /msg="a table that was copied settles" table=public\.\w+ until=/ }, 30, 'a line of the log that says so');
kill CONT => $sender;
wait_for(sub { (value('apply', 'pg2any_copy_tables_settling') // 1) == 0 }, 30, 'them to have settled');
wait_for(sub { (value('apply', 'pg2any_copy_tables_awaited') // 1) == 0 }, 30, 'the copies');
wait_for(sub { (value('capture', 'pg2any_copied_tables_total') // 0) == 2 }, 30, 'the statistics');
is(value('capture', 'pg2any_copied_rows_total'), 20002, 'rows in all');
is(value('capture', 'pg2any_capture_copy_rows{table="public.big"}'), 20000, 'of the table');
ok(value('capture', 'pg2any_copied_bytes_total') > 20000 * 500, 'bytes in all');
is(value('capture', 'pg2any_capture_copy_active{table="public.big"}'), 0, 'no table is copied any more');
is(value('capture', 'pg2any_capture_copy_tables_left'), 0, 'none is left');
unlike(($front->command(['status']))[1], qr/copying|copied yet|await|settle/, 'and status has nothing to say of it');
is($front->stop, 0, 'it stops');
$pg->drop_slot('cdc_slot');
$pg->do(qq{alter table big rename to "big\e[2J"});

# On a terminal a line that is written over; the reader of stdout waits in the middle of the table.
my ($screen, $go) = (fresh_name('screen'), fresh_name('go'));
POSIX::mkfifo($go, 0600) or die "mkfifo: $!\n";
my $capture = Pg2any::Pipeline::tool('pg-capture');
my $terminal = Pg2any::Process->start(name => 'script', env => { CDC_SOURCE_CONNECTION_STRING => $pg->uri, CDC_COPY => 'only' },
    argv => ['script', '-qfec', "$capture | { head -c 300000 > /dev/null; read line < $go; cat > /dev/null; }", $screen]);
my $drawn = qr/\e\[Kcopying public\.big\?\[2J: \d+ rows of ~20000, \d+ MB, \d+\/s, ~\d+:\d\d left\r/;
wait_for(sub { -e $screen && Pg2any::Postgres::read_file($screen) =~ $drawn }, 30, 'a line on the terminal');
open my $fh, '>', $go or die "$go: $!\n";
print {$fh} "go\n";
close $fh or die "$go: $!\n";
is($terminal->wait_exit(60), 0, 'on a terminal, too, it comes to its end');
my $shown = Pg2any::Postgres::read_file($screen);
like($shown, qr/.*$drawn.*\e\[K.*msg="a table is copied" schema=public table=\S*big\S* rows=20000/s, 'the line makes room for the log');
unlike($shown, qr/copying goes on/, 'which has no lines of it there');

done_testing;

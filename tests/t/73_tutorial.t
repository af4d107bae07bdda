# The commands of docs/TUTORIAL.md, run one after the other in one shell, print what stands below them.
# Figures that differ from run to run (LSNs, pids, times, versions) may differ; all else is compared.
# PG2ANY_TUTORIAL=FILE writes the document with what was printed, to be looked at and taken over.
# needs: one postgres

use Cwd ();
use File::Basename ();
use IO::Handle;
use POSIX ();
use Pg2any::Test;

my $document = Pg2any::Postgres::read_file(Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../docs/TUTORIAL.md'));

# What differs from run to run, put in one form.
my @ANY = (
    [qr{\b[0-9A-F]+/[0-9A-F]+\b} => 'LSN'],
    [qr{PostgreSQL \d\S*(?: \(.*?\))?} => 'PostgreSQL'], [qr{SQLite \d\S+} => 'SQLite'], [qr{sqlite=\S+} => 'sqlite'],
    [qr{at \S+ port \d+} => 'at HOST'], [qr{\buser \w+} => 'user USER'],
    [qr{/\S*/pg2any-\S*cdc_slot} => 'STATE'], [qr{pid \d+} => 'pid'], [qr{\d+ of \d+} => 'SOME'], [qr{\d+ bytes} => 'bytes'],
    [qr{\d+\.\d s\b} => 'SECONDS'], [qr{system \d+} => 'system'], [qr{\d{4}-\d\d-\d\d \d\d:\d\d:\S+} => 'TIME'],
    [qr{"(xid|offset)":\d+} => '"$1"'], [qr{lag_(?:seconds|bytes) [\d.]+|events_per_second [\d.]+} => 'RATE'], [qr{ms=\d+} => 'ms'],
    [qr{\A[ \t]+|[ \t]+(?=\n)|\n+\z} => ''],
);

sub same_form {
    my ($text) = @_;
    for my $pair (@ANY) {
        my ($pattern, $form) = @$pair;
        $text =~ s/$pattern/my $n = $1; $form =~ s{\$1}{$n}r/mge;
    }
    return $text;
}

my $pg = Pg2any::Postgres->new;
my ($home, $script, $log) = map { fresh_name($_) } qw(home commands output.log);
mkdir $home or die "$home: $!\n";
POSIX::mkfifo($script, 0600) or die "mkfifo: $!\n";
open my $to_log, '>>', $log or die "$log: $!\n";
my %nothing = map { $_ => undef } grep { /^(?:CDC_|METRICS_|PG(?!2ANY_))/ } keys %ENV;
my $shell = Pg2any::Process->start(name => 'bash', argv => ['bash', '--norc', $script], dir => $home, stdout => $to_log, stderr => $log,
    parent_death => 'TERM', env => { %nothing, CDC_COPY => undef, XDG_RUNTIME_DIR => $home, PATH => Pg2any::Pipeline::tool_dir() . ":$ENV{PATH}",
        PGHOST => '127.0.0.1', PGPORT => $pg->port, PGUSER => 'postgres', LC_ALL => 'C.UTF-8' });
open my $to_shell, '>', $script or die "$script: $!\n";
$to_shell->autoflush(1);

# What a command of the tutorial prints.
my $n = 0;
sub run {
    my ($command) = @_;
    my $from = -s $log;
    my $end = 'end of command ' . ++$n;
    print {$to_shell} "$command\nprintf '\\n%s\\n' '$end'\n";
    my $text;
    wait_for(sub {
        $text = substr Pg2any::Postgres::read_file($log), $from;
        return $text =~ s/\n\Q$end\E\n\z//;
    }, 60, "an end of: $command");
    return $text =~ s/\A\n+|\n+\z//gr;
}

my $commands = 0;
my $limit = defined $ENV{PG2ANY_TUTORIAL} ? 3 : 60;
my $seen = $document =~ s{^(```console\n)(.*?)^```$}{
    my ($open, $block, $new) = ($1, $2, '');
    while ($block =~ /\G\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)/gc) {
        my ($command, $expected) = ($1, $2);
        my $shown = $command =~ s/\n> /\n/gr;
        chomp $shown;
        my $printed;
        # What looks is done again until it shows the end of what was begun before it.
        my $looks = $shown =~ /\A(?:sqlite3|grep|pg2any (?:status|compare))\b/ && $shown !~ /--mend|UPDATE|DELETE/;
        my $matches = sub {
            $printed = run($shown);
            return same_form($printed) eq same_form($expected);
        };
        eval { wait_for($matches, $looks ? $limit : 0, 'what the tutorial shows'); 1 };
        is(same_form($printed), same_form($expected), (split /\n/, $shown)[0]);
        $commands++;
        $new .= "\$ $command" . ($printed eq '' ? '' : "$printed\n");
    }
    "$open$new```";
}gmesr;
cmp_ok($commands, '>', 15, 'the tutorial has commands');
close $to_shell or die "close: $!\n";
is($shell->wait_exit(30), '0', 'the shell ends');

if (defined $ENV{PG2ANY_TUTORIAL}) {
    open my $fh, '>', $ENV{PG2ANY_TUTORIAL} or die "$ENV{PG2ANY_TUTORIAL}: $!\n";
    print {$fh} $seen;
    close $fh or die "close: $!\n";
}

done_testing;

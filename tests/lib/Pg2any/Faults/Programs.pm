package Pg2any::Faults::Programs;

# The programs that faults are tried in (Pg2any::Faults), each with work for it and a way to see whether that is whole.
#
# A program has a folder of its own, `dir`, and below it `work`, which is emptied before each fault and is where all goes
# that it writes. Methods:
#   name, dir, argv, env, stdin, stdout
#   reset           everything as before the first start
#   begin, meanwhile($pid)   what is done before it is started, and while it runs
#   again($status)  what is done after a run that ended so, before it is started again
#   status          the exit status of a run whose work is whole
#   learn           after an untouched run: keeps what comes of it; what is wrong already
#   wrong_after($status)     what is wrong after a run that ended so
#   left_behind     files in `work` that should not be there
#   share           of the calls that could be tried as many as that: less where a run takes long
#   lasting         whether a fault may last: not where the program tries for as long as it takes

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Pg2any::Faults::Compare;
use Pg2any::Faults::FromSource;

our @EXPORT_OK = qw(program_names new_program);

my %CLASS = (
    'txn-assemble' => 'Assemble', 'frame-dump' => 'Dump', 'frame-tee' => 'Tee',
    'pg-capture' => 'Capture', 'pg2any-run' => 'Run', 'pg2any-check' => 'Check', 'pg2any-status' => 'Status',
    'pg2any-init' => 'Init', 'metrics-http' => 'Metrics', 'apply-sqlite' => 'Apply', 'apply-mysql' => 'Apply',
    'apply-mssql' => 'Apply', 'compare-sqlite' => 'Compare', 'compare-mysql' => 'Compare', 'compare-mssql' => 'Compare',
    'compare-asks' => 'Asks', 'capture-rows' => 'Answers', 'pg2any-compare' => 'FrontCompares', 'read-again' => 'Again',
);

sub program_names { return sort keys %CLASS }

sub new_program {
    my ($name) = @_;
    my $class = $CLASS{$name} // croak "no program $name: there are " . join ', ', program_names();
    return "Pg2any::Faults::$class"->new($name);
}

package Pg2any::Faults::Program;

use strict;
use warnings;
use Carp qw(croak);
use File::Find ();
use File::Path qw(make_path remove_tree);
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Scratch qw(fresh_name);

sub new {
    my ($class, $name) = @_;
    my $self = bless { name => $name, dir => fresh_name($name) }, $class;
    mkdir $self->{dir} or croak "mkdir $self->{dir}: $!";
    $self->{work} = "$self->{dir}/work";
    $self->prepare;
    return $self;
}

sub name { return $_[0]{name} }
sub dir { return $_[0]{dir} }
sub work { return $_[0]{work} }
sub tool { return Pg2any::Pipeline::tool($_[0]{name}) }
sub env { return { TMPDIR => "$_[0]{work}/tmp" } }
sub stdin { return '/dev/null' }
sub stdout { return "$_[0]{dir}/stdout" }
sub prepare { return }
sub begin { return }
sub meanwhile { return }
sub again { return }
sub lasting { return 1 }
sub share { return 1 }
sub status { return 0 }
sub stats { my ($self) = @_; return ('--stats', "$self->{work}/stats") }

sub reset {    ## no critic: what it does
    my ($self) = @_;
    remove_tree($self->{work});
    make_path("$self->{work}/tmp");
    return;
}

sub read_file { return Pg2any::Postgres::read_file($_[0]) }
sub said { return read_file("$_[0]{dir}/stderr") }
sub out { return read_file($_[0]->stdout) }

# The line of its end; at another level where a neighbour is the cause.
sub has_said_why { return $_[1] =~ /level=(?:error|info) .*msg=.+ kind=\w/ }

# Names that files in `work` may have.
sub expected_files { return qr/\Astats\z/ }

sub left_behind {
    my ($self) = @_;
    my @found;
    my $expected = $self->expected_files;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my $name = substr $_, length($self->{work}) + 1 if length > length $self->{work};
        push @found, $name if defined $name && $name ne 'tmp' && $name !~ $expected;
    } }, $self->{work});
    return @found;
}

# ---- filters: what comes out is a beginning of what comes without a fault, or the whole ----

package Pg2any::Faults::Filter;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Program';

sub learn {
    my ($self) = @_;
    $self->{whole} = $self->out;
    return $self->wrong_after(0);
}

sub wrong_after {
    my ($self, $status) = @_;
    my $out = $self->out;
    return $status eq '0' ? ('the output is not whole') x ($out ne $self->{whole})
        : ('the output is not as far as it goes') x ($out ne substr $self->{whole}, 0, length $out);
}

package Pg2any::Faults::Assemble;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Filter';
use Pg2any::Golden qw(golden_file);

sub stdin { return golden_file('two_phase', 'raw.frames') }

# With as little memory as it takes, so that it spills.
sub argv {
    my ($self) = @_;
    return ($self->tool, '--memory-limit', '64kB', '--spill-dir', "$self->{work}/tmp", $self->stats);
}

package Pg2any::Faults::Dump;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Filter';
use Pg2any::Golden qw(golden_file);

sub stdin { return golden_file('ordinary', 'committed.frames') }
sub argv { return ($_[0]->tool) }

package Pg2any::Faults::Tee;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Filter';
use Pg2any::FrameReader qw(split_frames);
use Pg2any::Golden qw(golden_file dump_tables);
use Pg2any::Process;
use Pg2any::Target::SQLite;

sub stdin { return golden_file('two_phase', 'committed.frames') }

sub argv {
    my ($self) = @_;
    return ($self->tool, '--audit', "$self->{work}/audit", '--audit-size', '4096', $self->stats);
}
sub expected_files { return qr/\A(?:stats|audit(?:\.[0-9A-F]{16})?)\z/ }
sub share { return 1 / 4 }

sub audit_files {
    my ($self) = @_;
    return grep { -e } sort(glob "$self->{work}/audit.*"), "$self->{work}/audit";
}

# What the audit files make of a target is what the input makes of it.
sub replayed {
    my ($self) = @_;
    my ($input, $db) = map { "$self->{dir}/$_" } qw(replay.frames replay.db);
    unlink map { "$db$_" } '', '-wal', '-shm';
    open my $fh, '>:raw', $input or die "$input: $!\n";
    print {$fh} map { Pg2any::Faults::Program::read_file($_) } $self->audit_files;
    close $fh or die "$input: $!\n";
    my $apply = Pg2any::Process->start(name => 'apply-sqlite', stdin => $input, stderr => "$self->{dir}/replay.log",
        argv => [Pg2any::Pipeline::tool('apply-sqlite'), '--dest', "sqlite:$db?synchronous=off"]);
    $apply->wait_exit(60);
    return dump_tables(Pg2any::Target::SQLite->new(file => $db, origin => 'golden'));
}

sub wrong_after {
    my ($self, $status) = @_;
    my @wrong = $self->SUPER::wrong_after($status);
    my $out = $self->out;
    my $audit = join '', map { Pg2any::Faults::Program::read_file($_) } $self->audit_files;
    my ($commit) = reverse grep { $_->[0] eq 'C' } split_frames($out);
    # The checksum at its end depends on where the file begins.
    push @wrong, 'a commit went on before it was in the audit file'
        if $commit && index($audit, substr $out, $commit->[1], $commit->[2] - $commit->[1] - 9) < 0;
    push @wrong, 'the audit files do not hold all' if $status eq '0' && $self->replayed ne $self->expected;
    return @wrong;
}

sub expected { return Pg2any::Faults::Program::read_file(golden_file('two_phase', 'expected')) }

# ---- appliers: a target, and an acknowledgement FIFO that the test reads ----

package Pg2any::Faults::Apply;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Program';
use Carp qw(croak);
use Fcntl qw(O_RDONLY O_NONBLOCK);
use Pg2any::FrameReader qw(read_frames split_frames version_1);
use Pg2any::Golden qw(golden_file);
use Pg2any::LSN qw(lsn_number);
use Pg2any::Target qw(new_target);
use POSIX ();

my @TABLES = qw(full_row keyless toasted);

sub prepare {
    my ($self) = @_;
    my ($kind) = $self->{name} =~ /\Aapply-(.*)\z/;
    $self->{target} = new_target(kind => $kind, origin => 'golden', $kind =~ /mysql|mssql/ ? () : (file => "$self->{work}/target"));
    $self->{ack} = "$self->{dir}/ack";
    POSIX::mkfifo($self->{ack}, 0600) or croak "mkfifo: $!";
    sysopen $self->{acks}, $self->{ack}, O_RDONLY | O_NONBLOCK or croak "$self->{ack}: $!";
    return;
}

# The recorded stream, as it may come again: its hello says that the server's WAL goes on behind what the target has.
# Without checksums, which tests do not make.
sub stdin {
    my ($self) = @_;
    my $file = "$self->{dir}/input.frames";
    if (!-e $file) {
        my $bytes = version_1(read_frames(golden_file('ordinary', 'committed.frames')));
        my $hello = (split_frames($bytes))[0][2];
        my $start_created_wal = qr/(\xce.{4}[\xc2\xc3]\xce).{4}/s;
        substr($bytes, 0, $hello) =~ s/$start_created_wal/$1\xff\xff\xff\xff/ or croak 'a hello of another form';
        open my $fh, '>:raw', $file or croak "$file: $!";
        print {$fh} $bytes;
        close $fh or croak "$file: $!";
    }
    return $file;
}

sub argv {
    my ($self) = @_;
    my $target = $self->{target};
    return (Pg2any::Pipeline::tool($target->applier), '--dest', $target->dest, $target->applier_args,
        '--ack', $self->{ack}, $self->stats);
}
sub expected_files { return qr/\A(?:stats|target(?:-wal|-shm)?)\z/ }
sub share { return $_[0]{target}->kind =~ /mysql|mssql/ ? 1 / 20 : 1 }

sub reset {    ## no critic: what it does
    my ($self) = @_;
    my $target = $self->{target};
    $target->disconnect;
    $self->SUPER::reset;
    if ($target->kind eq 'mssql') {
        $target->dbh->do("drop table if exists dbo.[$_]") for @TABLES, qw(pg2any_checkpoint pg2any_relation);
    } else {
        $target->drop;
    }
    $self->acknowledged;
    return;
}

# The last LSN that was acknowledged since this was asked; 0 where there is none.
sub acknowledged {
    my ($self) = @_;
    my ($text, $bytes) = ('', '');
    $text .= $bytes while sysread $self->{acks}, $bytes, 65_536;
    my ($last) = reverse split /\n/, $text;
    return defined $last ? lsn_number($last) : 0;
}

sub content {
    my ($self) = @_;
    my $target = $self->{target};
    my $text = '';
    for my $table (map { $target->table_name('public', $_) } @TABLES) {
        my @columns = $target->column_names($table);
        $text .= "$table: @columns\n";
        my $next = @columns ? $target->ordered_rows($table, \@columns, \@columns) : sub { };
        while (my $row = $next->()) {
            $text .= join(' | ', map { $_ // 'NULL' } @$row) . "\n";
        }
    }
    return $text;
}

sub learn {
    my ($self) = @_;
    $self->{whole} = $self->content;
    return $self->wrong_after(0);
}

sub wrong_after {
    my ($self, $status) = @_;
    my @wrong;
    my $acknowledged = $self->acknowledged;
    my $checkpoint = $self->{target}->checkpoint;
    my $durable = $checkpoint ? lsn_number($checkpoint->{remote_lsn}) : 0;
    push @wrong, 'more was acknowledged than the target has' if $acknowledged > $durable;
    if ($status eq '0') {
        push @wrong, 'the content is not the same' if $self->content ne $self->{whole};
        push @wrong, 'not all was acknowledged' if $acknowledged != $durable;
    }
    $self->{target}->disconnect if $self->{target}->kind ne 'mysql';
    return @wrong;
}

# ---- metrics-http: a server, which is asked until it has answered ----

package Pg2any::Faults::Metrics;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Faults::Program';
use Carp qw(croak);
use HTTP::Tiny;
use Pg2any::Postgres;
use Pg2any::Wait qw(wait_for);

# Without memory it has no answer, for as long as that lasts.
sub lasting { return 0 }
sub share { return 1 / 20 }

sub prepare {
    my ($self) = @_;
    $self->{port} = Pg2any::Postgres::free_port();
    my %component = (capture => 'pg-capture', apply => 'apply-sqlite');
    for my $stage (keys %component) {
        open my $fh, '>', "$self->{dir}/$stage.prom" or croak "$stage.prom: $!";
        print {$fh} "# pg2any component=$component{$stage} pid=$$ state=ready\n# HELP pg2any_x X.\n# TYPE pg2any_x gauge\npg2any_x 1\n"
            . "pg2any_events_by_type_total{event_type=\"insert\",table=\"public.t\"} 1\n";
        close $fh or croak "$stage.prom: $!";
    }
    return;
}

sub argv {
    my ($self) = @_;
    return ($self->tool, '--port', $self->{port}, map { ('--stats', "$self->{dir}/$_.prom") } qw(capture apply));
}

sub ask {
    my ($self, $path) = @_;
    return HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$self->{port}$path", { headers => { Accept => 'text/html' } });
}

sub ended {
    my ($pid) = @_;
    return Pg2any::Postgres::read_file("/proc/$pid/stat") !~ /\) [^Z]/;
}

# What it answers, before it is asked to stop. A file that it could not read it reads at the next request.
sub meanwhile {
    my ($self, $pid) = @_;
    delete $self->{answer};
    wait_for(sub {
        my @answers = map { $self->ask($_) } '/ready', '/health', '/metrics', '/', '/status.json';
        return ended($pid) if grep { $_->{status} != 200 } @answers;
        # All but the time and the samples so far. A page that lacks tables says so.
        $self->{answer} = join '', map { $_->{content} =~ s{<time.*?</time>|"time":\d+|"history":\{.*?\}\]\}}{}gr } @answers;
        return $self->{answer} !~ /^pg2any_up\S* 0$|out of memory/m;
    }, 40, 'an answer');
    kill 'TERM', $pid;
    return;
}

sub learn { my ($self) = @_; $self->{whole} = $self->{answer}; return $self->wrong_after(0) }

sub wrong_after {
    my ($self, $status) = @_;
    return $status eq '0' && ($self->{answer} // '') ne $self->{whole} ? ('it gave no answer, or another one') : ();
}

1;

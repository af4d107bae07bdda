package Pg2any::Bench::Contenders;

# Who takes part in tests/bench/bench. Each reads the same backlog from a slot of its own and has a target of its own.
# Methods of one:
#   name, label
#   foreign         not ours, nor PostgreSQL's: it may fail without the rest
#   differences     from the source, as text; it has to have everything
#   dbh             a connection to what it writes to, where that can be asked
#   slot            the slot that confirms what it has done; none: it is done when it has ended
#   begin           once, before anything is written
#   get_ready($lsn) before a backlog that ends there is taken, on nobody's clock
#   start($lsn)     takes it
#   stop
#   running         whether it still does
#   programs        the processes that it consists of, while it runs
#   server          the processes of its target's server

use strict;
use warnings;
use Exporter qw(import);
use Pg2any::Bench::Workloads qw(workload_schema);
use Pg2any::MySQL;
use Pg2any::Target qw(new_target);

our @EXPORT_OK = qw(contender_names new_contender make_debezium);

my @KNOWN = (
    sqlite => ['Pipeline', 'pg2any into SQLite', kind => 'sqlite'],
    'sqlite-strict' => ['Pipeline', 'pg2any into SQLite, --order strict', kind => 'sqlite', apply => ['--order', 'strict']],
    'sqlite-socket' => ['Pipeline', 'pg2any into SQLite, Unix socket', kind => 'sqlite', socket => 1],
    'apply-sqlite' => ['Apply', 'apply-sqlite alone, from a file', kind => 'sqlite'],
    mysql => ['Pipeline', 'pg2any into MariaDB', kind => 'mysql'],
    'mysql-strict' => ['Pipeline', 'pg2any into MariaDB, --order strict', kind => 'mysql', apply => ['--order', 'strict']],
    'mysql-socket' => ['Pipeline', 'pg2any into MariaDB, Unix sockets', kind => 'mysql', socket => 1],
    'apply-mysql' => ['Apply', 'apply-mysql alone, from a file', kind => 'mysql', socket => 1],
    debezium => ['Debezium', 'Debezium into MariaDB', kind => 'mysql'],
    durable => ['Subscription', 'subscription, durable', synchronous_commit => 'on'],
    default => ['Subscription', 'subscription, default', synchronous_commit => 'off'],
    recvlogical => ['Recvlogical', 'pg_recvlogical to /dev/null'],
    'recvlogical-socket' => ['Recvlogical', 'pg_recvlogical, Unix socket', socket => 1],
);

sub contender_names { return @KNOWN[grep { $_ % 2 == 0 } 0 .. $#KNOWN] }

# new_contender(NAME, $pg): $pg has the tables and the publication cdc_pub.
sub new_contender {
    my ($name, $pg) = @_;
    my %known = @KNOWN;
    my ($class, $label, %more) = @{ $known{$name} // die "no contender $name\n" };
    my $self = bless { name => $name, label => $label, pg => $pg, slot_name => 'slot_' . $name =~ tr/-/_/r, %more },
        "Pg2any::Bench::$class";
    $self->begin;
    return $self;
}

sub make_debezium { return Pg2any::Bench::Debezium::make() }

my ($mysql, $databases);

sub our_target {
    my ($self) = @_;
    my @more = (kind => $self->{kind}, origin => $self->{slot_name});
    return new_target(@more) if $self->{kind} eq 'sqlite';
    $mysql //= Pg2any::MySQL->new(settings => { innodb_buffer_pool_size => '512M' });
    return new_target(@more, server => $mysql, database => 'bench' . ++$databases, uri => [$self->{socket} ? () : (tcp => 1)]);
}

package Pg2any::Bench::Contender;

use strict;
use warnings;
use Pg2any::Compare qw(compare_tables);

sub name { return $_[0]{name} }
sub label { return $_[0]{label} }
sub slot { return $_[0]{slot_name} }

sub differences {
    my ($self) = @_;
    return () if !$self->{target};
    return compare_tables($self->{pg}->dbh, $self->{target}, [Pg2any::Bench::Workloads::workload_tables()], limit => 1);
}

sub dbh { return $_[0]{target} ? $_[0]{target}->dbh : undef }
sub get_ready { return }
sub stop { return }
sub running { return 1 }
sub foreign { return 0 }
sub programs { return }
sub server { my ($self) = @_; return $self->{target} && $self->{target}->kind eq 'mysql' ? ($self->{target}->server->pid) : () }
sub make_slot { my ($self) = @_; return $self->{pg}->value("select pg_create_logical_replication_slot('$self->{slot_name}', 'pgoutput')") }

package Pg2any::Bench::Pipeline;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Bench::Contender';
use Pg2any::Pipeline;

sub begin {
    my ($self) = @_;
    $self->{target} = Pg2any::Bench::Contenders::our_target($self);
    $self->{pipeline} = Pg2any::Pipeline->new(pg => $self->{pg}, target => $self->{target}, slot => $self->{slot_name},
        pg_uri => [socket => $self->{socket}], args => { apply => $self->{apply} // [] });
    $self->make_slot;
    return;
}

sub start { my ($self) = @_; $self->{starts}++; return $self->{pipeline}->start }

sub stop {
    my ($self) = @_;
    # There may have been nothing to do; and who stops capture before its hello leaves the others with an empty stream.
    $self->{pipeline}->wait_while_running(sub { $self->{starts} <= (() = $self->{pipeline}->log_text('apply') =~ /msg=applying/g) },
        60, "$self->{name}: the hello");
    my $statuses = $self->{pipeline}->stop;
    my @wrong = grep { $statuses->{$_} ne '0' } sort keys %$statuses;
    die "$self->{name}: ", map({ "$_ ended with $statuses->{$_}: " . $self->{pipeline}->log_text($_) } @wrong) if @wrong;
    return;
}

sub running { my ($self) = @_; return $self->{pipeline}->running }
sub programs { my ($self) = @_; return map { $_->pid } $self->{pipeline}->processes }

# ---- what is the most that the target's side can do: the assembled stream is there ----

package Pg2any::Bench::Apply;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Bench::Contender';
use Pg2any::Pipeline;
use Pg2any::Scratch qw(fresh_name);

sub slot { return }

sub begin {
    my ($self) = @_;
    $self->{target} = Pg2any::Bench::Contenders::our_target($self);
    $self->make_slot;
    return;
}

# The slot is where the last recording has ended, and so is the target.
sub get_ready {
    my ($self, $lsn) = @_;
    $self->{input} = fresh_name("$self->{name}.frames");
    my $recording = Pg2any::Pipeline->new(pg => $self->{pg}, stages => [qw(capture assemble)], slot => $self->{slot_name},
        output => $self->{input}, pg_uri => [socket => 1], args => { capture => ['--until-lsn', $lsn] });
    my $statuses = $recording->start->wait_all($Pg2any::Bench::LIMIT_S);
    die "$self->{name}: no recording: ", $recording->log_text('capture') if grep { $_ ne '0' } values %$statuses;
    return;
}

sub start {
    my ($self) = @_;
    $self->{pipeline} = Pg2any::Pipeline->new(target => $self->{target}, stages => ['apply'], input => $self->{input});
    return $self->{pipeline}->start;
}

sub running { my ($self) = @_; return $self->{pipeline}->running }

sub stop {
    my ($self) = @_;
    my $status = $self->{pipeline}->wait_exit('apply', 10);
    die "$self->{name}: $status: ", $self->{pipeline}->log_text('apply') if $status ne '0';
    unlink $self->{input};
    $self->{pg}->advance_slot($self->{slot_name}, $self->{target}->checkpoint->{remote_lsn});
    return;
}

sub programs { my ($self) = @_; return $self->{pipeline}->pid('apply') }

# ---- Debezium's embedded engine with its JDBC sink ----

package Pg2any::Bench::Debezium;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Bench::Pipeline';
use Cwd ();
use File::Basename qw(dirname);
use Pg2any::Pipeline;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);

my $folder = Cwd::abs_path(dirname(__FILE__) . '/../../../bench/debezium');

sub built { return dirname(Pg2any::Pipeline::tool_dir()) . '/debezium' }

# False where a JDK, Maven or what Maven fetches cannot be had; the log says which.
sub make {
    my $out = built();
    return 0 == system "mvn -q -B -f '$folder/pom.xml' -Dout='$out' -DoutputDirectory='$out/lib'"
        . " compile dependency:copy-dependencies >'$out.log' 2>&1";
}

sub foreign { return 1 }

# Its first backlog pg2any takes, which makes the tables: so they are the same for both.
sub start {
    my ($self) = @_;
    return $self->SUPER::start if !$self->{starts};
    $self->{offsets} //= fresh_name('debezium.offsets');
    $self->{log} //= fresh_name('debezium.log');
    my $server = $self->{target}->server;
    $self->{engine} = Pg2any::Process->start(name => 'debezium', stderr => $self->{log}, argv => ['java',
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp',
        built() . '/classes:' . built() . '/lib/*', 'Replicate', '127.0.0.1', $self->{pg}->port, 'postgres', 'postgres',
        $self->{slot_name}, 'cdc_pub', sprintf('jdbc:mariadb://127.0.0.1:%d/%s?user=root&useBulkStmts=true', $server->port,
            $self->{target}->database), $self->{offsets}]);
    return;
}

sub stop {
    my ($self) = @_;
    my $engine = delete $self->{engine} or return $self->SUPER::stop;
    $engine->stop('TERM', 60);
    return;
}

sub running { my ($self) = @_; return $self->{engine} ? $self->{engine}->running : $self->SUPER::running }
sub programs { my ($self) = @_; return $self->{engine} ? $self->{engine}->pid : $self->SUPER::programs }

# ---- PostgreSQL's own ----

package Pg2any::Bench::Subscription;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Bench::Contender';
use Pg2any::Bench qw(server_pids);
use Pg2any::Postgres;
use Pg2any::Wait qw(wait_for);

sub begin {
    my ($self) = @_;
    my $slot = $self->{slot_name};
    # The launcher would wait up to 5 s since the worker was last started.
    $self->{subscriber} = Pg2any::Postgres->new(name => "subscriber-$self->{name}", fsync => 1,
        settings => { max_wal_size => '16GB', checkpoint_timeout => '1h', wal_retrieve_retry_interval => '1ms' });
    $self->{subscriber}->do(Pg2any::Bench::Workloads::workload_schema(), sprintf "create subscription sub connection '%s'
        publication cdc_pub with (copy_data = false, enabled = false, create_slot = false, slot_name = '$slot',
        streaming = on, synchronous_commit = $self->{synchronous_commit})", $self->{pg}->uri);
    $self->make_slot;
    return;
}

sub dbh { my ($self) = @_; return $self->{subscriber}->dbh }

# Both are PostgreSQL, so a sum over the text of all rows says enough.
sub differences {
    my ($self) = @_;
    my $sum = sub {
        my ($server, $table) = @_;
        $server->do(q{set timezone = 'UTC'});
        return $server->value("select concat(count(*), ' ', sum(hashtextextended(t::text, 0))) from $table t");
    };
    return map { $sum->($self->{pg}, $_) eq $sum->($self->{subscriber}, $_) ? () : "$_ differs" } Pg2any::Bench::Workloads::workload_tables();
}

sub start { my ($self) = @_; return $self->{subscriber}->do('alter subscription sub enable') }

sub stop {
    my ($self) = @_;
    $self->{subscriber}->do('alter subscription sub disable');
    return wait_for(sub { !$self->{pg}->slot($self->{slot_name})->{active} }, 30, "$self->{name} to stop");
}

sub server { my ($self) = @_; return server_pids($self->{subscriber}) }

# It confirms late and rarely, but leaves at once at the position that it is given.
package Pg2any::Bench::Recvlogical;

use strict;
use warnings;
use parent -norequire, 'Pg2any::Bench::Contender';
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);

sub slot { return }
sub begin { my ($self) = @_; return $self->make_slot }

sub start {
    my ($self, $lsn) = @_;
    $self->{process} = Pg2any::Process->start(name => 'pg_recvlogical', stderr => fresh_name('recvlogical.log'),
        argv => [Pg2any::Postgres::bin_dir() . '/pg_recvlogical', '-d', $self->{pg}->uri(socket => $self->{socket}),
            '--slot', $self->{slot_name}, '--start', '-f', '/dev/null', '-o', 'proto_version=2', '-o', 'streaming=on', '-o',
            'publication_names=cdc_pub', '--endpos', $lsn]);
    return;
}

sub running { my ($self) = @_; return $self->{process}->running }

sub stop {
    my ($self) = @_;
    $self->{process}->status eq '0' or die "pg_recvlogical failed\n";
    return;
}

sub programs { my ($self) = @_; return $self->{process}->pid }

1;

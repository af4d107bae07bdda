package Pg2any::Witness;

# Looks at a target all the time, as any other reader may, each time in one snapshot: what is there is a prefix
# of the source's history (Pg2any::Ledger), checkpoint and history never go back, and what the slot has
# confirmed is there. A process of its own, so that nothing waits for a target that stands still. What it
# sees wrong ends it.

use strict;
use warnings;
use Carp qw(croak);
use DBD::SQLite::Constants qw(:file_open);
use DBI;
use File::Basename qw(dirname);
use JSON::PP ();
use Pg2any::LSN qw(lsn_number);
use Pg2any::Ledger qw(violations);
use Pg2any::Load;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Wait qw(let_pass now);

my $PAUSE_S = 0.2;

# Pg2any::Witness->new($name, $target, $pg)
sub new {
    my ($class, $name, $target, $pg) = @_;
    my $kind = $target->kind;
    my @place = $kind eq 'sqlite' ? ($target->file, '')
        : $kind eq 'mysql' ? ($target->server->socket, $target->database)
        : ($target->server->db_file, $target->database . '.dbo.');
    my $self = bless { name => $name, state => fresh_name("witness-$name.json") }, $class;
    $self->{process} = Pg2any::Process->start(name => "the witness of $name", stderr => fresh_name("witness-$name.log"),
        argv => [$^X, '-I' . dirname(dirname(__FILE__)), '-MPg2any::Witness', '-e', 'Pg2any::Witness::run(@ARGV)',
            $kind, @place, $pg->port, $self->{state}]);
    return $self;
}

sub name { return $_[0]{name} }

# What it has seen last: {lsn, n, looks, away}, numbers.
sub seen {
    my ($self) = @_;
    my $text = Pg2any::Postgres::read_file($self->{state});
    return eval { JSON::PP::decode_json($text) } // { lsn => 0, n => 0, looks => 0, away => 0 };
}

# Dies when it has seen something wrong.
sub check {
    my ($self) = @_;
    croak "the witness of $self->{name}: ", Pg2any::Postgres::read_file($self->{process}->log_file)
        if !$self->{process}->running;
    return;
}

sub stop { my ($self) = @_; $self->{process}->stop; return }

# ---- in the witness ----

sub connect_to {
    my ($kind, $place, $name) = @_;
    my %attributes = (AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0);
    return DBI->connect("dbi:mysql:mysql_socket=$place;database=$name;mysql_connect_timeout=10;mysql_read_timeout=20",
        'root', '', \%attributes) if $kind eq 'mysql';
    -s $place or die "$place is not there yet\n";
    my $dbh = DBI->connect("dbi:SQLite:dbname=$place", '', '', { %attributes, sqlite_open_flags => SQLITE_OPEN_READWRITE });
    $dbh->sqlite_busy_timeout(2000);
    return $dbh;
}

# Microseconds, of PostgreSQL's text: '2026-01-01 00:00:00.123456+00:00'.
sub time_number {
    my ($text) = @_;
    my ($time, $fraction) = $text =~ /\A(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d+))?\+00(?::00)?\z/ or die "no time: '$text'\n";
    return $time =~ tr/0-9//cdr . substr(($fraction // '') . '000000', 0, 6);
}

# One look: {lsn, time, n, wrong}. All of it in one snapshot.
sub look {
    my ($dbh, $kind, $prefix) = @_;
    $dbh->do($kind eq 'mysql' ? 'start transaction with consistent snapshot' : 'begin');
    my $name = sub { return $kind eq 'mysql' ? $_[0] : qq{"$prefix$_[0]"} };
    my $ask = sub { return $dbh->selectrow_array($_[0] =~ s/\{(\w+)\}/$name->($1)/ger) };
    my ($lsn, $time) = $ask->('select remote_lsn, commit_time from {pg2any_checkpoint}');
    my ($n, @wrong) = violations($ask);
    $dbh->do('rollback');
    defined $time or die "no transaction yet\n";
    return { lsn => lsn_number($lsn), time => time_number($time), n => $n, wrong => \@wrong };
}

sub run {
    my ($kind, $place, $name, $port, $state) = @_;
    my ($source, $dbh, %last);
    my ($looks, $away) = (0, 0);
    local $SIG{TERM} = sub { exit 0 };
    $DBI::neat_maxlen = 100;
    while (1) {
        # Before the look, so that what is confirmed has to be there.
        my $confirmed = eval {
            $source //= Pg2any::Load::connection($port);
            $source->selectrow_array(q{select confirmed_flush_lsn from pg_replication_slots where slot_name = 'cdc_slot'});
        };
        undef $source if $@;
        my $now = eval {
            $dbh //= connect_to($kind, $place, $name);
            look($dbh, $kind, $name);
        };
        if ($now) {
            my @wrong = @{ $now->{wrong} };
            for my $what (qw(lsn time n)) {
                push @wrong, "$what goes back from $last{$what} to $now->{$what}" if $now->{$what} < ($last{$what} // 0);
            }
            push @wrong, sprintf 'the slot has confirmed %s, and the checkpoint is %X/%X', $confirmed, $now->{lsn} >> 32,
                $now->{lsn} & 0xffffffff if defined $confirmed && lsn_number($confirmed) > $now->{lsn};
            die map { "$_\n" } @wrong if @wrong;
            %last = %$now;
            $looks++;
        } else {
            print STDERR "away: $@" if $away++ < 200;
            eval { $dbh->disconnect } if $dbh;
            undef $dbh;
        }
        open my $fh, '>', "$state.new" or die "$state: $!\n";
        print {$fh} JSON::PP::encode_json({ lsn => $last{lsn} // 0, n => $last{n} // 0, looks => $looks, away => $away });
        close $fh or die "$state: $!\n";
        rename "$state.new", $state or die "$state: $!\n";
        let_pass($PAUSE_S);
    }
    return;
}

1;

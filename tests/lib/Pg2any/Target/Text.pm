package Pg2any::Target::Text;

# A file of SQL text as the target of a test, that of tests/apply-text: what it says is carried out
# in a SQLite database in memory, which is then looked at as that target is. Every value but
# numbers of the machine and bytes is PostgreSQL's own text.

use strict;
use warnings;
use parent 'Pg2any::Target::SQLite';
use Carp qw(croak);
use Cwd ();
use DBD::SQLite::Constants qw(DBD_SQLITE_STRING_MODE_UNICODE_STRICT);
use DBI;
use Fcntl qw(:flock :seek O_RDWR O_CREAT);
use Pg2any::Pipeline;
use Pg2any::Scratch qw(fresh_name);

# Pg2any::Target::Text->new(file => FILE, origin => 'cdc_slot')
sub new {
    my ($class, %arg) = @_;
    return $class->SUPER::new(file => $arg{file} // fresh_name('target.sql'), %arg);
}

sub kind { return 'text' }
sub applier { return Cwd::abs_path(Pg2any::Pipeline::tool_dir() . '/../unit') . '/apply-text' }
sub shell_hint { return "cat $_[0]{file}" }
sub example_dest { return 'mine.sql' }

sub drop {
    my ($self) = @_;
    $self->SUPER::drop;
    delete $self->{seen};
    return;
}

sub locked {
    my ($self, $how) = @_;
    sysopen my $fh, $self->{file}, O_RDWR | O_CREAT or croak "$self->{file}: $!";
    return flock($fh, $how) ? $fh : undef;
}

# The database, with all that is in the file by now; while the applier has the lock, what was there
# before.
sub dbh {
    my ($self) = @_;
    return if !-s $self->{file};
    my $dbh = $self->{dbh} //= DBI->connect('dbi:SQLite:dbname=:memory:', '', '', {
        RaiseError => 1, PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1,
        sqlite_allow_multiple_statements => 1,
        sqlite_string_mode => DBD_SQLITE_STRING_MODE_UNICODE_STRICT,
    });
    if (my $fh = $self->locked(LOCK_SH | LOCK_NB)) {
        seek $fh, $self->{seen} // 0, SEEK_SET or croak "seek: $!";
        binmode $fh, ':encoding(UTF-8)';
        my $text = do { local $/; <$fh> };
        $self->{seen} = tell $fh;
        # Through a handle that takes transactions as they stand.
        $dbh->do($text) if $text =~ /\S/;
        close $fh or croak "close: $!";
    }
    return Pg2any::Target::Text::Session->new($self, $dbh);
}

sub disconnect {
    my ($self) = @_;
    delete $self->{seen};
    return $self->SUPER::disconnect;
}

sub make {
    my ($self) = @_;
    my $session = Pg2any::Target::Text::Session->new($self);
    $session->do('select 1');
    return $session;
}

# A number's column has no infinity.
sub odd_values {
    my ($self) = @_;
    return ($self->SUPER::odd_values, largest => '1.7976931348623157e308',
        smallest => '-1.7976931348623157e307');
}

sub rule {
    my ($self, $type, $typmod) = @_;
    return $self->SUPER::rule($type, $typmod) if $type =~ /\A(?:int2|int4|int8|bytea|text|varchar|uuid)\z/;
    return { sort => '%s', numeric => 1, storage => ['integer', 'real'] } if $type =~ /\Afloat[48]\z/;
    # The output function's text. A cast to text would strip the blanks of char(n).
    my %rule = (
        sort => q{case when %1$s is null then null else format('%%s', %1$s) end collate "C"},
        storage => ['text'],
    );
    $rule{expect} = sub { return $_[0] ? 't' : 'f' } if $type eq 'bool';
    return \%rule;
}

package Pg2any::Target::Text::Session;

# What a test does to the target is a transaction in the file; what it asks is answered by the
# database.

use strict;
use warnings;
use Carp qw(croak);
use Fcntl qw(:flock :seek);

our $AUTOLOAD;

sub new {
    my ($class, $target, $dbh) = @_;
    return bless { target => $target, dbh => $dbh }, $class;
}

sub do {    ## no critic: DBI's name for it
    my ($self, @statements) = @_;
    my $fh = $self->{target}->locked(LOCK_EX) or croak "flock: $!";
    binmode $fh, ':encoding(UTF-8)';
    seek $fh, 0, SEEK_END or croak "seek: $!";
    print {$fh} "BEGIN;\n", (map { "$_;\n" } @statements), "COMMIT;\n" or croak "print: $!";
    close $fh or croak "close: $!";
    $self->{target}->dbh;
    return;
}

sub AUTOLOAD {    ## no critic: everything else is DBI's
    my ($self, @args) = @_;
    my $method = $AUTOLOAD =~ s/.*:://r;
    return if $method eq 'DESTROY';
    my $dbh = $self->{dbh} // $self->{target}->dbh->{dbh};
    return $dbh->$method(@args);
}

1;

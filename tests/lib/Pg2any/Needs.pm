package Pg2any::Needs;

# What a test needs, as it declares in the comment at its top: `# needs: postgres, any target`. Lists of
# tests are made from that (tests/select), so it is held against what the test does: a server that
# starts in a test that does not declare it ends the test.

use strict;
use warnings;
use Carp qw(croak);
use Cwd ();
use Exporter qw(import);

our @EXPORT_OK = qw(needs_of demand);

# The words, and what each says of a test.
my @WORDS = (
    'nothing' => 'no server',
    'postgres' => 'a PostgreSQL; what comes out may depend on its version',
    'one postgres' => 'a PostgreSQL; with one version it has said all it has to say',
    'mariadb' => 'a MariaDB besides',
    'any target' => 'whichever target TARGET names',
    'mysql target' => 'MariaDB or MySQL as the target',
    'mssql target' => 'the TDS peer as the target, which stands for SQL Server',
    'time' => 'half a minute or more, so it starts before others',
);
my %KNOWN = @WORDS;

my %DECLARED_BY = (
    postgres => ['postgres', 'one postgres'],
    mariadb => ['mariadb', 'mysql target', 'any target'],
    peer => ['mssql target', 'any target'],
);

sub explain {
    my ($file, $fault) = @_;
    my $words = join '', map { sprintf "  %-14s%s\n", $WORDS[$_], $WORDS[$_ + 1] } grep { $_ % 2 == 0 } 0 .. $#WORDS;
    return "$file: $fault. In the comment at its top there has to be one line\n"
        . "  # needs: WORDS\nwhere WORDS are one or more of these, with commas between them:\n$words";
}

# {word => true} of a test's file; dies when that is not a declaration.
sub needs_of {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    my @lines;
    while (my $line = <$fh>) {
        last if $line !~ /\A#/;
        push @lines, $1 if $line =~ /\A#\s*needs:\s*(\S.*?)\s*\z/;
    }
    close $fh or die "$file: $!\n";
    die explain($file, @lines ? 'it says twice what it needs' : 'it does not say what it needs') if @lines != 1;
    my @words = split /\s*,\s*/, $lines[0], -1;
    my ($unknown) = grep { !$KNOWN{$_} } @words;
    die explain($file, "nobody knows what it needs with '$unknown'") if defined $unknown;
    my %needs = map { $_ => 1 } @words;
    die explain($file, "'$lines[0]' says two things at once")
        if @words != keys %needs || $needs{nothing} && grep({ !/\A(?:nothing|time)\z/ } @words) || $needs{postgres} && $needs{'one postgres'}
        || 1 < grep { /target\z/ } @words;
    return \%needs;
}

# Found now, because a test may go to another folder.
my $test = $0 =~ /\.t\z/ ? Cwd::abs_path($0) : undef;

# A server of this kind starts. In a test it has to be declared, unless it is the target that
# somebody asked for on the command line.
sub demand {
    my ($server) = @_;
    return if !$test || ($server ne 'postgres' && $ENV{TARGET});
    my $needs = needs_of($test);
    return if grep { $needs->{$_} } @{ $DECLARED_BY{$server} };
    croak explain($test, "it starts a server ($server) that it does not declare");
}

1;

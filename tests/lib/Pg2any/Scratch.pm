package Pg2any::Scratch;

# The one temporary directory of a test program. It goes when the test passed; when it failed, the
# logs in it stay, their place is printed, and so are their last lines.

use strict;
use warnings;
use Exporter qw(import);
use File::Find ();
use File::Path ();
use File::Temp ();
use Test::More ();

our @EXPORT_OK = qw(scratch_dir fresh_name keep_scratch scratch_cleanup);

my $dir;
my $owner;
my $keep = $ENV{PG2ANY_KEEP} ? 1 : 0;
my %used;

# The directory, made on first use. Others may pass through it: a server run by another user has
# its data inside.
sub scratch_dir {
    if (!defined $dir) {
        my ($program) = $0 =~ m{([^/]+?)(?:\.t)?\z};
        $dir = File::Temp::tempdir("pg2any-$program-XXXXXX", TMPDIR => 1);
        chmod 0711, $dir or die "chmod $dir: $!\n";
        $owner = $$;
    }
    return $dir;
}

# A path in the directory that was not given out before: fresh_name('x.db'), then x-2.db, …
sub fresh_name {
    my ($name) = @_;
    my $n = ++$used{$name};
    if ($n > 1) {
        $name =~ s/(?=\.[^.]*\z)|\z/-$n/;
    }
    return scratch_dir() . "/$name";
}

# Keep everything, whatever the outcome.
sub keep_scratch { $keep = 1; return }

sub tail {
    my ($file, $lines) = @_;
    open my $fh, '<', $file or return "(cannot read it: $!)";
    my @last;
    while (my $line = <$fh>) {
        push @last, $line;
        shift @last if @last > $lines;
    }
    close $fh or return "(cannot read it: $!)";
    return join '', @last;
}

# Called when every process of the test has ended.
sub scratch_cleanup {
    my ($failed) = @_;
    return if !defined $dir || $$ != $owner;
    if ($failed && !$keep) {
        # Server data are big, and without use once the server is gone.
        File::Path::remove_tree($_) for glob "$dir/*/data";
        my @logs;
        File::Find::find({ no_chdir => 1, wanted => sub { push @logs, $_ if /\.log\z/ && -s } },
            $dir);
        for my $log (sort @logs) {
            Test::More::diag("--- the end of $log");
            Test::More::diag(tail($log, 25));
        }
    }
    if ($failed || $keep) {
        Test::More::diag("kept: $dir");
    } else {
        File::Path::remove_tree($dir);
    }
    undef $dir;
    return;
}

1;

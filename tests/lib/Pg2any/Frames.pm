package Pg2any::Frames;

# Files of frames, as frame-dump tells them: what a test knows of the stream's shape. The contents
# of tables are compared by Pg2any::Compare, not by frames.

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use JSON::PP ();
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);

our @EXPORT_OK = qw(frames frame_heads count_frames);

my $json = JSON::PP->new->utf8;

sub dump_lines {
    my ($file) = @_;
    my ($out, $log) = (fresh_name('frames.json'), fresh_name('frame-dump.log'));
    my $dump = Pg2any::Process->start(name => 'frame-dump', stdin => $file, stdout => $out,
        stderr => $log, argv => [Pg2any::Pipeline::tool('frame-dump')]);
    my $status = $dump->wait_exit(60);
    croak "frame-dump < $file: $status: " . Pg2any::Postgres::read_file($log) if $status ne '0';
    return split /\n/, Pg2any::Postgres::read_file($out);
}

# The frames of these types (frame-dump's names: begin, stream_abort, …) in order, as hashes; all
# where none is named. The file must hold whole streams, that is, its writer was asked to stop.
sub frames {
    my ($file, @types) = @_;
    my $wanted = @types ? join '|', map { quotemeta } @types : '\w+';
    return map { $json->decode($_) } grep { /"type": ?"(?:$wanted)"/ } dump_lines($file);
}

# Of the same frames the numbers that stand in front of values, and the type: many times as fast.
sub frame_heads {
    my ($file, @types) = @_;
    my $wanted = join '|', map { quotemeta } @types;
    return map { /\A\{"type":"($wanted)"((?:,"\w+":\d+)*)/ ? { type => "$1", $2 =~ /"(\w+)":(\d+)/g } : () } dump_lines($file);
}

# How many there are of each type.
sub count_frames {
    my ($file) = @_;
    my %count;
    $count{$_}++ for map { /"type": ?"(\w+)"/ ? $1 : () } dump_lines($file);
    return \%count;
}

1;

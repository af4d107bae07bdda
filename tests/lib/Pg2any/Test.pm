package Pg2any::Test;

# What an end-to-end test needs, in one `use`: Test::More, the throw-away server, the pipeline, the
# target, waiting, and the comparison of contents as a test.

use strict;
use warnings;
use utf8;
use parent qw(Exporter);
use Pg2any::Compare qw(compare_tables);
use Pg2any::Frames qw(frames frame_heads count_frames);
use Pg2any::LSN qw(lsn_number);
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(scratch_dir fresh_name keep_scratch);
use Pg2any::Target qw(new_target);
use Pg2any::Wait qw(wait_for let_pass now);
use Test::More;

our @EXPORT = qw(
    compare_tables lsn_number scratch_dir fresh_name keep_scratch wait_for let_pass now
    new_target new_pair same_content run_tool frames frame_heads count_frames
);
push @EXPORT, @Test::More::EXPORT;

sub import {
    my ($class) = @_;
    strict->import;
    warnings->import;
    utf8->import;
    binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
    $class->export_to_level(1, $class);
    return;
}

# A server, a target, and a pipeline between them that streams: new_pair(
#     settings => {server setting => value},
#     sql => [statements run before the slot is made],
#     publication => 'for all tables',
#     and what Pg2any::Pipeline->new takes)
sub new_pair {
    my (%arg) = @_;
    my $pg = Pg2any::Postgres->new(settings => delete $arg{settings} // {});
    my $sql = delete $arg{sql} // [];
    my $for = delete $arg{publication} // 'for all tables';
    $pg->do(@$sql, "create publication cdc_pub $for");
    my $target = delete $arg{target} // new_target();
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, %arg);
    $pipeline->start;
    $pipeline->wait_streaming;
    return ($pg, $target, $pipeline);
}

# A test: these tables hold the same, value by value, on both sides.
sub same_content {
    my ($pg, $target, $tables, $name, %option) = @_;
    my $rows = 0;
    my @differences = compare_tables($pg->dbh, $target, $tables, %option, rows => \$rows);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = ok(!@differences, $name // "@$tables: same content");
    diag($_) for @differences;
    note("$rows rows compared");
    return $ok;
}

# Run one tool by itself: run_tool('frame-dump', args => [...], stdin => FILE, env => {...},
# limit => 60). Its status, stdout and stderr.
sub run_tool {
    my ($name, %arg) = @_;
    my ($out, $err) = (fresh_name("$name.out"), fresh_name("$name.err.log"));
    my $process = Pg2any::Process->start(
        name => $name, argv => [Pg2any::Pipeline::tool($name), @{ $arg{args} // [] }],
        stdin => $arg{stdin}, stdout => $out, stderr => $err, env => $arg{env} // {});
    my $status = $process->wait_exit($arg{limit} // 60);
    return ($status, map { Pg2any::Postgres::read_file($_) } $out, $err);
}

1;

# Faults that were found once in rows, types, schemas and replay, each with what went wrong.
# needs: postgres

use Pg2any::FrameReader qw(read_frames split_frames);
use Pg2any::Golden qw(golden_file dump_tables);
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
my $all_0 = { capture => 0, assemble => 0, apply => 0 };

sub follow {
    my ($name, @sql) = @_;
    $pg->do(@sql, "create publication $name for table $name");
    my $pipeline = Pg2any::Pipeline->new(
        pg => $pg,
        target => new_target(origin => $name),
        slot => $name,
        publication => $name);
    $pipeline->start;
    $pipeline->wait_streaming;
    return $pipeline;
}

# A column was dropped and another one made with its name while the pipeline was down. The catalog,
# asked about the rows written before that, gave the new column's number and default: rows of before
# and after went into one column, and those from before kept the old column's values. With the same
# type nothing differed between the two descriptions of the table; with a wider one it looked like
# ALTER … TYPE. The catalog's answer now says "unknown" when the name has changed hands since, and a
# column that was unknown and is known again stops the applier.
for my $type (qw(int bigint)) {
    my $name = "replaced_$type";
    my $pipeline = follow($name, "create table $name (id int primary key, a int, b text)");
    $pg->do("insert into $name values (1, 1, 'x')");
    $pipeline->wait_caught_up;
    $pipeline->stop;
    $pg->do(
        "insert into $name values (2, 2, 'y')",
        "alter table $name drop column a",
        "alter table $name add column a $type default 7",
        "insert into $name (id) values (3)");
    $pipeline->start;
    is($pipeline->wait_exit('apply'),
        100, "a column replaced by one of type $type while the pipeline was down: exit 100");
    like(
        $pipeline->log_text('apply'),
        qr/level=error.*column a may be another one/,
        'and it says so');
    $pipeline->wait_all;
    # The way out: what the source has now, and forget what the table was.
    my $dbh = $pipeline->{target}->dbh;
    $dbh->do("update $name set a = 7");
    $dbh->do('delete from pg2any_relation');
    $pipeline->{target}->disconnect;
    $pipeline->start;
    $pipeline->wait_caught_up;
    same_content($pg, $pipeline->{target}, [$name], 'mended as the error says, all is the same');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

# A table without columns under REPLICA IDENTITY FULL: its rows are all equal, so a delete is of any
# one of them. The applier said that the relation had no replica identity.
{
    my $pipeline = follow(
        'no_columns',
        'create table no_columns ()',
        'alter table no_columns replica identity full');
    $pg->do(('insert into no_columns default values') x 3,
        'delete from no_columns where ctid = (select min(ctid) from no_columns)');
    $pipeline->wait_caught_up;
    is($pipeline->{target}->value('select count(*) from no_columns'),
        2, 'a row of a table without columns is deleted');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

# A role with quote_all_identifiers = on made every value of regclass and its like come in quotes:
# the setting was not pinned.
{
    $pg->do(
        'create role quoting login superuser',
        'alter role quoting set quote_all_identifiers = on',
        'create table named (id int primary key, c regclass)',
        'create publication named for table named');
    my $pipeline = Pg2any::Pipeline->new(
        pg => $pg,
        pg_uri => [user => 'quoting'],
        target => new_target(origin => 'named'),
        slot => 'named',
        publication => 'named');
    $pipeline->start;
    $pipeline->wait_streaming;
    $pg->do(q{insert into named values (1, 'pg_class')});
    $pipeline->wait_caught_up;
    is($pipeline->{target}->value('select c from named'),
        'pg_class', 'quote_all_identifiers does not change values');
    is_deeply($pipeline->stop, $all_0, 'all leave with 0');
}

# A file of frames replayed into a target that had some or all of it already was refused: the
# checkpoint was beyond where the server had been at the beginning of the file, which was taken for
# a server restored from a backup. So a replay that was interrupted could never be finished.
{
    my $committed = golden_file('ordinary', 'committed.frames');
    my $bytes = read_frames($committed);
    my @commits = grep { $_->[0] eq 'C' } split_frames($bytes);
    my $part = fresh_name('part.frames');
    open my $fh, '>:raw', $part or die $!;
    print {$fh} substr $bytes, 0, $commits[$#commits / 2][2];
    close $fh or die $!;
    my $target = new_target(origin => 'golden');
    my ($status) = run_tool('apply-sqlite', args => ['--dest', $target->file], stdin => $part);
    is($status, 111, 'a replay that is interrupted');
    for my $again ('goes on from there', 'and a third time has nothing to do') {
        ($status) =
            run_tool('apply-sqlite', args => ['--dest', $target->file], stdin => $committed);
        is($status, 0, $again);
        open $fh, '<:encoding(UTF-8)', golden_file('ordinary', 'expected') or die $!;
        is(dump_tables($target), do { local $/ = undef; <$fh> }, 'with the right content');
        close $fh or die $!;
    }
}

done_testing;

package Pg2any::Upgrade;

# What version 0.1.0 has left in tests/upgrade/0.1.0 (tests/upgrade/record made it with that version's programs), and
# what had happened at the source by then and afterwards. The same statements give a source that the targets have to
# equal.

use strict;
use warnings;
use utf8;
use Carp qw(croak);
use Cwd ();
use Exporter qw(import);
use File::Basename ();
use File::Copy qw(copy);
use Pg2any::Pipeline;
use Pg2any::Postgres;
use Pg2any::Process;
use Pg2any::Scratch qw(fresh_name);
use Pg2any::Target qw(new_target);

our @EXPORT_OK = qw(state_file state_files recorded_relids recorded_options options_now old_target @TABLES @CREATE @BEFORE @AFTER);

my $dir = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../upgrade/0.1.0');

our @TABLES = qw(orders keyless wide kinds);
our @CREATE = (
    'create table orders (id int primary key, who varchar(20) not null, total numeric(8,2), at timestamptz, note text)',
    'create table keyless (a int, b text)',
    'alter table keyless replica identity full',
    'create table wide (id bigint primary key, big text, small varchar(10))',
    'alter table wide alter big set storage external',
    q{create table kinds (id int primary key, b bool, i2 smallint, f4 real, f8 double precision, n numeric, t text, c char(4), y bytea,
        d date, ts timestamp, ti time, iv interval, u uuid, j jsonb, a int[], bi bit(3), r int4range, i inet)},
);
our @BEFORE = (
    q{insert into orders select g, 'c' || g, g * 1.25, timestamptz '2026-01-01 00:00+00' + g * interval '1 hour', 'n' || g
        from generate_series(1, 20) g},
    q{begin; update orders set total = total + 1 where id <= 5; delete from orders where id = 20; commit},
    q{insert into keyless values (1, 'x'), (1, 'x'), (null, 'é'), (2, null)},
    q{update keyless set b = 'y' where a = 2},
    q{insert into wide values (1, repeat('0123456789abcdef', 200), 'one'), (2, repeat('z', 3000), 'two')},
    q{insert into kinds values (1, true, -7, 0.5, 0.1, 12345678901234567890.10, 'ü', 'x', '\x00ff', '2024-02-29', '2024-02-29 12:00:00.5',
        '23:59:59.999999', '1 year -2 days', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1}', '{1,NULL}', '101', '[1,5)', '10.0.0.1/8')},
    q{insert into kinds (id) values (2)},
);
# Rows whose old values the target has to have, and changes of tables that it knows from before.
our @AFTER = (
    q{update wide set small = 'eins' where id = 1},
    q{update orders set id = id + 100, note = null where id = 7},
    q{delete from keyless where a = 2},
    q{update kinds set f4 = 0.25, b = false where id = 1},
    q{insert into kinds (id, f4, c, y, bi) values (3, 0.125, 'abcd', '', '011')},
    q{begin; insert into orders values (21, 'new', 0, '2026-02-01 00:00+00', ''); update wide set id = 3 where id = 2; commit},
);

sub state_file { return "$dir/$_[0]" }
sub state_files { return map { File::Basename::basename($_) } glob "$dir/state/*" }

sub text_of {
    my ($name) = @_;
    open my $in, '<:encoding(UTF-8)', state_file($name) or croak state_file($name) . ": $!";
    local $/ = undef;
    return scalar <$in>;
}

# The relid that each table had.
sub recorded_relids { return { map { split / / } split /\n/, text_of('relids') } }

# "apply-mysql --dest", "pg2any check --env-file", "frame-tee CDC_AUDIT_FILE": what the programs offer.
sub options_now {
    my @offered;
    for my $words (qw(pg-capture txn-assemble apply-sqlite apply-mysql apply-mssql frame-tee frame-dump metrics-http),
        map { "pg2any $_" } qw(run check status init drop stage)) {
        my ($program, @command) = split / /, $words;
        my $help = fresh_name('help');
        Pg2any::Process->start(name => $program, argv => [Pg2any::Pipeline::tool($program), @command, '--help'], stdout => $help)->wait_exit(30) == 0
            or croak "$words --help";
        my $text = Pg2any::Postgres::read_file($help);
        push @offered, map { "$words $_" } $text =~ /^  (--[a-z-]+)/mg, $text =~ /\(((?:CDC|METRICS)_[A-Z_]+)\)/g;
    }
    return @offered;
}
sub recorded_options { return split /\n/, text_of('options') }

# A target as it was. What it remembers of a table has MySQL's database in its name.
sub old_target {
    my $target = new_target((($ENV{TARGET} // '') eq 'mysql') ? (database => 'target_1') : ());
    if ($target->kind eq 'sqlite') {
        copy(state_file('target.db'), $target->file) or croak 'target.db: ', $!;
        return $target;
    }
    $target->drop;
    my $dbh = $target->make;
    $dbh->do($_) for split /\n/, text_of($target->kind . '.sql');
    return $target;
}

1;

# pg2any compare --mend: the rows that differ are read again through the pipeline's own stream, and nothing else; with the
# source changing, with everything killed between the question and the answer, with keys that the source does not take.
# needs: one postgres, any target

use JSON::PP ();
use Pg2any::Chaos;
use Pg2any::Front;
use Pg2any::Load;
use Pg2any::Test;

plan(skip_all => 'apply-text: what is there cannot be read back') if ($ENV{TARGET} // q{}) eq 'text';

my $pg = Pg2any::Postgres->new;
my $target = new_target();
my $sqlite = $target->kind eq 'sqlite';
$pg->do(Pg2any::Load::schema(), 'create schema "o""dd"',
    'create table keyed (b varchar(20), id int, t text, n numeric(10, 2), primary key (id, b))',
    q{insert into keyed select 'k' || g, g, repeat('t', g % 50), g from generate_series(1, 3000) g},
    q{insert into keyed values (E'a\tb\n\\\\', 0, 'odd', 0), ('', 0, null, 0)},
    'create table raw (k bytea primary key, v text)', q{insert into raw select decode(md5(g::text), 'hex'), 'v' from generate_series(1, 50) g},
    'create table "o""dd"."Ta b" ("I d" int primary key, v text)', q{insert into "o""dd"."Ta b" select g, 'v' from generate_series(1, 50) g},
    'create table far (d date primary key, n int)', q{insert into far select '2000-01-01'::date + g, g from generate_series(1, 20) g},
    'create table bag (n int, t text)', 'alter table bag replica identity full', q{insert into bag select g, 'b' from generate_series(1, 50) g},
    'create publication cdc_pub for all tables');
my @tables = (@Pg2any::Load::TABLES, qw(keyed raw bag far));
my $audit = fresh_name('audit');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_COPY => 'initial', CDC_AUDIT_FILE => $audit,
    CDC_SCHEMA_MAPPING => ($target->kind eq 'mssql' ? 'public:dbo,' : '') . 'o"dd:odd' });
my $q = $target->kind eq 'mysql' ? '`' : '"';
my $odd = $sqlite ? '"odd_Ta b"' : "${q}odd${q}.${q}Ta b$q";
my @writers = Pg2any::Load::start($pg, writers => 1, seed => 7, pause => 0.05);
$front->start;
my $said = sub { my ($pattern) = @_; return $front->log_text =~ $pattern };
wait_for(sub { $front->process->running or die "pg2any run has ended\n" . $front->log_text;
    return eval { $target->value(q{select count(*) from bag}) } && $said->(qr/apply-\w+ .*msg="a table is copied".* table=keyed/) && $said->(qr/table=far/) && $said->(qr/apply-\w+ .*msg="a table is copied".*Ta b/) }, 60, 'the first copy');

sub compare {
    my (@words) = @_;
    my ($status, $out, $err) = $front->command(['compare', @words], limit => 120);
    note($out, $err);
    return ($status, $out, $err);
}

# Rows by their keys that were read again, of the audit file: {table => [keys]}.
sub read_again {
    my %ours = map { ("public.$_" => 1) } @Pg2any::Load::TABLES;
    my %keys;
    my $in = 0;
    for my $file (sort(glob "$audit*")) {
        my $out = fresh_name('frames.json');
        # It has no end yet.
        Pg2any::Process->start(name => 'frame-dump', stdin => $file, stdout => $out, stderr => fresh_name('frame-dump.log'),
            argv => [Pg2any::Pipeline::tool('frame-dump')])->wait_exit(60);
        for my $frame (map { JSON::PP->new->utf8->decode($_) } split /\n/, Pg2any::Postgres::read_file($out)) {
            $in = $frame->{chunk} == 4294967295 if $frame->{type} eq 'copy_begin';
            next if !$in || $frame->{type} ne 'delete' || $ours{ $frame->{relation} };
            my $key = $frame->{key};
            push @{ $keys{ $frame->{relation} } }, join ',', map {"$_=$key->{$_}"} sort keys %$key;
        }
    }
    return \%keys;
}

my $equal = sub { return ($front->command(['compare'], limit => 120))[0] == 0 };
ok(wait_for($equal, 120, 'everything to be equal'), 'equal to begin with');

# One of each: a value, a row that is missing, one too many; keys that have to be written with care.
$target->dbh->do($_) for q{update keyed set t = 'spoilt' where id = 7}, q{delete from keyed where id = 8},
    q{insert into keyed (b, id, t, n) values ('extra', -5, 'x', 1)}, q{update keyed set n = 999.5 where id = 0},
    "update $odd set v = 'x' where ${q}I d$q = 3", q{update raw set v = 'x' where v = 'v'};
$target->disconnect;
my ($status, $out, $err) = compare('--mend', '--yes');
is($status, 1, 'what differs: 1');
like($out, qr/^apply: requested; the running pipeline reads them again$/m, 'and it is asked for');
wait_for($equal, 120, 'everything to be equal again');
my $again = read_again();
is_deeply([sort @{ $again->{'public.keyed'} // [] }], [sort 'b=k7,id=7', 'b=k8,id=8', 'b=extra,id=-5', "b=a\tb\n\\,id=0", 'b=,id=0'], 'those rows of a table were read again, and no other');
is(scalar @{ $again->{'public.raw'} // [] }, 50, 'keys of bytes');
is(scalar @{ $again->{'o"dd.Ta b'} // [] }, 1, 'names that are quoted');
is_deeply([sort keys %$again], ['o"dd.Ta b', 'public.keyed', 'public.raw'], 'of no other table');

# Killed between the question and the answer; the source changes what was asked for.
$target->dbh->do($_) for q{update keyed set t = 'spoilt' where id between 100 and 150}, q{delete from keyed where id between 200 and 220};
$target->disconnect;
my $locker = $pg->connect;
my (undef, $looked) = compare('public.keyed', '--keys', my $file = fresh_name('keys'));
like($looked, qr/72 keys differ/, 'rows of which each differs');
$locker->do($_) for 'begin', 'lock table keyed in access exclusive mode';
my $applier = Pg2any::Process->start(name => 'ask', argv => [Pg2any::Pipeline::tool($target->applier), '--read-again', '--origin', 'cdc_slot', '--dest', $target->dest],
    stdin => $file);
is($applier->wait_exit(30), 0, 'apply --read-again asks for what a comparison has written');
my $chaos = Pg2any::Chaos->new(pg => $pg, front => $front);
kill HUP => $chaos->pid('apply');
kill KILL => $chaos->pid('capture'), $chaos->pid('apply');
$locker->do($_) for 'update keyed set n = n + 1 where id between 100 and 120', q{update keyed set id = id + 10000 where id between 205 and 210},
    'delete from keyed where id = 211';
$locker->do('commit');
wait_for($equal, 120, 'everything to be equal again');

# Keys that are none at the source, many rows, and tables without a key: by a copy of the table.
$target->dbh->do($_) for ($sqlite ? q{insert into far (d, n) values ('no date', 1)} : ()), q{delete from bag where n = 3}, q{insert into bag (n, t) values (99, 'x')},
    q{delete from keyed where id between 1500 and 2900};
$target->disconnect;
open my $fh, '>', my $no = fresh_name('no') or die $!;
print {$fh} "no\n";
close $fh or die $!;
($status, $out, $err) = $front->command(['compare', '--mend'], stdin => $no, limit => 120);
is($status, 100, 'more than a thousand: it asks');
like($err, qr/nothing was changed/, 'and nothing was done');
($status) = compare('--mend', '--yes');
is($status, 1, 'with --yes it does not ask');
wait_for($equal, 120, 'everything to be equal again');
like($front->log_text, qr/rows that a target asks for cannot be found by their keys.*table=far/, 'a key that the source does not take') if $sqlite;

($status, undef, $err) = $front->command(['compare', '--mend', '--keys', $file]);
is($status, 100, '--mend and --keys: 100');
($status, undef, $err) = $front->command(['compare', '--mend'], env => { CDC_COPY => 'never' });
like($err, qr/CDC_COPY=never/, 'without copies nothing would be mended');
Pg2any::Load::stop(@writers);
$front->wait_caught_up;
same_content($pg, $target, \@tables, 'the target equals the source');
is_deeply([grep { $_->[0] =~ /^lacks /m } $target->rows('select frame from pg2any_relation')], [], 'nothing is lacked any more');
$target->disconnect;
is($front->stop, 0, 'asked to stop, it leaves with 0');

done_testing;

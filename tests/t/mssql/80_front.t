# pg2any check, run, status and drop with SQL Server's kind of target.
# needs: one postgres, mssql target

use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key, f float8, d date, n numeric(10,2))', 'create publication cdc_pub for all tables');
my $target = new_target(kind => 'mssql');
my $front = Pg2any::Front->new(pg => $pg, targets => [$target], env => { CDC_SCHEMA_MAPPING => 'public:dbo' });

my ($status, $out) = $front->command(['check']);
is($status, 0, 'check passes') or diag($out);
like($out, qr/^ok    target: SQL Server [\d.]+ at \S+, database \S+, TLS /m, 'it says what is there');
like($out, qr/^ok    this user has the permissions that are needed on schema dbo/m, 'the permissions');
like($out, qr/^ok    tables: 0 exist and fit, 1 will be created/m, 'the tables');
like($out, qr/^note  dates outside the years 1 to 9999 .*\(public\.t\.d\)/m, 'and what has no place');
ok(!$target->checkpoint, 'nothing was made');

is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'a run makes the slot');
$pg->do(q{insert into t select g, g, '2024-01-01', g from generate_series(1, 100) g});
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'and the next applies');
same_content($pg, $target, ['t'], 'rows come');
($status, $out) = $front->command(['check']);
like($out, qr/^ok    tables: 1 exist and fit, 0 will be created/m, 'the table is there and fits');
($status, $out) = $front->command(['status']);
like($out, qr{^checkpoint +[0-9A-F]+/[0-9A-F]+ of origin cdc_slot$}m, 'status shows the checkpoint');
is(($front->command(['drop', '--yes']))[0], 0, 'drop');
ok(!$target->checkpoint, 'the checkpoint is gone');
is(($front->command(['drop', '--yes']))[0], 0, 'once more');

done_testing;

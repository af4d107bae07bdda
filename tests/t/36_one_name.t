# Two tables whose names the target may take for one: check stops where a start does.
# needs: one postgres, any target

use Pg2any::Front;
use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do('create table t (id int primary key)', 'create table "T" (id int primary key)',
    'create table "Ü" (id int primary key)', 'create publication cdc_pub for all tables');
my $target = new_target();
my $front = Pg2any::Front->new(pg => $pg, targets => [$target]);
my ($checked, $out) = $front->command(['check']);
is(($front->command(['run', '--until-lsn', 'current']))[0], 0, 'the slot is made');
$pg->do('insert into t values (1)', 'insert into "T" values (1)', 'insert into "Ü" values (1)');
my ($started) = $front->command(['run', '--until-lsn', 'current']);
is($checked, $started, 'check finds what a start stops at');
is($started, $target->kind =~ /sqlite|mssql|text/ ? 100 : 0, 'which a target that tells them apart does not') or diag($out);
like($out, qr/^FAIL  table public\.\w+: .*t\b.* is the table of table public\.\w+ already$/mi, 'and names both') if $started;
done_testing;

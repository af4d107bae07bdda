# Names and values that try to be SQL: whatever they say arrives as a name or a value, and nothing else
# happens at the target. With every kind of target.
# needs: postgres, any target

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(sql => [
    'create table victim (id int primary key, v text)',
    q{create table t (k text primary key, v text, b bytea, j jsonb, a text[])},
    'create table full_row (k text, v text)', 'alter table full_row replica identity full']);
$pg->do(q{insert into victim values (1, 'untouched')});
my @evil = (
    q{'; drop table victim; --}, q{"; drop table victim; --}, q{`; drop table victim; --}, q{]; drop table victim; --},
    q{' or '1'='1}, q{\\'; delete from victim; --}, q{\\\\'; delete from victim --}, q{'' ; delete from victim ; ''},
    q{*/ delete from victim /*}, q{/*! delete from victim */}, q{--}, q{#}, "a\nb; delete from victim\n", "\t';\r\n--",
    q{%s%n%d%999999s}, q{?}, q{:k}, q{@v}, q{$1}, q{{"a":"b'}]}, q{N'x'}, q{0x41}, q{CHAR(39)}, q{\\x27}, q{\\u0027}, q{\\}, q{'}, q{''}, q{"},
    q{\\0}, q{%27%3B}, q{'+(select v from victim)+'}, q{'||(select v from victim)||'}, q{1;waitfor delay '0:0:9'--}, q{xp_cmdshell},
    "\x{2019}; drop table victim --", "\x{02bc}; drop table victim --", "\x{ff07}; drop table victim --", 'é\'é', "\x{1F418}'\x{1F418}",
    ',', q{a','b}, q{), ('injected', 'row', null, null, null); --}, q{'); insert into victim values (2, 'injected'); --});

my $dbh = $pg->dbh;
my $insert = $dbh->prepare('insert into t values (?, ?, ?::text::bytea, ?::jsonb, ?)');
for my $text (@evil) {
    (my $json = $text) =~ s/(["\\])/\\$1/g;
    $json =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    $insert->execute($text, $text, '\\x' . unpack('H*', my $bytes = $text =~ s/([^\x00-\x7f])/?/gr), qq{{"k": "$json"}}, [$text, $text]);
    $dbh->do('insert into full_row values (?, ?)', undef, $text, $text);
}
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t full_row victim)], 'inserts of ' . @evil . ' values');

$dbh->do('update t set v = k || v, a = a || k', undef);
$dbh->do('update full_row set v = v || k');
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t full_row victim)], 'updates by such keys');
$dbh->do(q{update t set k = k || ' changed'});
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t full_row victim)], 'such keys are changed');
$dbh->do('delete from t where k = ?', undef, "$_ changed") for @evil[0 .. $#evil / 2];
$dbh->do('delete from full_row where k = ?', undef, $_) for @evil[0 .. $#evil / 2];
$pipeline->wait_caught_up;
same_content($pg, $target, [qw(t full_row victim)], 'such rows are deleted');

my @names = (q{'; drop table victim; --x}, q{"; drop table victim; --x}, q{`; drop table victim; --x}, q{]; drop table victim; --x},
    q{a" (x int); drop table victim; --x}, q{a` (x int); drop table victim; --x}, q{a] (x int); drop table victim; --x}, q{x'y''z},
    q{]]}, q{``}, q{""}, q{[a].[b]}, q{x`a`.`b`}, q{/*x*/}, q{%s%n}, q{\\}, q{\\'});
for my $i (0 .. $#names) {
    my ($table, $column) = map { $dbh->quote_identifier($_) } "$names[$i]", "$i$names[$i]";
    $dbh->do("create table $table ($column int primary key, v text)");
    $dbh->do("insert into $table values (1, 'a'), (2, 'b'), (3, 'c')");
    $dbh->do("update $table set v = 'x', $column = 10 where $column = 1");
    $dbh->do("delete from $table where $column = 2");
    $dbh->do("alter table $table add column " . $dbh->quote_identifier("new $names[$i]") . q{ text default $$it's; --$$});
    $dbh->do("insert into $table values (4, 'd', 'e')");
}
$pipeline->wait_caught_up;
same_content($pg, $target, ["public.$_"], "a table called $_") for @names;
same_content($pg, $target, ['victim'], 'and nothing else happened');
is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

done_testing;

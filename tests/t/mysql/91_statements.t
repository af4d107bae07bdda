# max_prepared_stmt_count, which is for all connections of the server together: where there is no room
# for more statements fewer are kept, and where there is none at all the applier says so.
# needs: one postgres, mysql target

use Pg2any::MySQL;
use Pg2any::Test;

my @tables = map {"t$_"} 1 .. 12;
my $server = Pg2any::MySQL->new(fast => 1);
my ($pg, $target, $pipeline) = new_pair(
    target => new_target(kind => 'mysql', server => $server),
    sql    => [map {"create table $_ (id int primary key, a text)"} @tables],
);

sub change_all {
    my ($id) = @_;
    $pg->do(join ';', 'begin', (map {"insert into $_ values ($id, 'a'), ($id + 1, 'a')"} @tables),
        'commit');
    $pg->do("update $_ set a = a || '$id' where id = $id", "delete from $_ where id = $id - 1")
        for @tables;
    return;
}

sub kept {
    return ($server->dbh->selectrow_array(q{show global status like 'Prepared_stmt_count'}))[1];
}

change_all(1);
$pipeline->wait_caught_up;
cmp_ok(kept(), '>', 20, 'where there is room the statements are kept');
my $pid = $pipeline->pid('apply');

$server->do('set global max_prepared_stmt_count = 5');
$pg->do("alter table $_ add b int default 7") for @tables;
change_all($_) for 3, 5;
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'fewer statements at the server than tables');
cmp_ok(kept(), '<=', 5, 'no more are kept than there may be');
is($pipeline->pid('apply'), $pid, 'by the same process');

$server->do('set global max_prepared_stmt_count = 0');
change_all(7);
is($pipeline->wait_exit('apply', 60), 111, 'with no room for a single one: exit 111');
like($pipeline->log_text('apply'), qr/level=error .*max_prepared_stmt_count/, 'and it says why');
$pipeline->wait_all;
$server->do('set global max_prepared_stmt_count = 16382');
$pipeline->start;
$pipeline->wait_caught_up;
same_content($pg, $target, \@tables, 'with room again it goes on');

done_testing;

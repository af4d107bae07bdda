# Keys that are not the same at the source are rows of their own in the target, or the copy stops.
# needs: one postgres, any target

use Pg2any::Test;

my $pg = Pg2any::Postgres->new;
$pg->do(q{create table far (d date primary key, n int)},
    q{insert into far values ('2000-01-01', 1), ('10000-01-01', 2), ('10001-01-01', 3)},
    'create table word (w varchar(20) primary key, n int)', q{insert into word values ('a', 1), ('a ', 2)},
    'create table raw (b bytea primary key, n int)', q{insert into raw values ('\x01', 1), ('\x0100', 2)});
my $sqlite = new_target()->kind eq 'sqlite';
for my $table (qw(far word raw)) {
    $pg->do('drop publication if exists cdc_pub', "create publication cdc_pub for table $table");
    my $target = new_target();
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial'],
        apply => $sqlite ? [] : ['--date-range', 'extreme', '--infinity', 'extreme'] });
    $pipeline->start;
    if (eval { $pipeline->wait_copied([$table]); 1 }) {
        is_deeply([map { $_->[0] } $target->rows("select n from $table order by n")],
            [map { $_->[0] } @{ $pg->dbh->selectall_arrayref("select n from $table order by n") }], "$table: all rows");
    } else {
        is($pipeline->wait_exit('apply', 30), 100, "$table: or a stop");
    }
    $pipeline->kill_all;
    $pg->drop_slot('cdc_slot');
}

# Keys whose operators are an extension's: no part of such a table is left out, and none is an error.
my @extensions = grep { $pg->value('select count(*) from pg_available_extensions where name = ?', $_) } qw(citext ltree);
for my $type (@extensions) {
    $pg->do("create extension $type", "create table of_$type (b $type primary key, n int)",
        "insert into of_$type select (case when g % 2 = 0 then 'a' else 'A' end || g)::$type, g from generate_series(1, 200) g",
        'drop publication if exists cdc_pub', "create publication cdc_pub for table of_$type");
    my $target = new_target();
    my $pipeline = Pg2any::Pipeline->new(pg => $pg, target => $target, args => { capture => ['--copy', 'initial', '--copy-chunk', '1kB'] });
    $pipeline->start;
    $pipeline->wait_copied(["of_$type"]);
    $pg->do("update of_$type set n = n + 1");
    $pipeline->wait_caught_up;
    is_deeply([map { $_->[0] } $target->rows("select n from of_$type order by n")], [2 .. 201], "$type: all rows");
    $pipeline->kill_all;
    $pg->drop_slot('cdc_slot');
}

done_testing;

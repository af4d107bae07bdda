# Rows are found at the target by what PostgreSQL calls the replica identity. Each kind of it, with
# keys that change, values that are not sent, and rows that are equal to others.
# needs: postgres, any target

use Pg2any::Test;

my ($pg, $target, $pipeline) = new_pair(publication => 'for all tables');
my %odd = $target->odd_values;

# Statements in one transaction, then both sides must be equal.
sub in_one_transaction {
    my ($tables, $name, @sql) = @_;
    $pg->do(join ';', 'begin', @sql, 'commit');
    $pipeline->wait_caught_up;
    return same_content($pg, $target, $tables, $name);
}

sub one_by_one {
    my ($tables, $name, @sql) = @_;
    $pg->do(@sql);
    $pipeline->wait_caught_up;
    return same_content($pg, $target, $tables, $name);
}

# A value that PostgreSQL keeps out of line, and so does not send when it was not touched.
my $toast = q{(select string_agg(md5((%s)::text || g::text), '') from generate_series(1, 300) g)};
sub toast { return sprintf $toast, $_[0] }

# ---- default: the primary key ----

$pg->do('create table d (id int primary key, v text, n int)');
one_by_one(
    ['d'],
    'default: inserts',
    q{insert into d select g, 'v' || g, g from generate_series(20, 1, -1) g});
one_by_one(
    ['d'],
    'no old tuple on an update means: take the key from the new one (trap 22)',
    q{update d set v = upper(v) where id % 2 = 0},
    q{update d set v = null, n = n + 1 where id < 5});
one_by_one(['d'], 'default: an update that changes nothing', q{update d set v = v where id = 7});
one_by_one(
    ['d'],
    'default: a key update touches other columns too',
    q{update d set id = id + 100, v = 'moved', n = -n where id in (3, 4)});
in_one_transaction(
    ['d'],
    'default: two keys swapped by way of a third value',
    'update d set id = -1 where id = 1',
    'update d set id = 1 where id = 2',
    'update d set id = 2 where id = -1');
# The rows lie in descending order, so that no key is taken twice on the way.
one_by_one(
    ['d'],
    'default: all keys move by one, each to where the one before it was',
    q{update d set id = id + 1 where id between 5 and 20});
in_one_transaction(
    ['d'],
    'default: keys in a chain 5 -> 4, 6 -> 5, 7 -> 6 in one transaction',
    'delete from d where id = 4',
    map {"update d set id = @{[$_ - 1]} where id = $_"} 5 .. 9);
in_one_transaction(
    ['d'],
    'the same row several times in one transaction',
    q{insert into d values (500, 'a', 0)},
    (q{update d set n = n + 1 where id = 500}) x 5,
    q{update d set id = 501, v = 'b' where id = 500},
    q{update d set n = n * 2 where id = 501},
    q{delete from d where id = 501},
    q{insert into d values (501, 'again', 1)},
    q{update d set id = 500 where id = 501},
    q{insert into d values (501, 'other', 2)});
in_one_transaction(
    ['d'],
    'a row that comes and goes in one transaction leaves nothing',
    q{insert into d values (600, 'x', 1)},
    q{update d set id = 601 where id = 600},
    q{delete from d where id = 601});
in_one_transaction(
    ['d'],
    'a key is freed by a delete and taken by an insert',
    (map { ("delete from d where id = 10", "insert into d values (10, 'round $_', $_)") } 1 .. 4));
in_one_transaction(
    ['d'],
    'a key is freed by an update and taken by an insert, many times',
    (   map { ("update d set id = 700 + $_ where id = 10", "insert into d values (10, 'n', $_)") }
            1 .. 4
    ));

# ---- keys of all kinds ----

$pg->do(
    'create table k_pair (a int, b text, v int, primary key (b, a))',
    'create table k_text (k text primary key, v int)',
    'create table k_char (k char(5) primary key, v int)',
    'create table k_uuid (k uuid primary key, v int)',
    'create table k_big (k bigint primary key, v int)',
    'create table k_numeric (k numeric primary key, v int)',
    'create table k_price (k numeric(15, 2) primary key, v int)',
    'create table k_bytes (k bytea primary key, v int)',
    'create table k_time (k timestamptz primary key, v int)',
    'create table k_float (k float8 primary key, v int)',
    'create table k_bool (k bool primary key, v int)',
    'create table k_array (k int[] primary key, v int)',
    'create table k_last (v text, w text, k int primary key)',
    'create table k_included (k int, v int, w int, primary key (k) include (v))',);
one_by_one(
    ['k_pair'],
    'a composite key, in another order than its columns',
    q{insert into k_pair select a, b, 0 from generate_series(1, 3) a, unnest('{x,y,z}'::text[]) b},
    q{update k_pair set v = v + 1 where a = 2},
    q{update k_pair set a = 12 where a = 1 and b = 'x'},
    q{update k_pair set b = 'w' where a = 3 and b <> 'x'  and b <> 'y'},
    q{update k_pair set a = 7, b = 'q' where a = 2 and b = 'y'},
    q{delete from k_pair where b = 'x'});
one_by_one(
    ['k_text'], 'text keys that differ in case, blanks or accents only are different rows',
    qq{insert into k_text select k, 0 from unnest(array['a', 'A', '$odd{trailing}', ' a', 'á',
        E'a\\u0301', '', '$odd{blank}',
      'ß', 'ss', 'ẞ', '0', '00', '1', '01', '1.0', '1e0', 'NULL', 'null', E'\\n', E'\\r\\n', '😀',
      E'\\u200b', 'ｱ', 'ア']) k},
    (   map {"update k_text set v = v + 1 where k = $_"} q{'a'},
        "'$odd{trailing}'", q{''}, q{'á'}, q{'01'}, q{'1.0'}
    ),
    q{update k_text set k = 'b' where k = 'A'},
    q{update k_text set k = 'A' where k = 'a'},
    qq{delete from k_text where k in ('$odd{trailing}', 'ss', '00', '😀')});
one_by_one(
    ['k_char'],
    'char(n) keys keep their trailing blanks',
    q{insert into k_char values ('a', 1), ('A', 2), ('', 3), (' a', 4), ('abcde', 5)},
    q{update k_char set v = v + 10},
    q{update k_char set k = 'b' where k = 'a'},
    q{delete from k_char where k = ''});
one_by_one(
    ['k_uuid'],
    'uuid keys',
    q{insert into k_uuid select md5(g::text)::uuid, g from generate_series(1, 20) g},
    q{update k_uuid set v = -v where v % 2 = 0},
    q{update k_uuid set k = md5('x' || v)::uuid where v % 3 = 0},
    q{delete from k_uuid where v > 15});
one_by_one(
    ['k_big'], 'bigint keys at their limits',
    q{insert into k_big select k, 0 from unnest(array[-9223372036854775808, -9223372036854775807,
        -1, 0, 1,
      9007199254740993, 9007199254740992, 9223372036854775806, 9223372036854775807]) k},
    q{update k_big set v = 1 where k in (9223372036854775807, -9223372036854775808,
        9007199254740993)},
    q{update k_big set k = 9223372036854775805 where k = 9223372036854775806},
    q{delete from k_big where k in (9007199254740992, -9223372036854775807)});
one_by_one(
    ['k_numeric'], 'numeric keys without a scale keep every digit',
    q{insert into k_numeric values (1.0, 1), (12345678901234567890.1234567890, 2),
        (12345678901234567890.1234567891, 3),
      (-0.000000000000000000001, 4), (9.5, 5), (10, 6), ('NaN', 7)},
    q{update k_numeric set v = v + 10}, q{update k_numeric set k = 1.00 where k = 1.0},
    q{update k_numeric set v = 99 where k = 1},
    q{delete from k_numeric where k > 12345678901234567890.12345678905 and k <> 'NaN'});
one_by_one(
    ['k_price'],
    'numeric keys with 15 digits',
    q{insert into k_price values (9999999999999.99, 1), (9999999999999.98, 2), (0.10, 3), (-0.01,
        4), (100, 5)},
    q{update k_price set v = v + 10},
    q{update k_price set k = 9999999999999.97 where v = 11},
    q{delete from k_price where k = 9999999999999.98});
one_by_one(
    ['k_bytes'],
    'bytea keys',
    q{insert into k_bytes select decode(lpad(to_hex(g), 2, '0') || '00', 'hex'), g
        from generate_series(0, 255) g},
    qq{insert into k_bytes values ('$odd{no_bytes}', -1), ('$odd{zero}', -2), ('\\x0000ff', -3)},
    q{update k_bytes set v = v + 1000 where v % 7 = 0},
    q{update k_bytes set k = k || '\x00' where v % 11 = 0},
    q{delete from k_bytes where v between 20 and 30});
one_by_one(
    ['k_time'], 'timestamptz keys',
    qq{insert into k_time values ('2024-02-29 12:00+01', 1), ('$odd{latest}', 2),
      ('$odd{earliest}', 3), ('$odd{ancient}', 4), ('$odd{far}', 5),
      ('2024-01-01 00:00:00.5Z', 6)},
    q{update k_time set v = v + 10},
    q{update k_time set k = k + interval '1 us' where v in (11, 14)},
    qq{delete from k_time where k = '$odd{earliest}'});
one_by_one(
    ['k_float'], 'float keys',
    qq{insert into k_float values (0.1, 1), (1e300, 2), (5e-324, 3), ('$odd{largest}', 4),
      ('$odd{smallest}', 5),
      (0.30000000000000004, 6), (0.3, 7), (-1.7976931348623157e308, 8)},
    q{update k_float set v = v + 10}, q{update k_float set k = k * 3 where v = 11 and false},
    q{update k_float set k = 0.1::float8 + 0.2::float8 + 1 where v = 16},
    q{delete from k_float where k = 0.3 or k = 5e-324});
one_by_one(
    ['k_bool', 'k_array'],
    'bool and array keys',
    q{insert into k_bool values (true, 1), (false, 2)},
    q{update k_bool set v = 3 where k},
    q{delete from k_bool where not k},
    q{update k_bool set k = false},
    q{insert into k_array values ('{}', 1), ('{1,2}', 2), ('{NULL}', 3), ('{{1},{2}}', 4)},
    q{update k_array set v = v + 10},
    q{update k_array set k = k || 5 where v = 12},
    q{delete from k_array where k = '{}'});
one_by_one(
    ['k_last', 'k_included'],
    'a key behind other columns, and one with INCLUDE',
    q{insert into k_last values ('a', 'b', 1), (null, 'c', 2), ('d', null, 3)},
    q{update k_last set w = 'x'},
    q{update k_last set k = k + 10 where k < 3},
    q{delete from k_last where k = 3},
    q{insert into k_included values (1, 2, 3), (2, 2, 3)},
    q{update k_included set v = 9, w = 8 where k = 1},
    q{update k_included set k = 5 where k = 2},
    q{delete from k_included where k = 1});

# ---- full ----

$pg->do(
    'create table f_key (v text, id int primary key, n int)',
    'alter table f_key replica identity full',
    'create table f_none (a int, b text, c float8, d numeric(10, 2), e bytea, f timestamptz,
        g bool)',
    'alter table f_none replica identity full',
    'create table f_deferred (id int, v text, primary key (id) deferrable initially deferred)',
    'alter table f_deferred replica identity full',
    'create table f_rowid (rowid int, _rowid_ text, n int)',
    'alter table f_rowid replica identity full',);
one_by_one(
    ['f_key'],
    'full marks every column as key, the primary key is what finds the row (trap 19)',
    q{insert into f_key select 'v' || g, g, g from generate_series(30, 1, -1) g},
    q{update f_key set v = null where id % 3 = 0},
    q{update f_key set v = 'back' where v is null and id < 10},
    q{update f_key set id = id + 1 where id > 20},
    q{update f_key set id = id + 1000, v = 'moved' where id in (2, 3)},
    q{delete from f_key where id between 10 and 15});
is_deeply([$target->primary_key('f_key')], ['id'], 'full: the table has the real primary key (trap 19)');
in_one_transaction(
    ['f_key'],
    'full: two keys swapped by way of a third value',
    'update f_key set id = -1 where id = 4',
    'update f_key set id = 4 where id = 5',
    'update f_key set id = 5 where id = -1');

my $row = q{(1, 'x', 0.1, 1.50, '\x00ff', '2024-01-01 00:00+00', true)};
my $nulls = q{(null, null, null, null, null, null, null)};
one_by_one(
    ['f_none'],
    'full without a key: equal rows arrive all',
    "insert into f_none values @{[join ',', ($row) x 5, ($nulls) x 3]}, (2, '', 0, 0, '',
        '$odd{latest}', false)"
);
is($target->value('select count(*) from f_none'), 9, 'nine rows');
one_by_one(
    ['f_none'],
    'full without a key: an update touches exactly one of several equal rows (trap 23)',
    q{update f_none set b = 'one' where ctid = (select min(ctid) from f_none where b = 'x')});
one_by_one(
    ['f_none'],
    'full without a key: a delete touches exactly one of several equal rows (trap 23)',
    q{delete from f_none where ctid = (select max(ctid) from f_none where b = 'x')});
one_by_one(
    ['f_none'],
    'full without a key: NULLs are equal to NULLs (trap 23)',
    q{update f_none set a = 7 where ctid = (select min(ctid) from f_none where a is null)},
    q{delete from f_none where ctid = (select max(ctid) from f_none where a is null)});
is($target->value('select count(*) from f_none where a is null'), 1, 'one row of NULLs is left');
one_by_one(
    ['f_none'],
    'full without a key: a partly NULL row is not an equal one',
    q{insert into f_none (a, b) values (7, null), (7, ''), (null, '')},
    q{update f_none set c = 1.5 where b = '' and a is null},
    q{delete from f_none where a = 7 and b is null and c is null});
in_one_transaction(
    ['f_none'],
    'full without a key: the same row several times',
    q{insert into f_none values (50, 'p', 1)},
    q{insert into f_none values (50, 'p', 1)},
    q{update f_none set c = c + 1 where a = 50},
    q{update f_none set c = c + 1 where a = 50},
    q{delete from f_none where ctid = (select min(ctid) from f_none where a = 50)});
one_by_one(
    ['f_none'],
    'full without a key: an update that changes nothing',
    q{update f_none set a = a});

one_by_one(
    ['f_deferred'],
    'a deferrable primary key identifies nothing: all columns do',
    q{insert into f_deferred values (1, 'a'), (2, 'b'), (3, 'c')},
    q{update f_deferred set id = 4 - id},
    q{update f_deferred set id = id + 1},
    q{delete from f_deferred where id = 3});
one_by_one(
    ['f_rowid'],
    'full without a key, with columns called rowid and _rowid_',
    q{insert into f_rowid values (1, 'a', 0), (1, 'a', 0), (2, null, 0), (null, null, null)},
    q{update f_rowid set n = 1 where ctid = (select min(ctid) from f_rowid where rowid = 1)},
    q{delete from f_rowid where ctid = (select min(ctid) from f_rowid where rowid = 2)},
    q{delete from f_rowid where rowid is null});

# ---- index ----

$pg->do(
    'create table i_only (a int not null, b text not null, v text)',
    'create unique index i_only_u on i_only (b, a)',
    'alter table i_only replica identity using index i_only_u',
    'create table i_and_key (id int primary key, code text not null, v text)',
    'create unique index i_and_key_u on i_and_key (code)',
    'alter table i_and_key replica identity using index i_and_key_u',);
one_by_one(
    ['i_only'],
    'using index: keys change, singly and both',
    q{insert into i_only select g, 'b' || g, 'v' from generate_series(1, 12) g},
    q{update i_only set v = v || a},
    q{update i_only set a = a + 100 where a < 4},
    q{update i_only set b = 'z' || b where a between 4 and 6},
    q{update i_only set a = -a, b = 'neg', v = null where a = 8},
    q{delete from i_only where a > 10 and a < 100});
one_by_one(
    ['i_and_key'],
    'using index beside a primary key: either changes, or both',
    q{insert into i_and_key select g, 'c' || g, 'v' from generate_series(1, 12) g},
    q{update i_and_key set v = id},
    q{update i_and_key set id = id + 100 where id < 4},
    q{update i_and_key set code = 'z' || code where id between 4 and 6},
    q{update i_and_key set id = id + 50, code = code || '!' where id in (7, 8)},
    q{delete from i_and_key where id in (9, 101)});

# ---- nothing ----

$pg->do(
    'create table n_default (a int, b text)',
    'create table n_nothing (id int primary key, b text)',
    'alter table n_nothing replica identity nothing');
one_by_one(
    ['n_default', 'n_nothing'],
    'no identity: inserts arrive, equal ones too',
    q{insert into n_default values (1, 'x'), (1, 'x'), (null, null), (null, null)},
    q{insert into n_nothing values (1, 'x'), (2, null)});
ok( !eval { $pg->do('update n_default set b = 1'); 1 },
    'no identity: PostgreSQL itself refuses updates');

# ---- the identity changes while rows flow ----

$pg->do('create table switching (id int primary key, code int not null, v text)',
    'create unique index switching_u on switching (code)');
$pg->do(q{insert into switching select g, 100 + g, 'v' from generate_series(1, 10) g});
for my $kind ('full', 'using index switching_u', 'default', 'full', 'default') {
    one_by_one(
        ['switching'],
        "the replica identity becomes $kind (trap 32)",
        "alter table switching replica identity $kind",
        q{update switching set v = v || 'x' where id % 2 = 0},
        q{update switching set id = id + 1000 where id = (select min(id) from switching)},
        q{update switching set code = code + 1000 where code = (select min(code) from switching)},
        q{delete from switching where id = (select max(id) from switching where id < 1000)});
}
in_one_transaction(
    ['switching'],
    'the replica identity changes within a transaction',
    q{update switching set v = '1'},
    'alter table switching replica identity full',
    q{update switching set v = '2', id = id + 5000},
    'alter table switching replica identity default',
    q{update switching set v = '3', code = code + 5000});

# The index that the target's rows were found by does not keep its columns.
$pg->do('create table past (id int primary key, a int not null, b int not null, v text)',
    'create unique index past_u on past (b, a)', 'alter table past replica identity using index past_u');
one_by_one(['past'], 'using index of two columns',
    q{insert into past select g, g, g, 'v' from generate_series(1, 10) g}, 'update past set a = 20 where id = 2');
one_by_one(['past'], 'columns of an identity of before are dropped, one and the other',
    'alter table past replica identity default', q{update past set v = 'x' where id = 3},
    'alter table past drop column a', q{update past set v = 'y' where id = 4},
    'alter table past drop column b', q{update past set v = 'z' where id = 5});
$pg->do('create table past_both (id int primary key, a int not null, b int not null, v text)',
    'create unique index past_both_u on past_both (b, a)', 'alter table past_both replica identity using index past_both_u');
one_by_one(['past_both'], 'columns of an identity of before are dropped at once',
    q{insert into past_both select g, g, g, 'v' from generate_series(1, 10) g}, 'alter table past_both replica identity default',
    'alter table past_both drop column a, drop column b', q{update past_both set v = 'y' where id = 4});

# ---- TOAST ----

$pg->do(
    (   map {
            (   "create table $_ (id int primary key, small int, big text, big2 text)",
                "alter table $_ alter big set storage external, alter big2 set storage external")
        } qw(t_default t_full t_index)
    ),
    'alter table t_full replica identity full',
    'create unique index t_index_u on t_index (small)',
    'alter table t_index alter small set not null',
    'alter table t_index replica identity using index t_index_u',
    'create table t_none (small int, big text)',
    'alter table t_none alter big set storage external',
    'alter table t_none replica identity full',
    'create table t_key (k text primary key, v int, other text) with (toast_tuple_target = 128)',
    'alter table t_key alter k set storage external, alter other set storage external',
    'create table t_full_key (k text primary key, v int, other text) with (toast_tuple_target = 128)',
    'alter table t_full_key alter k set storage external, alter other set storage external',
    'alter table t_full_key replica identity full',
    'create table t_bytes (id int primary key, v int, big bytea)',
    'alter table t_bytes alter big set storage external',
    'create table t_all (id int primary key, big text)',
    'alter table t_all alter big set storage external',);
my @toasted = qw(t_default t_full t_index);
one_by_one(
    \@toasted,
    'values kept out of line arrive',
    map {
        "insert into $_ select g, g, @{[toast('g')]}, @{[toast('-g')]} from generate_series(1, 8) g"
    } @toasted);
for my $kind (@toasted) {
    (my $identity = $kind) =~ s/t_//;
    my $trap =
        $identity eq 'full' ? 'is sent in the old tuple only (trap 20)' : 'is not sent and stays';
    one_by_one(
        [$kind],
        "$identity: an unchanged out-of-line value $trap",
        "update $kind set small = -small where id <= 4");
    one_by_one(
        [$kind],
        "$identity: one of two out-of-line values changes",
        "update $kind set big = @{[toast('id + 100')]} where id = 1",
        "update $kind set big2 = 'short now' where id = 2",
        "update $kind set big = null, small = small + 50 where id = 3");
    one_by_one(
        [$kind],
        "$identity: a key update leaves the unsent value in its row (trap 21)",
        "update $kind set id = id + 100 where id in (4, 5)",
        "update $kind set small = small + 1000 where id in (6, 104)",
        "update $kind set id = id + 100, small = small + 2000, big2 = 'both' where id = 7");
    in_one_transaction(
        [$kind],
        "$identity: an out-of-line value in the same transaction, inserted and moved",
        "insert into $kind values (50, 9050, @{[toast('50')]}, 'x')",
        "update $kind set small = 9051 where id = 50",
        "update $kind set id = 51 where id = 50",
        "update $kind set big2 = @{[toast('51')]} where id = 51",
        "update $kind set small = 9052, id = 52 where id = 51");
    one_by_one(
        [$kind],
        "$identity: a delete of a row with out-of-line values",
        "delete from $kind where id in (8, 105)");
}
one_by_one(
    ['t_none'],
    'full without a key: rows are compared by their out-of-line values too',
    "insert into t_none select 1, @{[toast('g % 3')]} from generate_series(1, 6) g",
    'update t_none set small = 2 where ctid = (select min(ctid) from t_none)',
    'delete from t_none where ctid = (select max(ctid) from t_none)',
    q{update t_none set small = 3 where ctid = (select max(ctid) from t_none)});
# Longer ones are no key in MySQL.
for my $kind ('t_key', 't_full_key') {
    one_by_one(
        [$kind],
        "$kind: a key kept out of line finds its row when it was not changed (trap 21)",
        "insert into $kind select repeat(md5(g::text), 20), g, @{[toast('g')]}
            from generate_series(1, 4) g",
        "update $kind set v = v + 100 where v <= 2",
        "update $kind set k = repeat('k', 700) where v = 3",
        "update $kind set k = 'short', v = 9 where v = 4",
        "update $kind set v = v + 1 where k = repeat('k', 700)",
        "delete from $kind where v = 101");
}
one_by_one(
    ['t_bytes', 't_all'],
    'bytea out of line; an update of a row with nothing else than key and unsent value',
    q{insert into t_bytes select g, g, (select string_agg(sha256((g * 1000 + h)::text::bytea), '')
        from generate_series(1, 200) h) from generate_series(1, 3) g},
    'update t_bytes set v = v + 1',
    'update t_bytes set id = id + 10 where id = 2',
    "insert into t_all select g, @{[toast('g')]} from generate_series(1, 3) g",
    'update t_all set big = big',
    'update t_all set id = id + 10 where id = 2');

is_deeply($pipeline->stop, { capture => 0, assemble => 0, apply => 0 }, 'all leave with 0');

done_testing;

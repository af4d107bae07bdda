package Pg2any::Bench::Workloads;

# What the source is asked to do for tests/bench/bench, each all at once, as a backlog: the tables of all of
# them, and a function that loads so many units.

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(workload workload_names workload_tables workload_schema workload_begin);

# For servers that only receive, too.
my @SCHEMA = (
    'create table item (id bigint primary key, n bigint not null, word text)',
    'create table big (id bigint primary key, word text, price numeric(12,2), at timestamptz, flag bool)',
    'create table wide (id bigint primary key, word text)', 'alter table wide alter word set storage external',
    'create table account (aid int primary key, bid int, abalance int, filler char(84))',
    'create table teller (tid int primary key, bid int, tbalance int, filler char(84))',
    'create table branch (bid int primary key, bbalance int, filler char(88))',
    'create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))',
    'create table customer (id int primary key, name text, orders int, seen timestamptz)',
    'create table orders (id bigint primary key, customer int, note text, total numeric(12,2))',
    'create table line (orders bigint, line int, article text, price numeric(12,2), primary key (orders, line))',
    'create table stock (article text primary key, n int)',
    'create table payment (id bigint primary key, orders bigint, amount numeric(12,2), paid bool)',
    'create table event (id uuid primary key, at timestamptz, what jsonb)',
    'create table beat (id int primary key, n bigint)',
);
my @TABLES = map { /\Acreate table (\w+)/ ? $1 : () } @SCHEMA;

# What of the third order before is removed, or gets another key, is three tenths of the changes.
my $MIX = <<'SQL';
declare o bigint; begin for i in 1..%d loop
    o := nextval('order_ids');
    update customer set orders = orders + 1, seen = clock_timestamp() where id = 1 + o * 7919 %% 10000;
    insert into orders values (o, 1 + o * 7919 %% 10000, 'order ' || o, o / 100.0);
    insert into line values (o, 1, 'article ' || o %% 1000, 9.90), (o, 2, 'article ' || o * 31 %% 1000, 19.90);
    update stock set n = n - 1 where article = 'article ' || o * 31 %% 1000;
    insert into payment values (o, o, 29.80, false);
    insert into event values (md5(o::text)::uuid, clock_timestamp(), jsonb_build_object('order', o, 'what', 'made'));
    delete from line where orders = o - 1000 and line = 2;
    delete from event where id = md5((o - 1000)::text)::uuid;
    update payment set id = -id, paid = true where id = o - 1000;
    commit; end loop; end
SQL

# Rows that workloads find there: at least one of each table, so that every target has it.
my @BEGIN = (
    'create sequence ids start 200000', 'create sequence order_ids start 1001',
    q{insert into item select g, 0, 'word ' || g from generate_series(1, 100000) g},
    q{insert into account select g, 1 + g % 10, 0, '' from generate_series(1, 100000) g},
    q{insert into teller select g, 1 + g % 10, 0, '' from generate_series(1, 100) g},
    q{insert into branch select g, 0, '' from generate_series(1, 10) g},
    q{insert into customer select g, 'name ' || g, 0, now() from generate_series(1, 10000) g},
    q{insert into stock select 'article ' || g, 1000000 from generate_series(0, 999) g},
    q{insert into line select g, l, 'article ' || g % 1000, 9.90 from generate_series(1, 1000) g, generate_series(1, 2) l},
    q{insert into payment select g, g, 29.80, false from generate_series(1, 1000) g},
    q{insert into event select md5(g::text)::uuid, now(), '{}' from generate_series(1, 1000) g},
    q{insert into history values (1, 1, 1, 0, now(), '')}, q{insert into orders values (0, 1, 'order 0', 0)},
    q{insert into big values (0, 'first', 0, now(), true)}, q{insert into wide values (0, 'first')},
    q{insert into beat select g, 0 from generate_series(1, 8) g},
);

# In this order: what, the unit that is counted, how many at a scale of 1, and what loads so many. A
# transaction a turn, where there is a loop.
my @WORKLOADS = (
    { name => 'tiny', what => 'transactions of an update and an insert into one table', unit => 'transactions', count => 20_000,
        load => sub { block("begin for i in 1..$_[0] loop
            update item set n = n + 1 where id = 1 + i % 1000;
            insert into item select 1000000 + nextval('ids'), 0, 'new';
            commit; end loop; end") } },
    { name => 'tpcb', what => "pgbench's transactions: three updates and an insert, four tables", unit => 'transactions',
        count => 16_000,
        load => sub { block("declare t int; begin for i in 1..$_[0] loop t := 1 + i * 31 % 100;
            update account set abalance = abalance + 7 where aid = 1 + i * 7919 % 100000;
            update teller set tbalance = tbalance + 7 where tid = t;
            update branch set bbalance = bbalance + 7 where bid = 1 + t % 10;
            insert into history values (t, 1 + t % 10, 1 + i * 7919 % 100000, 7, clock_timestamp(), '');
            commit; end loop; end") } },
    { name => 'big', what => 'one transaction of inserts of 140 bytes', unit => 'rows', count => 400_000,
        load => sub { "insert into big select nextval('ids'), md5(g::text) || repeat('x', 60), g / 100.0,
            timestamptz '2026-01-01' + g * interval '1 second', g % 2 = 0 from generate_series(1, $_[0]) g" } },
    { name => 'update', what => 'updates by key, ten a transaction, scattered', unit => 'rows', count => 100_000,
        load => sub { block('begin for i in 1..' . int($_[0] / 10) . ' loop
            update item set n = n + 1 where id between 1 + (i * 7919) % 99000 and 10 + (i * 7919) % 99000;
            commit; end loop; end') } },
    { name => 'wide', what => 'rows of 8 KB, a hundred a transaction', unit => 'rows', count => 20_000,
        load => sub { block("declare filler text := (select string_agg(md5(g::text), '') from generate_series(1, 250) g);
            begin for i in 1..@{[int $_[0] / 100]} loop
            insert into wide select nextval('ids'), md5(g::text) || filler from generate_series(1, 100) g;
            commit; end loop; end") } },
    { name => 'mix', what => 'ten changes of six tables a transaction, three of them deletes and changes of keys',
        unit => 'changes', count => 100_000, load => sub { block(sprintf $MIX, $_[0] / 10) } },
);

sub block { return "do \$\$ $_[0] \$\$" }

sub workload_names { return map { $_->{name} } @WORKLOADS }
sub workload { my ($name) = @_; return (grep { $_->{name} eq $name } @WORKLOADS)[0] // die "no workload $name\n" }
sub workload_tables { return @TABLES }
sub workload_schema { return @SCHEMA }
sub workload_begin { return @BEGIN }

1;

# The witness that `make check-chaos` relies on sees what is wrong: a transaction that is there in part, a gap, a
# sum, a checkpoint or its time that goes back.
# needs: nothing

use Pg2any::Ledger;
use Pg2any::Test;
use Pg2any::Witness;

# No server: what the slot has confirmed is not known then.
{
    package Nobody;
    sub port { return Pg2any::Postgres::free_port() }
}

# A target that has three transactions, the checkpoint after them, and a witness that has looked at it.
sub witnessed {
    my $target = new_target(kind => 'sqlite');
    my $dbh = $target->make;
    $dbh->do($_) for (map { s/bigserial/integer/r } Pg2any::Ledger::schema()),
        'create table pg2any_checkpoint (origin text, remote_lsn text, commit_time text)',
        q{insert into pg2any_checkpoint values ('cdc_slot', '0/20', '2026-01-02 00:00:00.5+00:00')},
        'insert into tally values (1, 3, 2, 1, 2)', q{insert into posted values (1, ''), (2, ''), (3, '')},
        'insert into detail (n, part) select n, p.column1 from posted, (values (1), (2), (3)) p',
        'with recursive g(i) as (select 1 union all select i + 1 from g where i < 20) insert into money select i, 0 from g',
        q{insert into bulk values (1, 1, ''), (1, 2, '')}, 'insert into wide (n) values (0)',
        q{with recursive g(i) as (select 1 union all select i + 1 from g where i < 5)
            insert into toasted select i, i % 3, printf('%.9600c', 'x') from g};
    my $witness = Pg2any::Witness->new('it', $target, 'Nobody');
    wait_for(sub { $witness->check; $witness->seen->{looks} > 1 }, 60, 'the witness to look');
    is($witness->seen->{n}, 3, 'it has seen three transactions');
    return ($dbh, $witness);
}

for my $case (
    ['update tally set n = 4', qr/from \{posted\}: \(3 3\), and transaction 4 left \(4 4\)/],
    ['delete from detail where n = 2 and part = 2', qr/from \{detail\}: \(8 16\)/],
    [q{update posted set n = 4 where n = 2}, qr/from \{posted\}: \(3 4\)/],
    ['update money set amount = 1 where id = 1', qr/from \{money\}: \(20 1\)/],
    ['delete from bulk', qr/from \{bulk\}: \(0\)/],
    ['insert into wide (n) values (0)', qr/from \{wide\}: \(2\)/],
    ['update toasted set value = null where id = 1', qr/from \{toasted\}: \(2 38400\)/],
    [q{update pg2any_checkpoint set remote_lsn = '0/1F'}, qr/lsn goes back/],
    [q{update pg2any_checkpoint set commit_time = '2026-01-02 00:00:00.4+00:00'}, qr/time goes back/],
) {
    my ($change, $like) = @$case;
    my ($dbh, $witness) = witnessed();
    $dbh->do($change);
    ok(!eval { wait_for(sub { $witness->check; 0 }, 60, 'the witness to see it') }, $change);
    like($@, $like, 'it is seen and said');
}

done_testing;

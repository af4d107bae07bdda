package Pg2any::Kill;

# kill -9 of the target's server, of the applier, of both, and of pg-capture, again and again, under a
# mixed load. The test plays the supervisor. In the end the target equals the source, so nothing was
# lost and nothing applied twice.
#
# PG2ANY_KILLS: how many times (12). PG2ANY_SEED: chooses what, the moments and the load.

use strict;
use warnings;
use Exporter qw(import);
use Pg2any::Load;
use Pg2any::Test;

our @EXPORT_OK = qw(kill_again_and_again);

# With a target of this kind on this server, which has kill9() and start().
sub kill_again_and_again {
    my ($kind, $server) = @_;
    my $kills = $ENV{PG2ANY_KILLS} // 12;
    my $seed  = $ENV{PG2ANY_SEED}  // int rand 1_000_000;
    diag("PG2ANY_SEED=$seed PG2ANY_KILLS=$kills");
    srand $seed;

    my ($pg, $target, $pipeline) = new_pair(
        target   => new_target(kind => $kind, server => $server),
        settings => {logical_decoding_work_mem => '64kB'},
        sql      => [Pg2any::Load::schema()],
        args     => {assemble => ['--memory-limit', '256kB'], apply => ['--connect-timeout', '20s']},
    );
    my @writers = Pg2any::Load::start($pg, writers => 3, seed => $seed, pause => 0.02);
    $pipeline->wait_caught_up;

    # The checkpoint moves on, whatever has to be started again for it.
    my $progress = sub {
        my $before = ($target->checkpoint // {remote_lsn => ''})->{remote_lsn};
        return $pipeline->wait_while_running(
            sub {
                my $checkpoint = $target->checkpoint or return 0;
                return $checkpoint->{remote_lsn} ne $before;
            },
            180,
            'progress at the target',
            tend => 1
        );
    };

    my %killed;
    for my $n (1 .. $kills) {
        Pg2any::Load::check(@writers);
        # Every third time while it is still at what was killed before, the others at work.
        $progress->() if $n % 3;
        let_pass(rand 0.4);
        my $what = (qw(server applier both capture))[rand 4];
        $killed{$what}++;
        if ($what eq 'server') {
            $server->kill9;
            let_pass(rand 1) if rand() < 0.5;
            $server->start;
            ok($progress->(), "kill -9 number $n: the server");
            next;
        }
        my $victim = $what eq 'capture' ? 'capture' : 'apply';
        $pipeline->signal($victim, 'KILL');
        if ($what eq 'both') {
            $server->kill9;
            $server->start;
        }
        my $statuses = $pipeline->wait_all(30);
        my $ended    = delete $statuses->{$victim};
        ok($ended eq 'SIGKILL' || $ended eq '111', "kill -9 number $n: $what");
        is_deeply([grep {$_ ne '111'} values %$statuses],
            [], 'and the others have left with 111, to be started again');
        $pipeline->start;
    }
    note(join ', ',                                 map {"$_: $killed{$_}"} sort keys %killed);
    note('restarts because the applier had left: ', $pipeline->restarts);

    Pg2any::Load::stop(@writers);
    $pipeline->wait_caught_up(600, tend => 1);
    same_content($pg, $target, [@Pg2any::Load::TABLES],
        "after $kills kills the target equals the source");
    cmp_ok(
        lsn_number($pg->slot('cdc_slot')->{confirmed_flush_lsn}),
        '<=',
        lsn_number($target->checkpoint->{remote_lsn}),
        'the slot is not ahead of the target'
    );
    is_deeply(
        $pipeline->stop,
        {capture => 0, assemble => 0, apply => 0},
        'asked to stop, all leave with 0'
    );
    return;
}

1;

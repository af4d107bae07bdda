# kill -9 of the MySQL server, of the applier, of both, and of pg-capture, under load, with durable commits.
# PG2ANY_KILLS and PG2ANY_SEED are those of Pg2any::Kill.
# needs: one postgres, mysql target

use Pg2any::Kill qw(kill_again_and_again);
use Pg2any::MySQL;
use Pg2any::Test;

kill_again_and_again('mysql', Pg2any::MySQL->new);

done_testing;

# kill -9 of the TDS peer that stands for SQL Server, of the applier, of both, and of pg-capture, under load, with durable commits.
# PG2ANY_KILLS and PG2ANY_SEED are those of Pg2any::Kill.
# needs: one postgres, mssql target

use Pg2any::Kill qw(kill_again_and_again);
use Pg2any::MSSQL;
use Pg2any::Test;

kill_again_and_again('mssql', Pg2any::MSSQL->new);

done_testing;

#!/bin/sh
# The source of compose.yaml: tables full of rows, a role for pg2any, a publication.
set -eu

pgbench -i -q -s 5 -U "$POSTGRES_USER" "$POSTGRES_DB"
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" "$POSTGRES_DB" <<'END'
ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CREATE ROLE cdc LOGIN REPLICATION PASSWORD 'cdc';
GRANT pg_read_all_data TO cdc;
CREATE PUBLICATION cdc_pub FOR ALL TABLES;
END

/*
 * pg-capture - reads a logical replication slot of PostgreSQL and writes one frame for each
 * message.
 */
#include <stddef.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/stats.h"
#include "base/std_fds.h"
#include "capture.h"
#include "capture_options.h"
#include "inspect.h"
#include "rows.h"

static const char *const streaming_words[] = {"off=false=no=0", "on=true=yes=1", "parallel", NULL};
static const char *const origin_words[] = {"any", "none", NULL};
static const char *const copy_words[] = {"initial", "never", "only", NULL};
static const char *const copy_indexes_words[] = {"none", "unique", "all", NULL};

#define FIELD(name) offsetof(struct capture_options, name)

static const struct option_def options[] = {
    {"source", OPTION_STRING, FIELD(source), "CDC_SOURCE_CONNECTION_STRING", NULL, "URI",
     "the database, as libpq's URI or key=value string; required", 0, 0, NULL},
    {"slot", OPTION_STRING, FIELD(slot), "CDC_REPLICATION_SLOT", "cdc_slot", "NAME",
     "replication slot; created if it does not exist", 0, 0, NULL},
    {"publication", OPTION_STRING, FIELD(publications), "CDC_PUBLICATION", "cdc_pub", "NAME,...",
     "publications, which must exist", 0, 0, NULL},
    {"protocol-version", OPTION_UINT, FIELD(protocol_version), "CDC_PROTOCOL_VERSION", NULL, "N",
     "version of pgoutput, 1 to 4 [the highest that the server has]", 1, 4, NULL},
    {"streaming", OPTION_CHOICE, FIELD(streaming), "CDC_STREAMING", NULL, "MODE",
     "receive large transactions before they commit: off, on or\n"
     "parallel (PostgreSQL 16) [on]",
     0, 0, streaming_words},
    {"binary", OPTION_FLAG, FIELD(binary), "CDC_BINARY_FORMAT", NULL, NULL,
     "receive values in binary; the output is the same", 0, 0, NULL},
    {"two-phase", OPTION_FLAG, FIELD(two_phase), "CDC_TWO_PHASE", NULL, NULL,
     "receive prepared transactions at PREPARE (PostgreSQL 15)", 0, 0, NULL},
    {"failover", OPTION_FLAG, FIELD(failover), "CDC_FAILOVER", NULL, NULL,
     "create the slot as a failover slot (PostgreSQL 17)", 0, 0, NULL},
    {"messages", OPTION_FLAG, FIELD(messages), "CDC_MESSAGES", NULL, NULL,
     "receive what pg_logical_emit_message() writes", 0, 0, NULL},
    {"pg-origin", OPTION_CHOICE, FIELD(origin), "CDC_PG_ORIGIN", "any", "WHICH",
     "any: all changes; none: those without an origin (PostgreSQL 16)", 0, 0, origin_words},
    {"copy", OPTION_CHOICE, FIELD(copy), "CDC_COPY", "initial", "MODE",
     "initial: copy tables that a target does not have; never;\n"
     "only: copy them and exit",
     0, 0, copy_words},
    {"copy-tables", OPTION_LIST, FIELD(copy_tables), "CDC_COPY_TABLES", NULL, "SCHEMA.TABLE,...",
     "copy only these, or SCHEMA.*; others get only changes [all]", 0, 0, NULL},
    {"copy-chunk", OPTION_ROWS, FIELD(copy_chunk), "CDC_COPY_CHUNK", "4MB", "ROWS|SIZE",
     "chunk of a table with a key, between which changes go on:\n"
     "50000 rows, or about 4MB",
     1024, UINT64_C(1) << 40, NULL},
    {"copy-indexes", OPTION_CHOICE, FIELD(copy_indexes), "CDC_COPY_INDEXES", "unique", "WHICH",
     "secondary indexes that a copied table gets: none, unique, all", 0, 0, copy_indexes_words},
    {"ack", OPTION_LIST, FIELD(acks), NULL, NULL, "FIFO",
     "create this FIFO and read durable LSNs from it. Repeat for\n"
     "each target; without it nothing is confirmed to the slot",
     0, 0, NULL},
    {"ack-apart", OPTION_LIST, FIELD(acks_apart), NULL, NULL, "FIFO",
     "the same for a target that does not get this stream: what it\n"
     "lacks is not confirmed",
     0, 0, NULL},
    {"slot-copy", OPTION_FLAG, FIELD(slot_copy), NULL, NULL, NULL,
     "read from the slot's position while another pg-capture uses it:\n"
     "confirm nothing, copy no table, write no LSN file",
     0, 0, NULL},
    {"until-lsn", OPTION_STRING, FIELD(until), NULL, NULL, "LSN",
     "exit when everything up to this LSN is written and\n"
     "acknowledged; current: the server's position at the start",
     0, 0, NULL},
    {"wal-budget", OPTION_SIZE, FIELD(wal_budget_bytes), "CDC_WAL_BUDGET", NULL, "SIZE",
     "warn when the slot keeps half of that much WAL at the server, or\n"
     "half of max_slot_wal_keep_size, whichever is less",
     1024, 0, NULL},
    {"status-interval", OPTION_DURATION, FIELD(status_interval_ms), "CDC_STATUS_INTERVAL", "10s",
     "TIME", "longest time between two status updates to the server", 100, 3600000, NULL},
    {"connect-timeout", OPTION_DURATION, FIELD(connect_timeout_ms), "CDC_CONNECTION_TIMEOUT", "30s",
     "TIME", "limit for opening a connection and for a catalog query", 100, 3600000, NULL},
    {"lsn-file", OPTION_STRING, FIELD(lsn_file), "CDC_LAST_LSN_FILE", NULL, "FILE",
     "file for the last confirmed LSN, for people and scripts", 0, 0, NULL},
    {"rows", OPTION_LIST, FIELD(rows), NULL, NULL, "SCHEMA.TABLE,...",
     "write the rows of these tables, or all, each in one snapshot,\n"
     "and exit; -: of the relids on stdin. Needs no slot",
     0, 0, NULL},
    {"rate", OPTION_SIZE, FIELD(rate), NULL, NULL, "SIZE",
     "with --rows: write at most this much per second [no limit]", 1024, UINT64_C(1) << 40, NULL},
    {"check", OPTION_FLAG, FIELD(check), NULL, NULL, NULL,
     "check the source, change nothing, and exit; the report is on\n"
     "stderr, a description of the tables on stdout",
     0, 0, NULL},
    {"status", OPTION_FLAG, FIELD(status), NULL, NULL, NULL,
     "print the state of the slot, and exit", 0, 0, NULL},
    {"json", OPTION_FLAG, FIELD(json), NULL, NULL, NULL, "with --status: print a JSON object", 0, 0,
     NULL},
    {"drop-slot", OPTION_FLAG, FIELD(drop_slot), NULL, NULL, NULL, "drop the slot, and exit", 0, 0,
     NULL},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

static const struct program program = {
    .name = "pg-capture",
    .synopsis = "--source URI [OPTION]...",
    .purpose =
        "Reads a logical replication slot of PostgreSQL (14 or later) and writes change frames to\n"
        "stdout, one for each message of pgoutput.",
    .examples =
        "  pg-capture --source 'postgresql://cdc@db.example/shop?sslmode=verify-full' --check\n"
        "  pg-capture --source 'host=/run/postgresql dbname=shop user=cdc' --slot shop --ack shop.ack |\n"
        "      txn-assemble | apply-sqlite --dest shop.db --ack shop.ack\n"
        "  pg-capture --source postgresql:///shop --until-lsn current | frame-dump\n",
    .options = options,
};

typedef int (*mode)(const struct capture_options *options, struct err *err);

/* What is asked for; NULL: two things at once. */
static mode choose_mode(const struct capture_options *o, struct err *err)
{
    if (o->check + o->status + o->drop_slot + (o->rows.n > 0) > 1) {
        (void)err_set(err, ERR_PERMANENT,
                      "--check, --status, --rows and --drop-slot exclude each other");
        return NULL;
    }
    if (o->slot_copy && (o->acks.n > 0 || o->acks_apart.n > 0)) {
        (void)err_set(err, ERR_PERMANENT, "--slot-copy and --ack: nothing is confirmed");
        return NULL;
    }
    return o->rows.n > 0  ? rows_run
           : o->check     ? inspect_check
           : o->status    ? inspect_status
           : o->drop_slot ? inspect_drop_slot
                          : capture_run;
}

static int give_up(const struct capture_options *o, const struct err *err)
{
    stats_never_began(o->stage.stats, program.name, err);
    return exit_status(err);
}

int main(int argc, char **argv)
{
    std_fds_reserve();
    log_init("pg-capture");
    struct capture_options o = {.streaming = -1};
    struct err err = {0};
    switch (options_parse(&program, argc, argv, &o, &o.stage, &err)) {
    case OPTIONS_LEAVE:
        return STATUS_OK;
    case OPTIONS_ERROR:
        return give_up(&o, &err);
    case OPTIONS_RUN:
        break;
    }
    if (o.slot_copy)
        o.lsn_file = NULL; /* in it is what the slot has confirmed */
    if (o.copy == COPY_ONLY && !o.until)
        o.until = "current";
    mode run = choose_mode(&o, &err);
    return run ? run(&o, &err) : give_up(&o, &err);
}

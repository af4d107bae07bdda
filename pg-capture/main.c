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
     "replication slot; made if it does not exist", 0, 0, NULL},
    {"publication", OPTION_STRING, FIELD(publications), "CDC_PUBLICATION", "cdc_pub", "NAME,...",
     "publications, which must exist", 0, 0, NULL},
    {"protocol-version", OPTION_UINT, FIELD(protocol_version), "CDC_PROTOCOL_VERSION", NULL, "N",
     "of pgoutput, 1 to 4 [the highest the server has]", 1, 4, NULL},
    {"streaming", OPTION_CHOICE, FIELD(streaming), "CDC_STREAMING", NULL, "MODE",
     "send big transactions before they commit: off, on or\nparallel (PostgreSQL 16) [on]", 0, 0,
     streaming_words},
    {"binary", OPTION_FLAG, FIELD(binary), "CDC_BINARY_FORMAT", NULL, NULL,
     "receive values in binary; what is put out is the same", 0, 0, NULL},
    {"two-phase", OPTION_FLAG, FIELD(two_phase), "CDC_TWO_PHASE", NULL, NULL,
     "receive prepared transactions at PREPARE (PostgreSQL 15)", 0, 0, NULL},
    {"failover", OPTION_FLAG, FIELD(failover), "CDC_FAILOVER", NULL, NULL,
     "make the slot one that standbys keep, too (PostgreSQL 17)", 0, 0, NULL},
    {"messages", OPTION_FLAG, FIELD(messages), "CDC_MESSAGES", NULL, NULL,
     "receive what pg_logical_emit_message() writes", 0, 0, NULL},
    {"pg-origin", OPTION_CHOICE, FIELD(origin), "CDC_PG_ORIGIN", "any", "WHICH",
     "any: all changes; none: those without an origin (PostgreSQL 16)", 0, 0, origin_words},
    {"copy", OPTION_CHOICE, FIELD(copy), "CDC_COPY", "initial", "MODE",
     "initial: tables that a target does not have are copied; never;\n"
     "only: they are copied, and that is the end",
     0, 0, copy_words},
    {"copy-tables", OPTION_LIST, FIELD(copy_tables), "CDC_COPY_TABLES", NULL, "SCHEMA.TABLE,...",
     "copy these, or SCHEMA.*; of others only changes come [all]", 0, 0, NULL},
    {"copy-chunk", OPTION_ROWS, FIELD(copy_chunk), "CDC_COPY_CHUNK", "4MB", "ROWS|SIZE",
     "of a table with a key, before changes go on: 50000 rows, or\nabout 4MB", 1024,
     UINT64_C(1) << 40, NULL},
    {"copy-indexes", OPTION_CHOICE, FIELD(copy_indexes), "CDC_COPY_INDEXES", "unique", "WHICH",
     "of the secondary indexes a copied table gets: none, unique, all", 0, 0, copy_indexes_words},
    {"ack", OPTION_LIST, FIELD(acks), NULL, NULL, "FIFO",
     "made and read: LSNs that a target has made durable. Once for\n"
     "each target; without it nothing is confirmed to the slot",
     0, 0, NULL},
    {"ack-apart", OPTION_LIST, FIELD(acks_apart), NULL, NULL, "FIFO",
     "the same of a target that does not get this stream: nothing that it\n"
     "lacks is confirmed, and no more is asked of it",
     0, 0, NULL},
    {"slot-copy", OPTION_FLAG, FIELD(slot_copy), NULL, NULL, NULL,
     "read from where the slot stands, while another pg-capture uses it:\n"
     "nothing is confirmed, no table copied, no LSN file written",
     0, 0, NULL},
    {"until-lsn", OPTION_STRING, FIELD(until), NULL, NULL, "LSN",
     "leave when everything up to there is out and acknowledged; an\n"
     "LSN, or current: where the server is at the start",
     0, 0, NULL},
    {"wal-budget", OPTION_SIZE, FIELD(wal_budget_bytes), "CDC_WAL_BUDGET", NULL, "SIZE",
     "warn when the slot keeps half of that much WAL at the server, or\n"
     "half of max_slot_wal_keep_size, whichever is less",
     1024, 0, NULL},
    {"status-interval", OPTION_DURATION, FIELD(status_interval_ms), "CDC_STATUS_INTERVAL", "10s",
     "TIME", "at most between two status updates to the server", 100, 3600000, NULL},
    {"connect-timeout", OPTION_DURATION, FIELD(connect_timeout_ms), "CDC_CONNECTION_TIMEOUT", "30s",
     "TIME", "for opening a connection and for a query to the catalog", 100, 3600000, NULL},
    {"lsn-file", OPTION_STRING, FIELD(lsn_file), "CDC_LAST_LSN_FILE", NULL, "FILE",
     "where to write the last confirmed LSN, for people and scripts", 0, 0, NULL},
    {"rows", OPTION_LIST, FIELD(rows), NULL, NULL, "SCHEMA.TABLE,...",
     "write the rows of these tables, or all, each as one snapshot sees\n"
     "it, and leave; -: of those whose relids come on stdin. No slot",
     0, 0, NULL},
    {"rate", OPTION_SIZE, FIELD(rate), NULL, NULL, "SIZE",
     "of --rows: put out so much in a second at most [no limit]", 1024, UINT64_C(1) << 40, NULL},
    {"check", OPTION_FLAG, FIELD(check), NULL, NULL, NULL,
     "look whether everything is as it has to be, change nothing, leave;\n"
     "the report is on stderr, a description of the tables on stdout",
     0, 0, NULL},
    {"status", OPTION_FLAG, FIELD(status), NULL, NULL, NULL, "print how the slot is, and leave", 0,
     0, NULL},
    {"json", OPTION_FLAG, FIELD(json), NULL, NULL, NULL, "with --status: as a JSON object", 0, 0,
     NULL},
    {"drop-slot", OPTION_FLAG, FIELD(drop_slot), NULL, NULL, NULL, "drop the slot, and leave", 0, 0,
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

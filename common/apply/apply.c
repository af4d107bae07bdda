#include "apply/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apply/apply_group.h"
#include "apply/apply_inspect.h"
#include "apply/apply_stream.h"
#include "apply/compare.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/output.h"
#include "base/stats.h"
#include "base/version.h"
#include "frames/frame_reader.h"

#define LAST_ACK_MS 5000

struct apply_options {
    const char *dest;
    const char *schema_map;
    struct option_list skip_table;
    const char *origin;
    const char *ack;
    uint64_t group_transactions;
    uint64_t group_changes;
    uint64_t group_bytes;
    int order;
    int conflict;
    int refused;
    int ddl;
    int unknown;
    int nan;
    int infinity;
    int date_range;
    bool accept_gap;
    const char *quarantine_dir;
    uint64_t quarantine_size;
    uint64_t query_timeout_ms;
    uint64_t connect_timeout_ms;
    /* At most one: do that instead (apply_inspect.h). */
    bool check, status, drop_checkpoint, copy_anew, read_again;
    struct option_list copy_again, set_aside, resume, compare;
    struct option_list copies; /* of the first three */
    /* Of compare: */
    const char *ask, *keys;
    bool values, json, still;
    uint64_t wait_ms, sample, rate;
};

static const char *const order_words[] = {"planned", "strict", NULL};
static const char *const conflict_words[] = {"stop", "apply", "skip", "quarantine", NULL};
static const char *const refused_words[] = {"stop", "quarantine", NULL};
static const char *const ddl_words[] = {"none", "create", "evolve", NULL};
static const char *const unknown_words[] = {"copy", "stop", NULL};
static const char *const nan_words[] = {"stop", "null", NULL};
static const char *const beyond_words[] = {"stop", "null", "extreme", NULL};

#define FIELD(name) offsetof(struct apply_options, name)
static const struct option_def option_defs[] = {
    {"dest", OPTION_STRING, FIELD(dest), "CDC_DEST_URI", NULL, "URI", "the target", 0, 0, NULL},
    {"schema-map", OPTION_STRING, FIELD(schema_map), "CDC_SCHEMA_MAPPING", NULL, "A:B,C:D",
     "names of PostgreSQL's schemas at the target", 0, 0, NULL},
    {"skip-table", OPTION_LIST, FIELD(skip_table), "CDC_SKIP_TABLES", NULL, "SCHEMA.TABLE,...",
     "leave out changes of these tables (none: of no table)", 0, 0, NULL},
    {"origin", OPTION_STRING, FIELD(origin), "CDC_ORIGIN", NULL, "NAME",
     "name of the checkpoint [the slot's name]", 0, 0, NULL},
    {"ack", OPTION_STRING, FIELD(ack), NULL, NULL, "FIFO",
     "FIFO for durable LSNs; pg-capture --ack reads it", 0, 0, NULL},
    {"group-transactions", OPTION_UINT, FIELD(group_transactions), "CDC_GROUP_TRANSACTIONS", "5000",
     "N", "maximum of source transactions in one target commit", 1, 0, NULL},
    {"group-changes", OPTION_UINT, FIELD(group_changes), "CDC_BUFFER_SIZE", "50000", "N",
     "maximum of changes in one target commit, except for a larger\n"
     "transaction",
     1, 0, NULL},
    {"group-bytes", OPTION_SIZE, FIELD(group_bytes), "CDC_GROUP_BYTES", "8MB", "SIZE",
     "maximum of memory for transactions that are not applied yet", 65536, UINT64_C(1) << 40, NULL},
    {"order", OPTION_CHOICE, FIELD(order), "CDC_ORDER", "planned", "ORDER",
     "planned: group changes by table and merge those of a row, with\n"
     "the same result; strict: use the source's order",
     0, 0, order_words},
    {"conflict", OPTION_CHOICE, FIELD(conflict), "CDC_CONFLICT", "stop", "POLICY",
     "stop, apply, skip or quarantine (set the table aside): at\ninsert_exists, update_missing, "
     "delete_missing",
     0, 0, conflict_words},
    {"refused", OPTION_CHOICE, FIELD(refused), "CDC_REFUSED", "stop", "POLICY",
     "stop or quarantine (set the table aside): if the target refuses\n"
     "a row or a change of a table",
     0, 0, refused_words},
    {"quarantine-dir", OPTION_STRING, FIELD(quarantine_dir), "CDC_QUARANTINE_DIR", NULL, "DIR",
     "directory of this applier alone for the changes of tables that\n"
     "are set aside, to be replayed [not kept]",
     0, 0, NULL},
    {"quarantine-size", OPTION_SIZE, FIELD(quarantine_size), "CDC_QUARANTINE_SIZE", "64MB", "SIZE",
     "maximum kept for one table; beyond it only a copy helps", 4096, UINT64_C(1) << 40, NULL},
    {"ddl", OPTION_CHOICE, FIELD(ddl), "CDC_DDL", "evolve", "MODE",
     "none, create (missing tables) or evolve (columns too)", 0, 0, ddl_words},
    {"unknown", OPTION_CHOICE, FIELD(unknown), "CDC_UNKNOWN", "copy", "POLICY",
     "copy or stop: if it is unknown what the rows of a table hold,\n"
     "copy it again",
     0, 0, unknown_words},
    {"nan", OPTION_CHOICE, FIELD(nan), "CDC_NAN", "stop", "POLICY",
     "stop or null: NaN if the target's type has none", 0, 0, nan_words},
    {"infinity", OPTION_CHOICE, FIELD(infinity), "CDC_INFINITY", "stop", "POLICY",
     "stop, null or extreme (the largest or smallest value):\n"
     "infinity if the target's type has none",
     0, 0, beyond_words},
    {"date-range", OPTION_CHOICE, FIELD(date_range), "CDC_DATE_RANGE", "stop", "POLICY",
     "stop, null or extreme: dates and timestamps outside the\ntarget type's range", 0, 0,
     beyond_words},
    {"accept-gap", OPTION_FLAG, FIELD(accept_gap), "CDC_ACCEPT_GAP", NULL, NULL,
     "continue although changes between checkpoint and slot are lost", 0, 0, NULL},
    {"query-timeout", OPTION_DURATION, FIELD(query_timeout_ms), "CDC_QUERY_TIMEOUT", "10s", "TIME",
     "longest wait for the target in one operation", 1, 0, NULL},
    {"connect-timeout", OPTION_DURATION, FIELD(connect_timeout_ms), "CDC_CONNECTION_TIMEOUT", "30s",
     "TIME", "longest wait for a connection", 1, 0, NULL},
    {"check", OPTION_FLAG, FIELD(check), NULL, NULL, NULL,
     "check the target, change nothing, and exit; stdin is the\n"
     "description of the tables that pg-capture --check writes",
     0, 0, NULL},
    {"status", OPTION_FLAG, FIELD(status), NULL, NULL, NULL,
     "print the checkpoint of --origin, and exit", 0, 0, NULL},
    {"drop-checkpoint", OPTION_FLAG, FIELD(drop_checkpoint), NULL, NULL, NULL,
     "delete the checkpoint of --origin, and exit", 0, 0, NULL},
    {"copy-again", OPTION_LIST, FIELD(copy_again), NULL, NULL, "SCHEMA.TABLE,...",
     "request another copy of these tables of --origin, or all, and\n"
     "exit",
     0, 0, NULL},
    {"set-aside", OPTION_LIST, FIELD(set_aside), NULL, NULL, "SCHEMA.TABLE,...",
     "set these tables of --origin aside until --copy-again, and exit", 0, 0, NULL},
    {"resume", OPTION_LIST, FIELD(resume), NULL, NULL, "SCHEMA.TABLE,...",
     "bring back these tables of --origin, which are set aside, by\ntheir kept changes, and exit",
     0, 0, NULL},
    {"copies", OPTION_LIST, FIELD(copies), NULL, NULL, "SCHEMA.TABLE,...",
     "of --copy-again, --set-aside and --resume: the tables that\npg-capture copies (none: of no table) [all]",
     0, 0, NULL},
    {"copy-anew", OPTION_FLAG, FIELD(copy_anew), NULL, NULL, NULL,
     "request a copy of all tables, delete the checkpoint, and exit", 0, 0, NULL},
    {"read-again", OPTION_FLAG, FIELD(read_again), NULL, NULL, NULL,
     "request the rows whose keys are on stdin, as --compare --keys\n"
     "writes them, again, and exit",
     0, 0, NULL},
    {"compare", OPTION_LIST, FIELD(compare), NULL, NULL, "SCHEMA.TABLE,...",
     "compare these tables, or all, with the output of pg-capture\n"
     "--rows, and exit: 0 equal, 1 different",
     0, 0, NULL},
    {"ask", OPTION_STRING, FIELD(ask), NULL, NULL, "FIFO",
     "with --compare: FIFO to request tables from pg-capture --rows -", 0, 0, NULL},
    {"keys", OPTION_STRING, FIELD(keys), NULL, NULL, "FILE",
     "with --compare: file for all keys that differ", 0, 0, NULL},
    {"values", OPTION_FLAG, FIELD(values), NULL, NULL, NULL,
     "with --compare: show the values of rows that differ", 0, 0, NULL},
    {"json", OPTION_FLAG, FIELD(json), NULL, NULL, NULL,
     "with --compare: print an object for each table, on a line of its\n"
     "own; with --status: print one object",
     0, 0, NULL},
    {"still", OPTION_FLAG, FIELD(still), NULL, NULL, NULL,
     "with --compare: do not wait for the target, because nothing is\n"
     "written at the source and the target has everything",
     0, 0, NULL},
    {"wait", OPTION_DURATION, FIELD(wait_ms), NULL, "60s", "TIME",
     "with --compare: give up if the checkpoint does not move for that\n"
     "long",
     1, 0, NULL},
    {"sample", OPTION_UINT, FIELD(sample), NULL, "100", "N",
     "with --compare: compare only N percent of the keys", 1, 100, NULL},
    {"rate", OPTION_SIZE, FIELD(rate), NULL, NULL, "SIZE",
     "with --compare: read at most this much of the target per second\n"
     "[no limit]",
     1024, UINT64_C(1) << 40, NULL},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

struct apply {
    struct apply_options options;
    struct stage_options stage;
    struct schema_map schema_map;
    struct signals signals;
    struct frame_reader input;
    struct stats stats;
    uint64_t *queue_depth, *lag_ms, *tables_awaited, *tables_settling;
    uint64_t *tables_paused, *tables_refused, *quarantine_bytes;
    struct apply_group group;
    struct apply_stream stream;
};

/* Everything that is whole in the buffer. */
static int take_frames(struct apply *a, struct err *err)
{
    while (!a->stream.ended) {
        struct frame f;
        uint64_t at = a->input.offset;
        switch (frame_reader_next(&a->input, &f, err)) {
        case FRAME_READER_MORE:
            return 0;
        case FRAME_READER_ERROR:
            return -1;
        case FRAME_READER_FRAME:
            if (apply_stream_frame(&a->stream, &f, err)) {
                if (err->kind == ERR_PERMANENT)
                    (void)err_context(err, "frame at byte %" PRIu64, at);
                return -1;
            }
        }
    }
    return 0;
}

/* The shorter of two waits; -1: for ever. */
static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 || a_ms < b_ms ? a_ms : b_ms;
}

static int wait_ms(const struct apply *a)
{
    int wait = ack_wait_ms(&a->group.ack);
    return a->stats.path ? sooner(wait, STATS_INTERVAL_MS) : wait;
}

/* Waits for input, or for something else to do. *readable: input can be read without waiting. */
static int wait_for_input(struct apply *a, int timeout_ms, bool *readable, struct err *err)
{
    struct ack *ack = &a->group.ack;
    struct pollfd p[3] = {
        {.fd = a->input.fd, .events = POLLIN},
        {.fd = a->signals.fd, .events = POLLIN},
        {.fd = ack->fd, .events = ack->waiting_lsn ? POLLOUT : 0},
    };
    int n = poll(p, 3, timeout_ms);
    if (n < 0 && errno != EINTR)
        return err_errno(err, ERR_TEMPORARY, "poll");
    *readable = n > 0 && p[0].revents;
    if (n > 0 && p[1].revents)
        (void)signals_stop(&a->signals);
    if (n > 0 && p[2].revents & POLLERR)
        ack_reader_gone(ack);
    else if (n > 0 && p[2].revents && ack_flush(ack, err))
        return -1;
    return ack_check(ack, err);
}

/* Until the input ends or a signal asks to stop. */
static int read_input(struct apply *a, struct err *err)
{
    for (;;) {
        if (take_frames(a, err))
            return -1;
        if (a->stream.ended || a->input.eof)
            return 0;
        bool readable = false;
        stats_tick(&a->stats, monotonic_ms());
        if (wait_for_input(a, 0, &readable, err))
            return -1;
        int gather_ms = readable ? 0 : group_gather_ms(&a->group);
        if (gather_ms > 0) {
            if (wait_for_input(a, gather_ms, &readable, err))
                return -1;
        } else if (!readable && !a->signals.stop) {
            if (group_flush(&a->group, err) || group_flush_progress(&a->group, err) ||
                wait_for_input(a, wait_ms(a), &readable, err))
                return -1;
        }
        if (a->signals.stop)
            return 0;
        if (a->signals.look_again && apply_stream_look_again(&a->stream, err))
            return -1;
        if (readable && frame_reader_fill(&a->input, err) < 0)
            return -1;
    }
}

static int run(struct apply *a, struct err *err)
{
    if (read_input(a, err)) {
        /* What came whole before a fault in the input is applied all the same. */
        struct err later = {0};
        if (err->kind == ERR_PERMANENT && group_flush(&a->group, &later))
            log_warning("the transactions before the fault could not be applied", "reason",
                        later.text, NULL);
        return -1;
    }
    if (group_discard_open(&a->group, err) || group_flush(&a->group, err) ||
        group_flush_progress(&a->group, err) ||
        (a->stream.ended &&
         (group_make_indexes(&a->group, true, err) || apply_stream_check_end(&a->stream, err))) ||
        ack_drain(&a->group.ack, LAST_ACK_MS, err))
        return -1;
    if (a->signals.stop)
        return 0;
    if (a->stream.ended)
        return frame_reader_finish(&a->input, err);
    return frame_reader_cut(&a->input, err);
}

static void update_stats(void *ctx)
{
    struct apply *a = ctx;
    bool coming = a->stream.open && !a->stream.skip;
    *a->queue_depth = a->group.ntxns + coming;
    *a->tables_awaited = a->group.rows.nawaited;
    *a->tables_paused = a->group.rows.aside.npaused;
    *a->tables_refused = a->group.rows.aside.nrefused;
    *a->quarantine_bytes = a->group.rows.quarantine.bytes;
    *a->tables_settling = a->group.rows.lacking.len / sizeof(struct lacks_indexes);
    a->stats.waits = *a->queue_depth > 0;
    *a->lag_ms = (uint64_t)group_lag_ms(&a->group, coming ? a->stream.txn.commit_time_us : 0);
}

static void register_stats(struct apply *a, const char *component)
{
    struct stats *s = &a->stats;
    struct group_counters *group = &a->group.counters;
    /* A comparison puts what came of it there. */
    stats_init(s, a->options.compare.n > 0 ? NULL : a->stage.stats, component);
#define COUNTER(name, help) stats_register(s, STATS_COUNTER, name, NULL, help)
#define GAUGE(name, help)   stats_register(s, STATS_GAUGE, name, NULL, help)
    uint64_t *events = COUNTER("pg2any_events_processed_total",
                               "Changes (rows, and TRUNCATEs) that the target has committed.");
    for (int i = COUNT_INSERTS; i <= COUNT_TRUNCATES; i++)
        a->group.rows.counted[i] = events;
    a->group.rows.tables = (struct table_counts){
        .stats = s,
        .name = "pg2any_events_by_type_total",
        .label = "event_type",
        .help = "The same by kind and table.",
    };
    a->group.conflicts.tables = (struct table_counts){
        .stats = s,
        .name = "pg2any_conflicts_total",
        .label = "type",
        .help = "Conflicts that --conflict allowed.",
    };
    stats_register_rate(s, "pg2any_events_per_second",
                        "Changes committed in the last second or so.", events);
    a->group.rows.counted[COUNT_LEFT_OUT] =
        COUNTER("pg2any_skipped_events_total",
                "Changes left out: of tables that are skipped or set aside.");
    a->group.rows.left_out = (struct table_counts){
        .stats = s,
        .name = "pg2any_skipped_events_by_type_total",
        .label = "event_type",
        .help = "The same by kind and table.",
    };
    a->tables_awaited =
        GAUGE("pg2any_copy_tables_awaited", "Tables whose copy has not arrived yet.");
    static const char aside[] = "pg2any_tables_aside",
                      aside_help[] = "Tables that are set aside: their changes are left out until "
                                     "a person asks for a copy.";
    a->tables_paused = stats_register(s, STATS_GAUGE, aside, "reason=\"paused\"", aside_help);
    a->tables_refused = stats_register(s, STATS_GAUGE, aside, "reason=\"refused\"", aside_help);
    a->quarantine_bytes =
        GAUGE("pg2any_quarantine_bytes",
              "Changes of tables that are set aside, in files from which they can be replayed.");
    a->tables_settling =
        GAUGE("pg2any_copy_tables_settling",
              "Tables whose copy is complete and that settle: the stream has not passed the end of "
              "the copy, or they do not have their names or indexes.");
    group->transactions =
        COUNTER("pg2any_transactions_processed_total", "Source transactions applied.");
    a->stream.skipped = COUNTER("pg2any_apply_transactions_skipped_total",
                                "Source transactions that the checkpoint covered already.");
    group->commits = COUNTER("pg2any_apply_commits_total", "Commits at the target.");
    a->group.rows.counted[COUNT_RUNS] =
        COUNTER("pg2any_apply_runs_total", "Runs of rows handed to the driver.");
    group->retries = COUNTER("pg2any_apply_retries_total", "Groups repeated.");
    group->unplanned =
        COUNTER("pg2any_apply_unplanned_total",
                "Groups whose plan failed, applied in the order of the source then.");
    group->durations = stats_register_histogram(
        s, "pg2any_event_processing_duration_seconds",
        "Time to apply and commit the changes of one target transaction, repeats included.");
    a->lag_ms = stats_register(
        s, STATS_GAUGE_MS, "pg2any_replication_lag_seconds", NULL,
        "Age of the oldest transaction that waits here; else how old the last one was when it was "
        "committed, for 5 seconds; else 0.");
    group->connected = GAUGE("pg2any_destination_connection_status", "1 while connected.");
    a->queue_depth = GAUGE("pg2any_queue_depth", "Transactions that wait or are arriving.");
    group->held_bytes = GAUGE("pg2any_buffer_memory_usage_bytes", "Frames that wait, in memory.");
    a->stream.received_lsn =
        GAUGE("pg2any_apply_received_lsn", "Everything up to here has arrived, in bytes.");
    group->checkpoint_lsn =
        GAUGE("pg2any_last_processed_lsn", "Everything up to here is durable at the target.");
    stats_register_speed(s, "pg2any_apply_wal_bytes_per_second",
                         "How fast that moved in the last ten seconds, in bytes of WAL.",
                         group->checkpoint_lsn);
    group->commit_time =
        GAUGE("pg2any_apply_commit_time_seconds", "Commit time of the last transaction applied.");
#undef COUNTER
#undef GAUGE
    s->update = update_stats;
    s->ctx = a;
    a->group.stats = s;
}

/* What every mode needs. */
static int check_options(struct apply *a, const struct driver_ops *ops, struct err *err)
{
    const struct apply_options *o = &a->options;
    if (!o->dest) {
        (void)err_set(err, ERR_PERMANENT, "no target");
        return err_hint(err, "give it with --dest: %s", ops->uri_help);
    }
    if (o->check + o->status + o->drop_checkpoint + o->copy_anew + (o->copy_again.n > 0) +
            (o->set_aside.n > 0) + (o->resume.n > 0) + o->read_again + (o->compare.n > 0) >
        1)
        return err_set(err, ERR_PERMANENT,
                       "--check, --status, --drop-checkpoint, --copy-again, --set-aside, "
                       "--resume, --copy-anew, --read-again and --compare exclude each other");
    return schema_map_parse(&a->schema_map, o->schema_map, err) ||
                   skip_tables_parse(&a->group.rows.skip, &o->skip_table, err)
               ? -1
               : 0;
}

static struct driver_config driver_config(const struct apply *a)
{
    const struct apply_options *o = &a->options;
    return (struct driver_config){
        .uri = o->dest,
        .schema_map = &a->schema_map,
        .connect_timeout_ms = o->connect_timeout_ms,
        .query_timeout_ms = o->query_timeout_ms,
        .nan = (enum nan_policy)o->nan,
        .infinity = (enum beyond)o->infinity,
        .date_range = (enum beyond)o->date_range,
    };
}

static int compare(struct apply *a, const struct driver_ops *ops, enum compared *compared,
                   struct err *err)
{
    const struct apply_options *o = &a->options;
    const struct driver_config config = driver_config(a);
    const struct compare_options options = {
        .origin = o->origin,
        .tables = &o->compare,
        .skip = &a->group.rows.skip,
        .ask = o->ask,
        .keys = o->keys,
        .sum = a->stage.stats,
        .component = a->stats.component,
        .values = o->values,
        .json = o->json,
        .still = o->still,
        .wait_ms = o->wait_ms,
        .percent = o->sample,
        .rate = o->rate,
    };
    return compare_run(ops, &config, &options, compared, err);
}

static bool is_inspection(const struct apply *a)
{
    const struct apply_options *o = &a->options;
    return o->check || o->status || o->drop_checkpoint || o->copy_anew || o->read_again ||
           o->copy_again.n > 0 || o->set_aside.n > 0 || o->resume.n > 0;
}

/* Of tables that are copied, set aside or brought back. */
static int ask_tables(struct apply *a, const struct driver_ops *ops,
                      const struct driver_config *config, struct err *err)
{
    const struct apply_options *o = &a->options;
    struct table_names copies = {0};
    struct asked_copies asked = {.origin = o->origin,
                                 .skip = &a->group.rows.skip,
                                 .copies = o->copies.n > 0 ? &copies : NULL,
                                 .anew = o->copy_anew,
                                 .aside = o->set_aside.n > 0,
                                 .resume = o->resume.n > 0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->copies.n; i++)
        if (strcmp(o->copies.items[i], "none") != 0)
            rc = table_names_add(&copies, o->copies.items[i], true, err);
    if (rc == 0)
        rc = apply_ask_tables(ops, config, &asked,
                              asked.aside    ? &o->set_aside
                              : asked.resume ? &o->resume
                                             : &o->copy_again,
                              err);
    table_names_free(&copies);
    return rc;
}

static int inspect(struct apply *a, const struct driver_ops *ops, struct err *err)
{
    const struct apply_options *o = &a->options;
    const struct driver_config config = driver_config(a);
    if (o->check)
        return apply_check(ops, &config, (enum ddl_policy)o->ddl, o->unknown == 0,
                           &a->group.rows.skip, o->origin, err);
    if (o->copy_anew || o->copy_again.n > 0 || o->set_aside.n > 0 || o->resume.n > 0)
        return ask_tables(a, ops, &config, err);
    if (o->read_again)
        return apply_read_again(ops, &config, o->origin, &a->group.rows.skip, err);
    if (o->status)
        return apply_status(ops, &config, o->origin, o->json, err);
    return apply_drop_checkpoint(ops, &config, o->origin, err);
}

static int start(struct apply *a, const struct driver_ops *ops, struct err *err)
{
    const struct apply_options *o = &a->options;
    struct apply_group *g = &a->group;
    if (signals_init(&a->signals, err) || signals_take_hup(&a->signals, err))
        return -1;
    frame_reader_init(&a->input, STDIN_FILENO);
    (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ,
                OUTPUT_PIPE_SIZE); /* fails where it is no pipe, which is fine */
    ack_init(&g->ack, o->ack);
    g->signals = &a->signals;
    g->rows.copy_unknown = o->unknown == 0;
    g->conflicts.policy = (enum conflict_action)o->conflict;
    g->planned = o->order == 0;
    g->rows.aside.refused = o->refused == 1;
    g->rows.aside.conflicts = g->conflicts.policy == CONFLICT_QUARANTINE;
    g->rows.quarantine.dir = o->quarantine_dir;
    g->rows.quarantine.max_bytes = o->quarantine_size;
    g->max_transactions = o->group_transactions;
    g->max_changes = o->group_changes;
    g->max_bytes = o->group_bytes;
    a->stream.group = g;
    a->stream.origin = o->origin;
    a->stream.accept_gap = o->accept_gap;
    a->stream.input_fd = a->input.fd;
    a->stream.ack_timeout_ms = (int64_t)o->connect_timeout_ms;
    const struct driver_config config = driver_config(a);
    log_info("starting", "version", PG2ANY_VERSION, "order", order_words[o->order], "conflict",
             conflict_words[o->conflict], "ddl", ddl_words[o->ddl], "group_transactions",
             LOG_U64(o->group_transactions), "group_changes", LOG_U64(o->group_changes),
             "group_bytes", LOG_U64(o->group_bytes), NULL);
    if (target_open(ops, &config, &g->target, err) ||
        apply_rows_init(&g->rows, g->target, (enum ddl_policy)o->ddl, &g->conflicts, err))
        return -1;
    *g->counters.connected = 1;
    notify_ready(&a->stage.notify_fd);
    stats_ready(&a->stats);
    return 0;
}

static void finish(struct apply *a, const struct err *err)
{
    if (a->group.target)
        *a->group.counters.connected = 0;
    stats_end(&a->stats, err);
    group_free(&a->group);
    target_close(a->group.target);
    frame_reader_free(&a->input);
    schema_map_free(&a->schema_map);
    signals_close(&a->signals);
}

int apply_main(const struct driver_ops *ops, int argc, char **argv)
{
    char name[32], examples[768];
    (void)snprintf(name, sizeof name, "apply-%s", ops->name);
    (void)snprintf(examples, sizeof examples,
                   "  CDC_DEST_URI='%s'; export CDC_DEST_URI\n"
                   "  %s --check <committed.frames\n"
                   "  pg-capture --source postgresql:///shop --ack shop.ack | txn-assemble |\n"
                   "      %s --ack shop.ack\n"
                   "\nForms of a URI (percent-escapes where a character means something else):\n"
                   "  %s\n",
                   ops->uri_example, name, name, ops->uri_help);
    log_init(name);
    const struct program program = {
        .name = name,
        .synopsis = "--dest URI [options] < committed-frames",
        .purpose =
            "Applies the committed transactions on stdin to the target, exactly once, and reports "
            "the\n"
            "durable LSN on the --ack FIFO.",
        .examples = examples,
        .options = option_defs,
    };
    struct err err = {0};
    struct apply a = {
        .signals = {.fd = -1},
        .input = {.fd = -1},
        .group = {.ack = {.fd = -1}},
    };
    switch (options_parse(&program, argc, argv, &a.options, &a.stage, &err)) {
    case OPTIONS_ERROR:
        if (a.options.compare.n == 0)
            stats_never_began(a.stage.stats, name, &err);
        return exit_status(&err);
    case OPTIONS_LEAVE:
        return STATUS_OK;
    case OPTIONS_RUN:
        break;
    }
    register_stats(&a, name);
    enum compared compared = COMPARED_EQUAL;
    if (check_options(&a, ops, &err) == 0) {
        if (a.options.compare.n > 0)
            (void)compare(&a, ops, &compared, &err);
        else if (is_inspection(&a))
            (void)inspect(&a, ops, &err);
        else if (start(&a, ops, &err) == 0)
            (void)run(&a, &err);
    }
    int status = exit_status(&err);
    finish(&a, &err);
    return status != STATUS_OK              ? status
           : compared == COMPARED_DIFFERENT ? STATUS_DIFFERENT
           : compared == COMPARED_NOT_ALL   ? STATUS_TEMPORARY
                                            : STATUS_OK;
}

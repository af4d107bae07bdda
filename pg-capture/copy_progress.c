#include "copy_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/utf8.h"

#define LOG_GAP_MS      10000
#define TERMINAL_GAP_MS 250
#define NAME_BYTES      26
#define LINE_BYTES      160

/* ---- the table ---- */

static int estimate(struct catalog *c, uint32_t relid, uint64_t *estimated, struct err *err)
{
    char relid_text[16];
    const char *params[] = {relid_text};
    PGresult *rows;
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, relid);
    if (catalog_query(c,
                      "SELECT least(coalesce(sum(greatest(reltuples, 0)), 0), 4e18)::bigint"
                      " FROM pg_class WHERE relkind = 'r' AND oid IN"
                      " (SELECT $1::oid UNION SELECT relid FROM pg_partition_tree($1::oid))",
                      1, params, (struct shape){1, 1}, &rows, err))
        return -1;
    (void)sscanf(field(rows, 0, 0), "%" SCNu64, estimated);
    PQclear(rows);
    return 0;
}

int copy_progress_table(struct copy_progress *p, struct catalog *c, const struct relation *rel,
                        struct err *err)
{
    if (p->relid == rel->relid)
        return 0;
    copy_progress_stop(p);
    if (estimate(c, rel->relid, &p->estimated_rows, err))
        return -1;
    buf_printf(&p->table, "%s.%s", rel->namespace, rel->name);
    if (buf_check(&p->table, err))
        return -1;
    p->relid = rel->relid;
    p->begun_ms = monotonic_ms();
    p->due_ms = p->begun_ms + (p->terminal_fd >= 0 ? TERMINAL_GAP_MS : LOG_GAP_MS);
    capture_stats_copy(p->stats, buf_cstr(&p->table), &p->counts);
    *p->counts.active = 1;
    *p->counts.rows = *p->counts.bytes = 0;
    *p->counts.estimated_rows = p->estimated_rows;
    *p->counts.begun = (uint64_t)(pg_time_now_us() / 1000000 + PG_EPOCH_UNIX_S);
    return 0;
}

void copy_progress_row(struct copy_progress *p, size_t bytes)
{
    ++*p->counts.rows;
    *p->counts.bytes += bytes;
    ++*p->stats->copied_rows;
    *p->stats->copied_bytes += bytes;
}

/* ---- telling ---- */

static uint64_t per_second(uint64_t n, int64_t elapsed_ms)
{
    return n * 1000 / (uint64_t)(elapsed_ms > 0 ? elapsed_ms : 1);
}

/* Seconds to go, by the rate so far; -1: not known. */
static int64_t left_s(const struct copy_progress *p, uint64_t rate)
{
    uint64_t rows = *p->counts.rows;
    return rate == 0 || p->estimated_rows <= rows ? -1
                                                  : (int64_t)((p->estimated_rows - rows) / rate);
}

/* As much of the name as has room, and of a terminal's own characters none. */
static void put_name(struct copy_progress *p, char *out, size_t size)
{
    const unsigned char *name = (const unsigned char *)buf_cstr(&p->table), *at = name;
    const unsigned char *end = name + p->table.len;
    for (size_t n; at < end && (n = utf8_character(at, end)) > 0; at += n) {
        if ((size_t)(at - name) + n >= size)
            break;
        memcpy(out + (at - name), at, n);
        if (*at < ' ' || *at == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0))
            memset(out + (at - name), '?', n);
    }
    out[at - name] = '\0';
}

/* Written over by what comes next: it ends at the beginning of its own line. */
static void draw(struct copy_progress *p, uint64_t rate)
{
    char name[NAME_BYTES], rest[LINE_BYTES], line[LINE_BYTES + NAME_BYTES + 16];
    int64_t to_go_s = left_s(p, rate);
    int n = snprintf(rest, sizeof rest, ": %" PRIu64 " rows", *p->counts.rows);
    if (p->estimated_rows)
        n += snprintf(rest + n, sizeof rest - (size_t)n, " of ~%" PRIu64, p->estimated_rows);
    n += snprintf(rest + n, sizeof rest - (size_t)n, ", %" PRIu64 " MB, %" PRIu64 "/s",
                  *p->counts.bytes / 1000000, rate);
    if (to_go_s >= 0 && n < (int)sizeof rest)
        (void)snprintf(rest + n, sizeof rest - (size_t)n, ", ~%jd:%02d left",
                       (intmax_t)(to_go_s / 60), (int)(to_go_s % 60));
    put_name(p, name, sizeof name);
    n = snprintf(line, sizeof line, "\033[Kcopying %s%s\r", name, rest);
    if (n > 0 && write(p->terminal_fd, line, (size_t)n) < 0)
        return; /* a terminal that is gone is no matter */
}

static void clear_line(const struct copy_progress *p)
{
    if (p->terminal_fd >= 0 && write(p->terminal_fd, "\033[K", 3) < 0)
        return;
}

/* The table that was copied last, while no other is. */
static void tell_settling(struct copy_progress *p, bool settled, int64_t now_ms)
{
    char name[NAME_BYTES], line[NAME_BYTES + 64];
    if (settled) {
        clear_line(p);
        p->settles_lsn = 0;
    } else if (p->terminal_fd < 0) {
        p->due_ms = now_ms + LOG_GAP_MS;
        log_info("a table that was copied settles", "table", buf_cstr(&p->table), "until",
                 LSN(p->settles_lsn), NULL);
    } else {
        p->due_ms = now_ms + TERMINAL_GAP_MS;
        put_name(p, name, sizeof name);
        int n = snprintf(line, sizeof line, "\033[Ksettling %s: all rows are sent\r", name);
        if (n > 0 && write(p->terminal_fd, line, (size_t)n) < 0)
            return;
    }
}

void copy_progress_tell(struct copy_progress *p, bool settled)
{
    int64_t now_ms = monotonic_ms();
    if (!p->relid && p->settles_lsn && (settled || now_ms >= p->due_ms) &&
        log_enabled(LOG_LEVEL_INFO))
        tell_settling(p, settled, now_ms);
    if (!p->relid || now_ms < p->due_ms || !log_enabled(LOG_LEVEL_INFO))
        return;
    uint64_t rate = per_second(*p->counts.rows, now_ms - p->begun_ms);
    if (p->terminal_fd >= 0) {
        draw(p, rate);
        p->due_ms = now_ms + TERMINAL_GAP_MS;
        return;
    }
    int64_t to_go_s = left_s(p, rate);
    p->due_ms = now_ms + LOG_GAP_MS;
    log_info("copying goes on", "table", buf_cstr(&p->table), "rows", LOG_U64(*p->counts.rows),
             "bytes", LOG_U64(*p->counts.bytes), "rows_per_second", LOG_U64(rate), "estimated_rows",
             LOG_U64(p->estimated_rows), to_go_s >= 0 ? "estimated_seconds_left" : NULL,
             LOG_U64((uint64_t)to_go_s), NULL);
}

void copy_progress_done(struct copy_progress *p, uint64_t lsn)
{
    if (!p->relid)
        return;
    *p->counts.active = 0;
    ++*p->stats->copied_tables;
    p->relid = 0;
    p->settles_lsn = lsn;
    clear_line(p);
}

void copy_progress_stop(struct copy_progress *p)
{
    if (p->relid)
        *p->counts.active = 0;
    p->relid = 0;
    p->estimated_rows = p->settles_lsn = 0;
    buf_free(&p->table);
}

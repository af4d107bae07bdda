#include "txn_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/spill_file.h"

/*
 * A store starts with a small chunk, because thousands of small prepared transactions may wait at
 * the same time. A frame larger than a chunk gets one of its own.
 */
#define SMALL_CHUNK_SIZE (4 * 1024)
#define CHUNK_SIZE       (64 * 1024)
#define MAX_SPARE        64

struct store_chunk {
    struct store_chunk *next;
    size_t used;
    size_t cap;
    uint8_t data[];
};

void store_pool_init(struct store_pool *pool, const char *spill_dir, uint64_t memory_limit)
{
    *pool = (struct store_pool){.spill_dir = spill_dir, .memory_limit = memory_limit};
}

void store_pool_free(struct store_pool *pool)
{
    if (pool->stores)
        BUG("a store outlives its pool");
    while (pool->spare) {
        struct store_chunk *c = pool->spare;
        pool->spare = c->next;
        free(c);
    }
    pool->nspare = 0;
}

void store_pool_account(struct store_pool *pool, int64_t bytes)
{
    pool->memory_bytes += (uint64_t)bytes;
}

/* ---- spill files ---- */

/* Behind an error of spill_file.h: what can be done about it. */
static int advise(struct err *err)
{
    int error = errno;
    if (error == ENOSPC || error == EDQUOT)
        (void)err_hint(
            err,
            "make room there, choose another directory with --spill-dir, or raise --memory-limit");
    else if (error == EMFILE || error == ENFILE)
        (void)err_hint(
            err, "more transactions are open than files may be: raise the limit on open files or "
                 "--memory-limit");
    else
        (void)err_hint(err, "--spill-dir chooses another directory");
    return -1;
}

int store_pool_check_dir(const struct store_pool *pool, struct err *err)
{
    return spill_dir_check(pool->spill_dir, err) ? advise(err) : 0;
}

/* ---- memory ---- */

static size_t chunk_memory(const struct store_chunk *c)
{
    return sizeof *c + c->cap;
}

static void chunk_release(struct store_chunk *c, struct store_pool *pool)
{
    pool->memory_bytes -= chunk_memory(c);
    if (c->cap == CHUNK_SIZE && pool->nspare < MAX_SPARE) {
        c->next = pool->spare;
        pool->spare = c;
        pool->nspare++;
    } else {
        free(c);
    }
}

static struct store_chunk *chunk_new(struct store_pool *pool, size_t cap)
{
    struct store_chunk *c = cap == CHUNK_SIZE ? pool->spare : NULL;
    if (c) {
        pool->spare = c->next;
        pool->nspare--;
    } else {
        c = malloc(sizeof *c + cap);
        if (!c)
            return NULL;
        c->cap = cap;
    }
    c->next = NULL;
    c->used = 0;
    pool->memory_bytes += chunk_memory(c);
    return c;
}

static int spill(struct txn_store *s, struct store_pool *pool, struct err *err)
{
    if (s->fd < 0 && spill_open(pool->spill_dir, &s->fd, err))
        return advise(err);
    while (s->first) {
        struct store_chunk *c = s->first;
        if (spill_write(s->fd, pool->spill_dir, s->spilled_bytes, c->data, c->used, err))
            return advise(err);
        uint64_t written = SPILL_HEADER_SIZE + c->used;
        s->spilled_bytes += written;
        pool->spilled_bytes += written;
        pool->spilled_bytes_total += written;
        s->memory_bytes -= chunk_memory(c);
        s->first = c->next;
        chunk_release(c, pool);
    }
    s->last = NULL;
    return 0;
}

static int keep_limit(struct store_pool *pool, struct err *err)
{
    while (pool->memory_bytes > pool->memory_limit) {
        struct txn_store *largest = NULL;
        for (struct txn_store *s = pool->stores; s; s = s->next)
            if (s->memory_bytes > (largest ? largest->memory_bytes : 0))
                largest = s;
        if (!largest)
            break; /* what is left cannot be spilled */
        if (spill(largest, pool, err))
            return -1;
    }
    return 0;
}

void txn_store_init(struct txn_store *s, struct store_pool *pool)
{
    *s = (struct txn_store){.fd = -1, .next = pool->stores};
    if (pool->stores)
        pool->stores->prev = s;
    pool->stores = s;
}

void txn_store_release(struct txn_store *s, struct store_pool *pool)
{
    while (s->first) {
        struct store_chunk *c = s->first;
        s->first = c->next;
        chunk_release(c, pool);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    pool->spilled_bytes -= s->spilled_bytes;
    if (s->prev)
        s->prev->next = s->next;
    else
        pool->stores = s->next;
    if (s->next)
        s->next->prev = s->prev;
    *s = (struct txn_store){.fd = -1};
}

int txn_store_append(struct txn_store *s, struct store_pool *pool, const void *frame, size_t length,
                     struct err *err)
{
    struct store_chunk *c = s->last;
    if (!c || length > c->cap - c->used) {
        size_t cap = c || s->fd >= 0 ? CHUNK_SIZE : SMALL_CHUNK_SIZE;
        if (length > cap)
            cap = length > CHUNK_SIZE ? length : CHUNK_SIZE;
        c = chunk_new(pool, cap);
        if (!c)
            return err_nomem(err);
        s->memory_bytes += chunk_memory(c);
        if (s->last)
            s->last->next = c;
        else
            s->first = c;
        s->last = c;
    }
    memcpy(c->data + c->used, frame, length);
    c->used += length;
    return pool->memory_bytes > pool->memory_limit ? keep_limit(pool, err) : 0;
}

/* ---- reading ---- */

static int visit_frames(const uint8_t *data, size_t size, txn_store_visit visit, void *arg,
                        struct err *err)
{
    while (size > 0) {
        struct frame f;
        if (size < FRAME_HEADER_SIZE || frame_header(data, &f.type, &f.size, err) ||
            f.size > size - FRAME_HEADER_SIZE)
            BUG("a store holds something else than whole frames");
        f.body = data + FRAME_HEADER_SIZE;
        if (visit(arg, &f, err))
            return -1;
        data += frame_length(&f);
        size -= frame_length(&f);
    }
    return 0;
}

static int replay_file(const struct txn_store *s, const char *dir, txn_store_visit visit, void *arg,
                       struct err *err)
{
    struct buf block = {0};
    int result = 0;
    for (uint64_t offset = 0; result == 0 && offset < s->spilled_bytes;
         offset += SPILL_HEADER_SIZE + block.len) {
        buf_reset(&block, CHUNK_SIZE);
        result = spill_read(s->fd, dir, offset, s->spilled_bytes, &block, err);
        if (result == 0)
            result = visit_frames(block.data, block.len, visit, arg, err);
    }
    buf_free(&block);
    return result;
}

int txn_store_replay(struct txn_store *s, const char *spill_dir, txn_store_visit visit, void *arg,
                     struct err *err)
{
    if (s->spilled_bytes > 0 && replay_file(s, spill_dir, visit, arg, err))
        return -1;
    for (const struct store_chunk *c = s->first; c; c = c->next)
        if (visit_frames(c->data, c->used, visit, arg, err))
            return -1;
    return 0;
}

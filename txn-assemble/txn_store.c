#include "txn_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/log.h"

/*
 * A store starts with a small chunk, because thousands of small prepared transactions may wait at
 * the same time. A frame larger than a chunk gets one of its own.
 */
#define SMALL_CHUNK_SIZE (4 * 1024)
#define CHUNK_SIZE       (64 * 1024)
#define MAX_SPARE        64

#define BLOCK_HEADER_SIZE 12
#define SPILL_PREFIX      "pg2any-spill-"

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

/* Temporary: a directory that was there at the start may come back. errno stays. */
static int spill_error(struct err *err, const char *dir, const char *what)
{
    int error = errno;
    (void)err_errno(err, ERR_TEMPORARY, "%s a spill file in %s", what, dir);
    if (error == ENOSPC || error == EDQUOT)
        (void)err_hint(err,
                       "make room there, or choose another directory with --spill-dir, or raise "
                       "--memory-limit");
    else if (error == EMFILE || error == ENFILE)
        (void)err_hint(
            err, "more transactions are open at once than files may be: raise the limit on open "
                 "files or --memory-limit");
    else
        (void)err_hint(err, "--spill-dir chooses another directory");
    errno = error;
    return -1;
}

static int spill_open(const char *dir, int *fd, struct err *err)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (*fd >= 0)
        return 0;
    /* What kernels and file systems without O_TMPFILE say: open(2), "BUGS" of O_TMPFILE. */
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return spill_error(err, dir, "making");
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/" SPILL_PREFIX "XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return spill_error(err, dir, "making");
    }
    *fd = mkostemp(path, O_CLOEXEC); /* mode 0600 */
    if (*fd < 0)
        return spill_error(err, dir, "making");
    /* ENOENT: another process that was starting took it for a leftover. */
    if (unlink(path) != 0 && errno != ENOENT) {
        (void)spill_error(err, dir, "unlinking");
        (void)close(*fd);
        return -1;
    }
    return 0;
}

static void remove_leftovers(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    const struct dirent *entry;
    while ((entry = readdir(d))) {
        struct stat st;
        if (strncmp(entry->d_name, SPILL_PREFIX, strlen(SPILL_PREFIX)) == 0 &&
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
            unlinkat(dirfd(d), entry->d_name, 0) == 0)
            log_info("removed a spill file that was left behind", "dir", dir, "file", entry->d_name,
                     NULL);
    }
    (void)closedir(d);
}

int store_pool_check_dir(const struct store_pool *pool, struct err *err)
{
    int fd;
    if (spill_open(pool->spill_dir, &fd, err)) {
        err->kind = err_kind_of(errno);
        return -1;
    }
    (void)close(fd);
    remove_leftovers(pool->spill_dir);
    return 0;
}

static void put_be(uint8_t *to, uint64_t v, size_t n)
{
    for (size_t i = n; i-- > 0; v >>= 8)
        to[i] = (uint8_t)v;
}

static uint64_t get_be(const uint8_t *from, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | from[i];
    return v;
}

static int write_block(int fd, uint64_t offset, const struct store_chunk *chunk)
{
    uint8_t header[BLOCK_HEADER_SIZE];
    put_be(header, chunk->used, 4);
    put_be(header + 4, XXH3_64bits_withSeed(chunk->data, chunk->used, offset), 8);
    struct iovec iov[2] = {{header, sizeof header}, {(void *)(uintptr_t)chunk->data, chunk->used}};
    size_t left = sizeof header + chunk->used;
    while (left > 0) {
        ssize_t n = pwritev(fd, iov, 2, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return -1;
        }
        offset += (uint64_t)n;
        left -= (size_t)n;
        for (int i = 0; i < 2; i++) {
            size_t taken = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
            iov[i].iov_base = (uint8_t *)iov[i].iov_base + taken;
            iov[i].iov_len -= taken;
            n -= (ssize_t)taken;
        }
    }
    return 0;
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
        return -1;
    while (s->first) {
        struct store_chunk *c = s->first;
        if (write_block(s->fd, s->spilled_bytes, c))
            return spill_error(err, pool->spill_dir, "writing");
        uint64_t written = BLOCK_HEADER_SIZE + c->used;
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

static int damaged(struct err *err, const char *dir, uint64_t offset, const char *how)
{
    (void)err_set(err, ERR_TEMPORARY,
                  "a spill file in %s is damaged: the block at byte %" PRIu64 " %s", dir, offset,
                  how);
    return err_hint(
        err, "nothing is lost: the transaction comes again from the slot; if it happens again, "
             "check the disk");
}

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

/* Reads exactly n bytes; 1 at an early end of the file. */
static int read_at(int fd, uint8_t *to, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : 1;
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static int read_block(const struct txn_store *s, const char *dir, uint64_t offset,
                      struct buf *block, struct err *err)
{
    uint8_t header[BLOCK_HEADER_SIZE];
    uint64_t left = s->spilled_bytes - offset;
    int short_read = left < sizeof header ? 1 : read_at(s->fd, header, sizeof header, offset);
    if (short_read == 0) {
        uint64_t size = get_be(header, 4);
        if (size > left - sizeof header)
            return damaged(err, dir, offset, "claims to be longer than the file");
        buf_reset(block, CHUNK_SIZE);
        uint8_t *to = buf_reserve(block, size);
        if (!to)
            return err_nomem(err);
        short_read = read_at(s->fd, to, size, offset + sizeof header);
        block->len = size;
    }
    if (short_read < 0)
        return spill_error(err, dir, "reading");
    if (short_read > 0)
        return damaged(err, dir, offset, "is cut short");
    if (get_be(header + 4, 8) != XXH3_64bits_withSeed(block->data, block->len, offset))
        return damaged(err, dir, offset, "does not match its checksum");
    return 0;
}

static int replay_file(const struct txn_store *s, const char *dir, txn_store_visit visit, void *arg,
                       struct err *err)
{
    struct buf block = {0};
    int result = 0;
    for (uint64_t offset = 0; result == 0 && offset < s->spilled_bytes;
         offset += BLOCK_HEADER_SIZE + block.len) {
        result = read_block(s, dir, offset, &block, err);
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

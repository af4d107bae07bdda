#include "base/spill_file.h"

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

#define SPILL_PREFIX "pg2any-spill-"

const char *spill_dir_default(const char *chosen)
{
    const char *dir = chosen ? chosen : getenv("TMPDIR");
    return dir && *dir ? dir : "/var/tmp";
}

/* Temporary: a directory that was there at the start may come back. errno stays. */
static int spill_error(struct err *err, const char *dir, const char *what)
{
    int error = errno;
    (void)err_errno(err, ERR_TEMPORARY, "%s a spill file in %s", what, dir);
    errno = error;
    return -1;
}

int spill_open(const char *dir, int *fd, struct err *err)
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
        *fd = -1;
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

int spill_dir_check(const char *dir, struct err *err)
{
    int fd;
    if (spill_open(dir, &fd, err)) {
        err->kind = err_kind_of(errno);
        return -1;
    }
    (void)close(fd);
    remove_leftovers(dir);
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

int spill_write(int fd, const char *dir, uint64_t offset, const void *payload, size_t size,
                struct err *err)
{
    uint8_t header[SPILL_HEADER_SIZE];
    put_be(header, size, 4);
    put_be(header + 4, XXH3_64bits_withSeed(payload, size, offset), 8);
    struct iovec iov[2] = {{header, sizeof header}, {(void *)(uintptr_t)payload, size}};
    size_t left = sizeof header + size;
    while (left > 0) {
        ssize_t n = pwritev(fd, iov, 2, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        if (n <= 0)
            return spill_error(err, dir, "writing");
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

static int damaged(struct err *err, const char *dir, uint64_t offset, const char *how)
{
    (void)err_set(err, ERR_TEMPORARY,
                  "a spill file in %s is damaged: the block at byte %" PRIu64 " %s", dir, offset,
                  how);
    return err_hint(
        err, "nothing is lost: the transaction comes again from the slot; if it happens again, "
             "check the disk");
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

int spill_read(int fd, const char *dir, uint64_t offset, uint64_t end, struct buf *out,
               struct err *err)
{
    uint8_t header[SPILL_HEADER_SIZE];
    const uint8_t *payload = NULL;
    uint64_t left = end - offset, size = 0;
    int short_read = left < sizeof header ? 1 : read_at(fd, header, sizeof header, offset);
    if (short_read == 0) {
        size = get_be(header, 4);
        if (size > left - sizeof header)
            return damaged(err, dir, offset, "claims to be longer than the file");
        uint8_t *to = buf_reserve(out, size);
        if (!to)
            return err_nomem(err);
        short_read = read_at(fd, to, size, offset + sizeof header);
        payload = to;
    }
    if (short_read < 0) {
        (void)spill_error(err, dir, "reading");
        return err_hint(err, "--spill-dir chooses another directory");
    }
    if (short_read > 0)
        return damaged(err, dir, offset, "is cut short");
    if (get_be(header + 4, 8) != XXH3_64bits_withSeed(payload, size, offset))
        return damaged(err, dir, offset, "does not match its checksum");
    out->len += size;
    return 0;
}

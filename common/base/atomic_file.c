#include "base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* What has the name, a file that a crash left or a link that somebody put there, is not written to
 * but removed. */
static int open_new(const char *path)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(path, flags, 0600);
    if (fd < 0 && errno == EEXIST && unlink(path) == 0)
        fd = open(path, flags, 0600);
    return fd;
}

/* What root leaves in the folder of another user is that user's, who has to read it. Where root may
 * not give anything away it stays root's. */
static void give_away(int fd, const char *path)
{
    char folder[4096] = ".";
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    if (geteuid() == 0 && stat(folder, &st) == 0 && st.st_uid != 0)
        (void)!fchown(fd, st.st_uid, st.st_gid);
}

int atomic_file_write(const char *path, const void *data, size_t size, struct err *err)
{
    char temp[4096];
    int len = snprintf(temp, sizeof temp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        return err_set(err, ERR_PERMANENT, "the path %s is too long", path);
    int fd = open_new(temp);
    if (fd < 0)
        return err_errno(err, ERR_TEMPORARY, "creating %s", temp);
    give_away(fd, temp);
    if (write_all(fd, data, size) != 0) {
        (void)err_errno(err, ERR_TEMPORARY, "writing %s", temp);
        (void)close(fd);
        (void)unlink(temp);
        return -1;
    }
    if (close(fd) != 0 || rename(temp, path) != 0) {
        (void)err_errno(err, ERR_TEMPORARY, "replacing %s", path);
        (void)unlink(temp);
        return -1;
    }
    return 0;
}

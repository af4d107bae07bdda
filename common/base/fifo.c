#include "base/fifo.h"

#include <fcntl.h>
#include <unistd.h>

/* A byte of the FIFO, which has none, stands for an end. */
static struct flock lock_of(enum fifo_end end)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = end, .l_len = 1};
}

int fifo_claim(int fd, enum fifo_end end)
{
    struct flock lock = lock_of(end);
    return fcntl(fd, F_OFD_SETLK, &lock);
}

bool fifo_has_writer(const char *path)
{
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    struct flock lock = lock_of(FIFO_WRITER);
    bool claimed = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd);
    return claimed;
}

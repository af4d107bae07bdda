#include "base/fifo.h"

#include <fcntl.h>
#include <unistd.h>

int fifo_claim(int fd, enum fifo_end end)
{
    /* A byte of the FIFO, which has none, stands for an end. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = end, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

#include "base/std_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void std_fds_reserve(void)
{
    /* open(2) takes the lowest number that is free, which is this one: those below are open. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            abort();
}

#include "capture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

void capture_start(struct capture *c, int fd)
{
    (void)fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->file = memfd_create("captured", MFD_CLOEXEC);
    if (c->saved < 0 || c->file < 0 || dup2(c->file, fd) != fd)
        BUG("cannot capture a descriptor");
}

void capture_end(struct capture *c, char *text, size_t size)
{
    (void)fflush(NULL);
    ssize_t n = pread(c->file, text, size - 1, 0);
    if (n < 0 || dup2(c->saved, c->fd) != c->fd)
        BUG("cannot end the capture of a descriptor");
    text[n] = '\0';
    (void)close(c->saved);
    (void)close(c->file);
}

/*
 * capture.h - what a test's code under test writes to a standard descriptor, as text.
 */
#ifndef PG2ANY_TEST_CAPTURE_H
#define PG2ANY_TEST_CAPTURE_H

#include <stddef.h>

struct capture {
    int fd;    /* the descriptor that is captured */
    int saved; /* where it led before */
    int file;
};

/* From now on what is written to `fd` (1 or 2) is kept. Aborts on failure. */
void capture_start(struct capture *c, int fd);

/* Ends it; `text` gets what was written, cut to `size` - 1 bytes, and a zero. */
void capture_end(struct capture *c, char *text, size_t size);

#endif

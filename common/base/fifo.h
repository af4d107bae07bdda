/*
 * fifo.h - exclusive use of an end of an acknowledgement FIFO: two readers would each get a part of
 * the lines, and two targets that write to one FIFO would be mistaken for one.
 */
#ifndef PG2ANY_FIFO_H
#define PG2ANY_FIFO_H

#include <stdbool.h>

#include "base/err.h" /* MUST_CHECK */

enum fifo_end { FIFO_READER, FIFO_WRITER };

/* Claims an end while the descriptor, which must be open for writing, is open. -1: errno is EAGAIN
 * if another process has it. Does not block. */
MUST_CHECK int fifo_claim(int fd, enum fifo_end end);

/* Whether a process has claimed the writer's end of the FIFO; false also where there is none, or
 * nobody reads it. Does not block. */
bool fifo_has_writer(const char *path);

#endif

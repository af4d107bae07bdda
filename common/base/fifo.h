/*
 * fifo.h - exclusive use of an end of an acknowledgement FIFO: two readers would each get a part of
 * the lines, and two targets that write to one FIFO would be mistaken for one.
 */
#ifndef PG2ANY_FIFO_H
#define PG2ANY_FIFO_H

#include "base/err.h" /* MUST_CHECK */

enum fifo_end { FIFO_READER, FIFO_WRITER };

/* Claims an end while the descriptor, which must be open for writing, is open. -1: errno is EAGAIN
 * if another process has it. Does not block. */
MUST_CHECK int fifo_claim(int fd, enum fifo_end end);

#endif

/*
 * fifo.h - who has an end of an acknowledgement FIFO has it alone: two readers would each get a
 * part of the lines, two targets that acknowledge in one place would be taken for one.
 */
#ifndef PG2ANY_FIFO_H
#define PG2ANY_FIFO_H

#include "base/err.h" /* MUST_CHECK */

enum fifo_end { FIFO_READER, FIFO_WRITER };

/* Takes an end for as long as the descriptor, which has to be open for writing, is open. -1: errno
 * is EAGAIN where another one has it. Does not block. */
MUST_CHECK int fifo_claim(int fd, enum fifo_end end);

#endif

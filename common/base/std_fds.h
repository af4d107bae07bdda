/*
 * std_fds.h - a program may be started with stdin, stdout or stderr closed; the next file it opens
 * would then get that number, and log lines or frames would go into it.
 */
#ifndef PG2ANY_STD_FDS_H
#define PG2ANY_STD_FDS_H

/* Call it first in main(). Closed descriptors are opened so that reading from stdin or writing to
 * the others fails. */
void std_fds_reserve(void);

#endif

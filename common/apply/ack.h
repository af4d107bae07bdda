/*
 * ack.h - tells pg-capture through a FIFO which LSN is durable at the target: "%X/%X\n" a line.
 *
 * Lines are shorter than PIPE_BUF, so they arrive whole. A line stays true for ever, and a later
 * one covers earlier ones. So when the FIFO is full, the line waits, and a newer one replaces it.
 *
 * Only one applier writes to the FIFO: the LSNs of two targets in one FIFO would be mistaken for
 * those of one.
 *
 * The reader may leave first: pg-capture exits after its last frame, which may still be on its way
 * here. So a missing reader is an error only if the input goes on for a while.
 */
#ifndef PG2ANY_ACK_H
#define PG2ANY_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ack {
    const char *path; /* NULL: no acknowledgements */
    int fd;           /* -1: not open */
    uint64_t sent_lsn;
    uint64_t waiting_lsn; /* 0: nothing waits */
    int64_t gone_ms;      /* monotonic: when the reader was found gone; 0: it was not */
    int64_t timeout_ms;   /* as ack_open() was told */
};

void ack_init(struct ack *a, const char *path);
void ack_close(struct ack *a);

/*
 * Opens the FIFO, which its reader creates before it sends the first frame; polls for it for at
 * most `timeout_ms`, in case an old one is being replaced. Temporary error if no reader appears, if
 * another process keeps it, if `stop_fd` becomes readable first, or if the writer of `input_fd`, a
 * pipe, is gone (then the FIFO's reader is gone, too). -1: no such descriptor.
 */
MUST_CHECK int ack_open(struct ack *a, int64_t timeout_ms, int stop_fd, int input_fd,
                        struct err *err);

/* Sends an LSN without blocking, unless the same or a later one was sent already. */
MUST_CHECK int ack_send(struct ack *a, uint64_t lsn, struct err *err);

/* Sends whole lines of another kind, waiting for room in the FIFO as long as ack_open() did. */
MUST_CHECK int ack_tell(struct ack *a, const char *lines, size_t size, int stop_fd,
                        struct err *err);

/* Sends what waits; call it when poll(2) says that the descriptor can take more. */
MUST_CHECK int ack_flush(struct ack *a, struct err *err);

/* Sends what waits before leaving: waits for room in the FIFO for at most `timeout_ms`. */
MUST_CHECK int ack_drain(struct ack *a, int timeout_ms, struct err *err);

/* poll(2) reported an error on the descriptor: its reader is gone. */
void ack_reader_gone(struct ack *a);

/* Temporary error when the reader has been gone for too long. */
MUST_CHECK int ack_check(const struct ack *a, struct err *err);

/* Milliseconds until ack_check() becomes an error; -1: never. */
int ack_wait_ms(const struct ack *a);

#endif

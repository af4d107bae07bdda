/*
 * frame_seal.h - what version 2 of the format adds to the frames of a stream, so that a reader
 * notices where something in it was changed, lost, repeated or put elsewhere since it was written.
 *
 * The checksum of a stream is XXH3 (64 bits) of each frame with the checksum before it as the seed,
 * from 0 at a hello. A frame that describes or ends something on which a reader may act carries it
 * as its last field. So each of these vouches for every byte since the hello.
 *
 * A hello says what its writer had come to before it, 0 at first, so that a later one is bound to
 * all that stands before. A begin and a stream commit carry the end LSN of the transaction before,
 * which says more when a whole transaction is missing, and says it also to a reader without XXH3.
 *
 * These fields have a fixed size, stand behind all others, and are known only here: a writer adds
 * them to frames that are ready (frame_output.h), a reader checks them and takes them away
 * (frame_reader.h). To everyone else a frame looks the same in both versions.
 */
#ifndef PG2ANY_FRAME_SEAL_H
#define PG2ANY_FRAME_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame_head.h"

/* What is known of a stream up to some place in it. Zeroed: its beginning. */
struct frame_seal {
    uint32_t version;      /* of the last hello; 0: none has come, or the end after it */
    uint64_t checksum;     /* of everything from that hello on */
    uint64_t last_end_lsn; /* of the last transaction; 0: none has come since that hello */
};

/* How many bytes are added to a frame of this type. */
size_t frame_seal_size(enum frame_type type);

/*
 * Adds what belongs to the whole frames that are in `out` from `*at` on, which moves to its end. A
 * hello becomes one of this version, whatever it was. What comes behind a frame that grows is
 * moved. No memory marks the buffer as failed.
 */
void frame_seal_add(struct frame_seal *s, struct buf *out, size_t *at);

/*
 * Checks the next frame of a stream, the bytes of which the caller owns; of version 2, takes away
 * what was added, so that `f` and its header in `bytes` are without. A frame of version 1, before
 * the first hello or behind the end stays as it is. Permanent error where it does not fit to what
 * came before it, and for a hello that cannot be read.
 */
MUST_CHECK int frame_seal_check(struct frame_seal *s, uint8_t *bytes, struct frame *f,
                                struct err *err);

#endif

/*
 * sealed.h - streams of frames as they stand in a file: complete, or as a reader has them.
 */
#ifndef PG2ANY_TESTS_SEALED_H
#define PG2ANY_TESTS_SEALED_H

#include "base/buf.h"
#include "base/err.h"

/* Completes the frames, which begin with a hello. */
void seal(struct buf *frames);

/* The frames of a script (frame_script.h), complete. */
void sealed_script(struct buf *out, const char *script);

/*
 * Appends the frames of a stream, to an empty buffer, as its reader hands them out, up to the first
 * fault: -1. Permanent also where it does not begin with a hello or does not end with an end frame.
 */
MUST_CHECK int read_sealed(const struct buf *stream, struct buf *frames, struct err *err);

/* Where the n-th frame begins in a stream; its end where there are only n. */
size_t frame_place(const struct buf *stream, size_t n);

/* Takes the frames `from` … `to` - 1 out of a stream; puts them, once more, before frame `at`. */
void cut_frames(struct buf *stream, size_t from, size_t to);
void repeat_frames(struct buf *stream, size_t from, size_t to, size_t at);

#endif

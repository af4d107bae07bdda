/*
 * audit.h - a file of everything that was passed on, in files that can each be read by themselves.
 *
 * The file takes frames as they come, whole. The end frame is left out, because the file goes on;
 * of progress frames in a row the last stays, in the place of those before it. At its size, between
 * two transactions, it is renamed to FILE.<the last LSN in it, 16 hexadecimal digits> and a new one
 * begun with a hello and every relation known. That hello's start LSN is where the file before
 * ended, so that an applier notices when one is missing. The oldest beyond `keep` are removed.
 *
 * The file is of the version that is written, with checksums of its own, whatever the input was; a
 * part of it that is of version 1 stays so. They go on from one process to the next, and from one
 * file to the next.
 *
 * While transactions come again that are in the files already, it is not renamed. After a restart
 * the file is gone on with; a frame that a crash cut short is cut off. A crash of
 * the pipeline repeats transactions, behind a new hello, as in any stream: who reads must do as
 * docs/FRAMES.md says. Written before it is passed on, but not synced: what the machine loses in a
 * power failure may be missing here.
 */
#ifndef PG2ANY_AUDIT_H
#define PG2ANY_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/frame_seal.h"
#include "frames/relmap.h"

struct audit {
    const char *path; /* NULL: there is none; borrowed */
    uint64_t max_bytes;
    uint64_t keep;
    int fd;
    uint64_t size;
    bool open;            /* within a transaction */
    uint64_t last_lsn;    /* everything up to here is in the files; 0: nothing yet */
    uint64_t rotated_lsn; /* the same of the newest file that was renamed */
    struct buf tail; /* the last frame, where it is a progress frame: in `pending` or the file */
    struct buf replaced;     /* that at the file's end which `pending` takes the place of */
    struct buf hello;        /* the last one, header included, without its checksum */
    struct buf due;          /* the copy due frames since then */
    struct relmap relations; /* as they were described last */
    struct buf pending;      /* frames that are not written yet */
    size_t sealed;           /* of these, bytes of complete ones */
    struct frame_seal seal, before_tail; /* at the end of them; where `tail` begins */
    uint64_t written_bytes, files;
};

/* Opens the file, or makes it (0600), and goes to its end. Temporary error where another process
 * writes it, permanent where it is something else. */
MUST_CHECK int audit_open(struct audit *a, const char *path, uint64_t max_bytes, uint64_t keep,
                          struct err *err);

/* The first one is a hello. */
MUST_CHECK int audit_frame(struct audit *a, const struct frame *f, struct err *err);

/* Writes what is pending. Blocks as a file does. A full disk is a temporary error. */
MUST_CHECK int audit_flush(struct audit *a, struct err *err);

void audit_close(struct audit *a);

#endif

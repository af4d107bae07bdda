/*
 * spill_file.h - a file for what does not fit into memory, in blocks that are read back later.
 *
 * The file has no name as soon as it is open: it vanishes with the process, however that ends.
 *
 *     block := payload length, u32 big-endian | XXH3 64-bit checksum, u64 big-endian | payload
 *
 * The checksum is seeded with the block's offset in the file, so that a misplaced block is detected
 * too. Nothing is synced: after a crash the server sends everything again.
 *
 * Failures of the disk and damaged blocks are temporary errors. If a file cannot be created or
 * written, errno says why, and the caller says what to do. Writing and reading block as for a file.
 */
#ifndef PG2ANY_SPILL_FILE_H
#define PG2ANY_SPILL_FILE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SPILL_HEADER_SIZE 12 /* of a block, before its payload */

/* Directory for spill files without --spill-dir: $TMPDIR, else /var/tmp. */
const char *spill_dir_default(const char *chosen);

/*
 * Checks that a spill file can be created, and removes files left by a process that was killed
 * between creating and unlinking one. Failure is permanent: the directory must be corrected.
 */
MUST_CHECK int spill_dir_check(const char *dir, struct err *err);

MUST_CHECK int spill_open(const char *dir, int *fd, struct err *err);

/* Writes a block at `offset`; the next one belongs at offset + SPILL_HEADER_SIZE + size. If it
 * fails, the file contains nothing valid from `offset` on. */
MUST_CHECK int spill_write(int fd, const char *dir, uint64_t offset, const void *payload,
                           size_t size, struct err *err);

/* Appends the payload of the block at `offset` to `out`. No block reaches beyond `end`. */
MUST_CHECK int spill_read(int fd, const char *dir, uint64_t offset, uint64_t end, struct buf *out,
                          struct err *err);

#endif

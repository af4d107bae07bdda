/*
 * spill_file.h - a file for what does not fit into memory, in blocks that are read back later.
 *
 * The file has no name as soon as it is open: it vanishes with the process, however that ends.
 *
 *     block := payload length, u32 big-endian | XXH3 64-bit checksum, u64 big-endian | payload
 *
 * The checksum is seeded with the block's offset in the file, so that a block in another's place
 * is noticed too. Nothing is synced: after a crash the server sends everything again.
 *
 * Failures of the disk and damaged blocks are temporary errors. Where a file cannot be made or
 * written errno says why, and the caller what to do about it. Writing and reading block as a file
 * does.
 */
#ifndef PG2ANY_SPILL_FILE_H
#define PG2ANY_SPILL_FILE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SPILL_HEADER_SIZE 12 /* of a block, before its payload */

/* Where spill files are made if no --spill-dir says it: $TMPDIR, else /var/tmp. */
const char *spill_dir_default(const char *chosen);

/*
 * Tries whether a spill file can be made, and removes files that a process killed between the
 * making and the unlinking of one has left. Failure is permanent: the directory has to be mended.
 */
MUST_CHECK int spill_dir_check(const char *dir, struct err *err);

MUST_CHECK int spill_open(const char *dir, int *fd, struct err *err);

/* Writes a block at `offset`; the next one comes at offset + SPILL_HEADER_SIZE + size. Where it
 * fails what is behind `offset` holds nothing. */
MUST_CHECK int spill_write(int fd, const char *dir, uint64_t offset, const void *payload,
                           size_t size, struct err *err);

/* Appends the payload of the block at `offset` to `out`. No block reaches beyond `end`. */
MUST_CHECK int spill_read(int fd, const char *dir, uint64_t offset, uint64_t end, struct buf *out,
                          struct err *err);

#endif

/*
 * frame_script.h - frames as short text, for tests: what goes in is written, what comes out is
 * compared.
 *
 * One frame a line (or between semicolons), fields separated by blanks; LSNs and all numbers
 * decimal:
 *
 *     H start_lsn                 R relid version               Y oid
 *     B xid final_lsn             C xid commit_lsn end_lsn nchanges
 *     I xid relid value           U xid relid value             D xid relid value
 *     T xid relid[,relid]...      O name                        M xid text
 *     S xid first                 E                             c xid commit_lsn end_lsn
 *     A xid subxid                K xid commit_lsn end_lsn gid  r xid gid
 *     b xid prepare_lsn gid       P xid prepare_lsn gid         p xid prepare_lsn gid
 *     k lsn                       Z why last_lsn
 *     W relid                     X relid chunk lsn           x relid rows [next]
 *
 * What follows "@N" has a time N microseconds after that of the rest: B, C and k.
 * An M of xid 0 is not transactional.
 * An R's relation is "t<relid>" in schema public with the columns "id" (the key) and "v<version>",
 * so that each version gives another frame; after a version that ends in ? the catalog did not
 * know the second column. A change has the value in its first column; a value of
 * the form 'x*N' is N letters x.
 */
#ifndef PG2ANY_TESTS_FRAME_SCRIPT_H
#define PG2ANY_TESTS_FRAME_SCRIPT_H

#include <stddef.h>

#include "base/buf.h"

/* Appends the frames of the script; a mistake in it fails the test. */
void script_frames(struct buf *out, const char *script);

/* Appends the script of the frames, one per line. Bytes that are not whole frames give the line
 * "?". */
void frames_script(struct buf *out, const void *frames, size_t size);

#endif

/*
 * frame_json.h - one frame as one JSON object on a line. docs/FRAMES.md, "frame-dump", lists the
 * fields.
 */
#ifndef PG2ANY_FRAME_JSON_H
#define PG2ANY_FRAME_JSON_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/relmap.h"

/*
 * Appends the line for a frame that begins at byte `offset` of the input. `relations` holds the
 * relations up to and with this frame. Permanent error: the body does not hold the type's fields,
 * and nothing is appended.
 */
MUST_CHECK int frame_json(const struct frame *f, uint64_t offset, struct relmap *relations,
                          struct buf *out, struct err *err);

#define FRAME_JSON_TYPE_SIZE 32

/* Writes the type's name to `text` and returns it: "stream_start", a word that jq takes without
 * quotes. */
const char *frame_json_type(enum frame_type type, char text[FRAME_JSON_TYPE_SIZE]);

#endif

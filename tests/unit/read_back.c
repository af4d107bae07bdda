#include "read_back.h"

#include "base/buf.h"

struct relation *read_back(const struct relation *rel)
{
    struct buf frame = {0};
    struct relation *read;
    struct err err = {0};
    relation_to_frame(rel, &frame);
    if (buf_check(&frame, &err) || relation_from_bytes(frame.data, frame.len, &read, &err))
        BUG(err.text);
    buf_free(&frame);
    return read;
}

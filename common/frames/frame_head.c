#include "frames/frame_head.h"

static const char *const names[] = {
    [FRAME_HELLO] = "hello",
    [FRAME_RELATION] = "relation",
    [FRAME_TYPE] = "type",
    [FRAME_BEGIN] = "begin",
    [FRAME_INSERT] = "insert",
    [FRAME_UPDATE] = "update",
    [FRAME_DELETE] = "delete",
    [FRAME_TRUNCATE] = "truncate",
    [FRAME_COMMIT] = "commit",
    [FRAME_STREAM_START] = "stream start",
    [FRAME_STREAM_STOP] = "stream stop",
    [FRAME_STREAM_COMMIT] = "stream commit",
    [FRAME_STREAM_ABORT] = "stream abort",
    [FRAME_BEGIN_PREPARE] = "begin prepare",
    [FRAME_PREPARE] = "prepare",
    [FRAME_COMMIT_PREPARED] = "commit prepared",
    [FRAME_ROLLBACK_PREPARED] = "rollback prepared",
    [FRAME_STREAM_PREPARE] = "stream prepare",
    [FRAME_ORIGIN] = "origin",
    [FRAME_MESSAGE] = "message",
    [FRAME_PROGRESS] = "progress",
    [FRAME_COPY_DUE] = "copy due",
    [FRAME_COPY_BEGIN] = "copy begin",
    [FRAME_COPY_END] = "copy end",
    [FRAME_END] = "end",
};

#define NAMES (sizeof names / sizeof *names)

bool frame_type_known(uint8_t type)
{
    return type < NAMES && names[type];
}

const char *frame_type_name(enum frame_type type)
{
    return frame_type_known((uint8_t)type) ? names[type] : "unknown";
}

bool frame_is_change(enum frame_type type)
{
    return type == FRAME_INSERT || type == FRAME_UPDATE || type == FRAME_DELETE ||
           type == FRAME_TRUNCATE;
}

int frame_header(const uint8_t *header, enum frame_type *type, uint32_t *size, struct err *err)
{
    if (header[0] != FRAME_MARK)
        return err_set(err, ERR_PERMANENT, "not a frame: it begins with 0x%02X instead of 0xC9",
                       header[0]);
    uint32_t n = (uint32_t)header[1] << 24 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 8 |
                 header[4];
    if (!frame_type_known(header[5]))
        return err_set(err, ERR_PERMANENT, "a frame of unknown type 0x%02X", header[5]);
    if (n > FRAME_BODY_MAX)
        return err_set(err, ERR_PERMANENT, "a frame of %u bytes, more than the limit of %u", n,
                       FRAME_BODY_MAX);
    *type = (enum frame_type)header[5];
    *size = n;
    return 0;
}

void frame_write_header(uint8_t *header, enum frame_type type, uint32_t size)
{
    header[0] = FRAME_MARK;
    header[1] = (uint8_t)(size >> 24);
    header[2] = (uint8_t)(size >> 16);
    header[3] = (uint8_t)(size >> 8);
    header[4] = (uint8_t)size;
    header[5] = (uint8_t)type;
}

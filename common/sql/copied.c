#include "sql/copied.h"

#include <string.h>

#include "base/lsn.h"
#include "sql/own.h"

#define MARK "copied "

void copied_put(struct buf *out, uint64_t lsn, const char *snapshot, size_t size)
{
    buf_printf(out, MARK "%s ", LSN(lsn));
    buf_append(out, snapshot, size);
    buf_append_byte(out, '\n');
}

static int parse_line(struct copied *c, const char *line, size_t size, struct err *err)
{
    const char *blank = memchr(line, ' ', size);
    if (!blank || !lsn_parse(line, (size_t)(blank - line), &c->lsn))
        return err_set(err, ERR_PERMANENT, "a copy without its LSN");
    return snapshot_parse(&c->snapshot, blank + 1, size - (size_t)(blank + 1 - line), err);
}

int copied_parse(struct copied *c, const struct buf *frame, size_t *size, struct err *err)
{
    const size_t mark = sizeof MARK - 1;
    *size = 0;
    *c = (struct copied){0};
    if (frame->len < mark || memcmp(frame->data, MARK, mark) != 0)
        return 0;
    const char *line = (const char *)frame->data + mark;
    const char *end = memchr(line, '\n', frame->len - mark);
    if (!end)
        return err_set(err, ERR_PERMANENT, RELATION_TABLE " holds a copy that does not end");
    *size = (size_t)(end + 1 - (const char *)frame->data);
    return parse_line(c, line, (size_t)(end - line), err) ? err_context(err, RELATION_TABLE) : 0;
}

void copied_free(struct copied *c)
{
    snapshot_free(&c->snapshot);
    c->lsn = 0;
}

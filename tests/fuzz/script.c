#include "tests/fuzz/script.h"

#include <string.h>

struct writer {
    struct buf *out;
    uint64_t lsn;
    unsigned open;  /* the transaction or block that is open; 0: none */
    unsigned sub;   /* what changes in it are of */
    unsigned n;     /* changes since it was opened */
    unsigned value; /* how many were inserted */
};

#define WRONG(arg) ((arg) >= 0xf0)

/* Of the open transaction; of another where the argument is wrong, or none is open. */
static unsigned xid_of(const struct writer *w, unsigned arg)
{
    return w->open && !WRONG(arg) ? w->open : 10 + arg % 4;
}

/* In a block a subtransaction's, with the last digit of its transaction's. */
static unsigned change_xid(const struct writer *w, unsigned arg)
{
    return w->sub && !WRONG(arg) && arg & 4 ? xid_of(w, arg) + 10 * (1 + (arg >> 3) % 2)
                                            : xid_of(w, arg);
}

static void put_change(struct writer *w, char type, unsigned arg)
{
    unsigned xid = change_xid(w, arg), relid = 1 + arg % 3;
    unsigned value = type == 'I' ? w->value++ : arg % (w->value + 1);
    buf_printf(w->out, "%c %u %u v%u\n", type, xid, relid, value);
    w->n++;
}

static void begin(struct writer *w, unsigned xid, bool sub)
{
    w->open = xid;
    w->sub = sub;
    w->n = 0;
}

static void put_end(struct writer *w, char type, unsigned arg)
{
    unsigned xid = xid_of(w, arg);
    w->lsn += 10;
    uint64_t lsn = w->lsn - (WRONG(arg) ? arg : 0) % w->lsn;
    switch (type) {
    case 'C':
        buf_printf(w->out, "C %u %lu %lu %u\n", xid, lsn, lsn + 5, w->n + (arg == 0xff));
        break;
    case 'c':
        buf_printf(w->out, "c %u %lu %lu\n", xid, lsn, lsn + 5);
        break;
    case 'K':
        buf_printf(w->out, "K %u %lu %lu g%u\n", xid, lsn, lsn + 5, xid);
        break;
    default:
        buf_printf(w->out, "%c %u %lu g%u\n", type, xid, lsn, xid);
    }
    w->open = 0;
}

static void put_frame(struct writer *w, char type, unsigned arg)
{
    unsigned xid = 10 + arg % 4;
    switch (type) {
    case 'H':
        buf_printf(w->out, "H %lu\n", arg & 8 ? w->lsn : 1);
        w->open = 0;
        break;
    case 'R':
        buf_printf(w->out, "R %u %c\n", 1 + arg % 3, arg & 8 ? 'b' : 'a');
        break;
    case 'B': /* its C has the LSN of before */
        buf_printf(w->out, "B %u %lu\n", xid, w->lsn + 10);
        begin(w, xid, false);
        break;
    case 'b':
        buf_printf(w->out, "b %u %lu g%u\n", xid, w->lsn + 10, xid);
        begin(w, xid, false);
        break;
    case 'S':
        buf_printf(w->out, "S %u %u\n", xid, arg >> 2 & 1);
        begin(w, xid, true);
        break;
    case 'E':
        buf_printf(w->out, "E\n");
        w->open = 0;
        break;
    case 'I':
    case 'U':
    case 'D':
        put_change(w, type, arg);
        break;
    case 'T':
        buf_printf(w->out, "T %u %u,%u\n", change_xid(w, arg), 1 + arg % 3, 1 + arg / 3 % 3);
        w->n++;
        break;
    case 'A':
        buf_printf(w->out, "A %u %u\n", xid, arg & 4 ? xid + 10 * (1 + (arg >> 3) % 2) : xid);
        break;
    case 'r':
        buf_printf(w->out, "r %u g%u\n", xid, xid);
        break;
    case 'M':
        buf_printf(w->out, "M %u text\n", arg & 4 ? 0 : xid_of(w, arg));
        break;
    case 'k':
        buf_printf(w->out, "k %lu\n", w->lsn + (arg & 1));
        break;
    case 'Z':
        buf_printf(w->out, "Z why %lu\n", w->lsn);
        break;
    case 'Y':
        buf_printf(w->out, "Y 5\n");
        break;
    case 'O':
        buf_printf(w->out, "O node\n");
        break;
    default:
        put_end(w, type, arg);
    }
}

void script_of(struct input *in, unsigned max, struct buf *script)
{
    static const char types[] = "IUDRBCSEcAbPKrpMkTHYOZ";
    struct writer w = {.out = script, .lsn = 100};
    buf_append_str(script, "H 1\nR 1 a\n");
    for (unsigned i = 0; i < max && input_left(in) > 0; i++) {
        char type = types[input_below(in, sizeof types - 1)];
        put_frame(&w, type, input_u8(in));
    }
}

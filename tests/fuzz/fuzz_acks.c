/*
 * fuzz_acks.c - any bytes as what comes out of an acknowledgement FIFO, in pieces.
 *
 * An input is the limit and the size of a piece, then the lines. What must hold: what is read is
 * what a reader of whole lines finds, whatever the pieces are.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lsn.h"
#include "pg-capture/acks.h"
#include "tests/fuzz/input.h"

struct heard {
    bool spoken, told, all;
    uint64_t lsn;
};

/* A relid: digits, the first of which is no 0. */
static bool is_relid(const char *text, size_t size)
{
    uint64_t relid = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < (i ? '0' : '1') || text[i] > '9' || relid > UINT32_MAX)
            return false;
        relid = relid * 10 + (uint64_t)(text[i] - '0');
    }
    return size > 0 && relid <= UINT32_MAX;
}

/* A line about copies. */
static bool is_of_copies(const char *line, size_t len, struct heard *h)
{
    const char *blank = memchr(line, ' ', len);
    size_t word = blank ? (size_t)(blank - line) : len;
    const char *rest = blank ? blank + 1 : line + len;
    size_t size = (size_t)(line + len - rest);
    bool copied = word == 6 && memcmp(line, "copied", 6) == 0;
    if (memchr(line, '\0', len))
        return false;
    if (copied && (!blank || (size == 1 && *rest == '*'))) {
        h->told = true;
        h->all = blank != NULL;
        return true;
    }
    if (word == 7 && memcmp(line, "copying", 7) == 0) {
        blank = memchr(rest, ' ', size);
        return blank && is_relid(rest, (size_t)(blank - rest)) && blank + 1 < line + len;
    }
    return (copied ||
            (word == 5 && (memcmp(line, "whole", 5) == 0 || memcmp(line, "again", 5) == 0))) &&
           is_relid(rest, size);
}

/* The same once more, slowly: what the lines say, with the largest LSN; false where one is none or
 * too large, or where what is left cannot become one. */
static bool read_lines(const char *text, size_t size, uint64_t limit, struct heard *h)
{
    *h = (struct heard){0};
    for (const char *end = text + size; text < end;) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((line_end ? line_end : end) - text);
        char line[ACK_LINE_MAX];
        unsigned int high, low;
        int n = 0;
        if (len >= ACK_LINE_MAX)
            return false;
        if (!line_end)
            return true;
        if (is_of_copies(text, len, h)) {
            text = line_end + 1;
            continue;
        }
        memcpy(line, text, len);
        line[len] = '\0';
        if (strspn(line, "0123456789abcdefABCDEF/") != len ||
            sscanf(line, "%8X/%8X%n", &high, &low, &n) != 2 || (size_t)n != len)
            return false;
        uint64_t now = (uint64_t)high << 32 | low;
        if (now > limit)
            return false;
        h->spoken = true;
        h->lsn = now > h->lsn ? now : h->lsn;
        text = line_end + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    uint64_t limit = input_number(&in, 8);
    size_t piece = 1 + input_u8(&in), n;
    bool good = true;
    struct heard heard;
    char *text = input_bytes(&in, 16384, &n);
    int ends[2];
    check(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "no pipe");
    struct acks a = {.n = 1, .fifos = {{.path = "acks", .fd = ends[0]}}};
    struct err err = {0};
    for (size_t at = 0; good && at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        check(write(ends[1], text + at, len) == (ssize_t)len, "cannot write");
        good = acks_read(&a, 0, limit, &err) == 0;
    }
    if (!good)
        check_refusal(&err);
    check(good == read_lines(text, n, limit, &heard), "lines are taken otherwise");
    check(!good || acks_lsn(&a) == (heard.spoken ? heard.lsn : 0), "another LSN is taken");
    check(!good || acks_have_told(&a) == heard.told, "it has told all, or not");
    check(!good || a.fifos[0].all == heard.all, "it has all, or not");
    acks_hello(&a); /* forgets the copies */
    (void)close(ends[0]);
    (void)close(ends[1]);
    free(text);
    return 0;
}

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

/* The same once more, slowly: the largest LSN of the lines; false where one is none or too large,
 * or where what is left cannot become one. */
static bool read_lines(const char *text, size_t size, uint64_t limit, bool *spoken, uint64_t *lsn)
{
    *spoken = false;
    *lsn = 0;
    for (const char *end = text + size; text < end;) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((line_end ? line_end : end) - text);
        char line[ACK_LINE_MAX + 1];
        unsigned int high, low;
        int n = 0;
        if (len > ACK_LINE_MAX)
            return false;
        if (!line_end)
            return true;
        memcpy(line, text, len);
        line[len] = '\0';
        if (strspn(line, "0123456789abcdefABCDEF/") != len ||
            sscanf(line, "%8X/%8X%n", &high, &low, &n) != 2 || (size_t)n != len)
            return false;
        uint64_t now = (uint64_t)high << 32 | low;
        if (now > limit)
            return false;
        *spoken = true;
        *lsn = now > *lsn ? now : *lsn;
        text = line_end + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    uint64_t limit = input_number(&in, 8), lsn;
    size_t piece = 1 + input_u8(&in), n;
    bool spoken, good = true;
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
    check(good == read_lines(text, n, limit, &spoken, &lsn), "lines are taken otherwise");
    check(!good || acks_lsn(&a) == (spoken ? lsn : 0), "another LSN is taken");
    (void)close(ends[0]);
    (void)close(ends[1]);
    free(text);
    return 0;
}

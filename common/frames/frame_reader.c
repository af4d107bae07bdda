#include "frames/frame_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INITIAL_SIZE (256 * 1024)
#define FINISH_MS    100 /* for the second file of a cat to come */

void frame_reader_init(struct frame_reader *r, int fd)
{
    *r = (struct frame_reader){.fd = fd};
}

void frame_reader_free(struct frame_reader *r)
{
    free(r->data);
    *r = (struct frame_reader){.fd = -1};
}

enum frame_reader_status frame_reader_next(struct frame_reader *r, struct frame *f, struct err *err)
{
    size_t have = r->end - r->start;
    if (have == 0)
        return FRAME_READER_MORE;
    uint8_t *at = r->data + r->start;
    /* What is no frame at all is said at its first byte, not taken for one that is cut short. */
    if (have < FRAME_HEADER_SIZE && *at == FRAME_MARK)
        return FRAME_READER_MORE;
    uint8_t header[FRAME_HEADER_SIZE] = {0};
    memcpy(header, at, have < sizeof header ? have : sizeof header);
    if (frame_header(header, &f->type, &f->size, err)) {
        (void)err_context(err, "byte %" PRIu64 " of the input", r->offset);
        return FRAME_READER_ERROR;
    }
    if (have - FRAME_HEADER_SIZE < f->size)
        return FRAME_READER_MORE;
    f->body = at + FRAME_HEADER_SIZE;
    size_t length = frame_length(f);
    if (frame_seal_check(&r->seal, at, f, err)) {
        (void)err_context(err, "byte %" PRIu64 " of the input", r->offset);
        return FRAME_READER_ERROR;
    }
    r->start += length;
    r->offset += length;
    return FRAME_READER_FRAME;
}

int frame_reader_fill(struct frame_reader *r, struct err *err)
{
    size_t have = r->end - r->start;
    if (r->cap > INITIAL_SIZE && have <= INITIAL_SIZE / 2) {
        uint8_t *small = malloc(INITIAL_SIZE);
        if (small) {
            memcpy(small, r->data + r->start, have);
            free(r->data);
            r->data = small;
            r->cap = INITIAL_SIZE;
            r->start = 0;
            r->end = have;
        }
    }
    if (r->start > 0 && (have == 0 || r->cap - r->end < r->cap / 2)) {
        memmove(r->data, r->data + r->start, have);
        r->start = 0;
        r->end = have;
    }
    if (r->end == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : INITIAL_SIZE;
        uint8_t *data = realloc(r->data, cap);
        if (!data)
            return err_nomem(err);
        r->data = data;
        r->cap = cap;
    }
    ssize_t n = read(r->fd, r->data + r->end, r->cap - r->end);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        return err_errno(err, ERR_TEMPORARY, "reading the input");
    }
    if (n == 0)
        r->eof = true;
    r->end += (size_t)n;
    return n > 0;
}

int frame_reader_finish(struct frame_reader *r, struct err *err)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    if (frame_reader_left(r) == 0 && !r->eof && poll(&p, 1, FINISH_MS) > 0 &&
        frame_reader_fill(r, err) < 0)
        return -1;
    if (frame_reader_left(r) == 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "the input goes on after the end frame at byte %" PRIu64,
                  r->offset);
    return err_hint(err, "give each stream to a separate run of the program");
}

int frame_reader_cut(const struct frame_reader *r, struct err *err)
{
    struct stat st;
    uint64_t ended = r->offset + frame_reader_left(r);
    (void)err_set(err, ERR_TEMPORARY, "the input ended at byte %" PRIu64 " without an end frame%s",
                  ended, frame_reader_left(r) ? ", in the middle of a frame" : "");
    if (fstat(r->fd, &st) == 0 && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return err_hint(err, "the file was cut, or its writer crashed or was killed");
    (void)err_follows(err);
    return err_hint(err, "the preceding program in the pipeline says why, unless it was killed");
}

/*
 * input.h - what fuzz targets share: an input as a sequence of numbers and texts, and what must
 * hold.
 *
 * An input that is at its end gives zeros and empty texts, so that every one is of the form.
 */
#ifndef PG2ANY_FUZZ_INPUT_H
#define PG2ANY_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *pos, *end;
};

struct input input(const uint8_t *data, size_t size);
static inline size_t input_left(const struct input *in)
{
    return (size_t)(in->end - in->pos);
}

uint8_t input_u8(struct input *in);
uint64_t input_number(struct input *in, int bytes); /* big-endian */

/* From 0 to n - 1; n is at most 256. */
unsigned input_below(struct input *in, unsigned n);

/* The next `size` bytes, or what is left: in a block of its own, so that a read beyond it is seen,
 * with a zero behind. To be freed. `*got` may be NULL. */
char *input_bytes(struct input *in, size_t size, size_t *got);

/* What comes before the next zero byte, which is taken too, or all that is left. To be freed. */
char *input_text(struct input *in);

/* The bytes in a file of their own, from its beginning; to be closed. */
int file_of(const void *data, size_t size);

/* Where it can be opened again, as long as it is open. */
struct fd_path {
    char text[32];
};
struct fd_path path_of(int fd);

/* Ends the program where it does not hold. */
void check(bool holds, const char *what);

/* An error is permanent, and has a text. */
void check_refusal(const struct err *err);

#endif

/*
 * binary.h - values in PostgreSQL's binary format, turned into the text that PostgreSQL itself
 * prints.
 *
 * pgoutput sends values in binary when asked to (option `binary`). Frames carry text, so that
 * nothing downstream depends on the choice: what comes out here is, byte for byte, what the type's
 * output function gives in a session with DateStyle 'ISO, YMD', TimeZone UTC, IntervalStyle
 * postgres and extra_float_digits 1 or more, in PostgreSQL 14 to 18.
 *
 * A type is named by its oid (pg_type.h); for a domain, that of its base type. Types that
 * extensions and users define are not known here; the binary form of an enum is its label
 * (enum_send), so that a caller who knows from pg_type.typtype that the type is an enum may treat
 * it as BINARY_TEXT.
 *
 * Three edges where servers differ among themselves:
 * - "char" above 127 comes as \ooo, as PostgreSQL 16 and later print it and as is valid UTF-8; 15
 * and earlier print the byte itself.
 * - An interval with the extreme in all three fields is infinity, as since PostgreSQL 17; before,
 * the same bits are 178 million years.
 * - xml is the same text in both formats only where the client's encoding is UTF-8, which is what
 * frames carry.
 *
 * The forms are those of the types' send functions (boolsend, numeric_send in numeric.c, inet_send
 * in network.c, ...), the texts those of their output functions (EncodeDateTime and EncodeInterval
 * in datetime.c, ...).
 */
#ifndef PG2ANY_BINARY_H
#define PG2ANY_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum binary_form {
    BINARY_UNSUPPORTED, /* no conversion: the source has to be read in text mode */
    BINARY_TEXT,        /* the binary form is the text: pass it on as it is, no copy needed */
    BINARY_BYTES,       /* bytea: the bytes themselves, which are what a frame carries */
    BINARY_CONVERT,     /* needs binary_to_text() */
};

enum binary_form binary_form(uint32_t type_oid);

/* Any form but BINARY_UNSUPPORTED. */
bool binary_supported(uint32_t type_oid);

/*
 * Appends the text of the value `data`, `size` bytes of it, to `out`, without a terminating zero.
 * For the forms BINARY_TEXT and BINARY_BYTES that is a plain copy. `data` is only read, and may not
 * lie in `out`.
 *
 * A value that no PostgreSQL can have sent (wrong length, field out of range) and an unsupported
 * type are ERR_PERMANENT, with the type but not the value in the message; out of memory is
 * ERR_TEMPORARY. After an error `out` holds what it held before.
 */
MUST_CHECK int binary_to_text(uint32_t type_oid, const uint8_t *data, size_t size, struct buf *out,
                              struct err *err);

#endif

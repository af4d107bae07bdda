/*
 * utf8.h - where characters end, whether text is UTF-8 (RFC 3629).
 */
#ifndef PG2ANY_UTF8_H
#define PG2ANY_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at `p`, which is before `end`; 0: there is none. */
size_t utf8_character(const unsigned char *p, const unsigned char *end);

/* Whether that is UTF-8 from its first byte to its last. Quick where it is ASCII. */
bool utf8_valid(const void *text, size_t size);

#endif

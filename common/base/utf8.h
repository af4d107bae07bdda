/*
 * utf8.h - where characters end (RFC 3629).
 */
#ifndef PG2ANY_UTF8_H
#define PG2ANY_UTF8_H

#include <stddef.h>

/* Bytes of the character at `p`, which is before `end`; 0: there is none. */
size_t utf8_character(const unsigned char *p, const unsigned char *end);

#endif

/*
 * html.h - writes HTML. What is put in is always escaped, in text and in quoted attributes alike,
 * so that names and messages, which anyone may have chosen, are only that.
 */
#ifndef PG2ANY_HTML_H
#define PG2ANY_HTML_H

#include "base/buf.h"

/* As printf, with %s alone; what it stands for is escaped. Failures as buf.h has them. */
void html(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

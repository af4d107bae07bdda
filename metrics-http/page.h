/*
 * page.h - what people are shown of the pipelines: the page at /, the same as a few lines of text,
 * and /status.json.
 *
 * The words are made here alone: the page's script (page/page.js) fetches the page again and takes
 * its parts over, and draws curves of what /status.json has. Each appends to `out`, which has
 * failed where there was no memory.
 */
#ifndef PG2ANY_PAGE_H
#define PG2ANY_PAGE_H

#include "base/buf.h"
#include "health.h"

void page_put_html(const struct health *h, struct buf *out);
void page_put_text(const struct health *h, struct buf *out);
void page_put_json(const struct health *h, struct buf *out);

#endif

/*
 * assets.h - the files of metrics-http/page/, which are part of the program.
 */
#ifndef PG2ANY_ASSETS_H
#define PG2ANY_ASSETS_H

struct asset {
    const char *path; /* in a URL */
    const char *type;
    const char *begin, *end;
};

extern const struct asset assets[]; /* ended by path NULL */

/* The document, with a comment where the state goes; zero-terminated. */
extern const char page_html[], page_html_end[];

#endif

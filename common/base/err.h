/*
 * err.h - how a failure travels from where it is seen to main().
 *
 * A function that can fail returns 0 or -1, is declared MUST_CHECK, and takes a `struct err *` as
 * its last parameter. Whoever sees the fault fills it with err_set(); callers on the way up may put
 * what they were doing in front with err_context(). Only main() prints, and only once (exit.h).
 * Nothing is allocated: a message that is too long is cut.
 */
#ifndef PG2ANY_ERR_H
#define PG2ANY_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err_kind {
    ERR_NONE = 0,
    ERR_TEMPORARY, /* may succeed when started again: exit 111 */
    ERR_PERMANENT, /* will fail again until someone mends something: exit 100 */
    ERR_RETRY,     /* the target gave up this transaction; repeating the group may succeed */
};

#define ERR_KINDS     4 /* of enum err_kind */
#define ERR_TEXT_SIZE 2048

struct err {
    enum err_kind kind;
    bool follows; /* the cause is in another program of the pipeline, which says it */
    /* A server's error with an unknown number. It is permanent, except for a program that
     * reconnects after it was connected: the server may be starting, or in recovery. */
    bool unknown;
    /* It concerns the target as a whole, or how the program was started, whatever table was
     * involved. */
    bool whole;
    char text[ERR_TEXT_SIZE];
};

/* Sets kind and message; returns -1 so that `return err_set(...)` reads well. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Whether a system call that failed with this errno may succeed after a restart: room, memory and
 * descriptors come back; permissions and names do not change by themselves. */
enum err_kind err_kind_of(int error);

/* As err_set, with ": <strerror(errno)>" after the message. */
int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "<context>: " in front of the message; keeps the kind; returns -1. */
int err_context(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds " (<hint>)" at the end: what the user can do about it. Keeps the kind; returns -1. */
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The cause is in another program of the pipeline: exit.h says it more quietly. Returns -1. */
int err_follows(struct err *err);

/* Out of memory: temporary. */
int err_nomem(struct err *err);

void err_clear(struct err *err);

/* A fault in us, not in the world: prints file and line, aborts. */
#define BUG(what) bug(__FILE__, __LINE__, (what))
_Noreturn void bug(const char *file, int line, const char *what);

#endif

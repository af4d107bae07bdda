/*
 * suspects.h - the keys of buckets that were not the same (tally.h): which of them differ, and, on
 * a pipeline that runs, which of those for good.
 *
 * Both sides are looked at again and again: first the source, in one snapshot, then the target,
 * once its checkpoint has passed that snapshot. So a difference is one for the moment at least, or
 * the row was changed between the two. It counts where nothing was committed at the source
 * meanwhile, as two snapshots in a row tell that are the same; otherwise where SUSPECT_LOOKS looks
 * in a row found the same on each side. For that a row that is in order would have to be changed
 * after each snapshot and changed back before the next one, every time, as a row that goes to and
 * fro is in one look of four at most. So that none can do it in step with the looks, there is a
 * random time between them. A key that is not decided in SUSPECT_PATIENCE looks is said to be so.
 *
 * A key may have several rows: without a key of the table it is the whole row. Pure, but for
 * memory.
 */
#ifndef PG2ANY_SUSPECTS_H
#define PG2ANY_SUSPECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/tally.h"
#include "base/err.h"
#include "base/hash.h"

#define SUSPECTS_MAX       65536 /* at a time */
#define SUSPECT_LOOKS      16
#define SUSPECT_PATIENCE   40
#define SUSPECT_TEXT_BYTES (8u << 20) /* of what is kept to be shown, over all */

/* What one side has of a key. */
struct key_rows {
    uint64_t n;
    struct row_hash sum;
};

enum verdict { VERDICT_NONE, VERDICT_DIFFERS, VERDICT_UNDECIDED };

struct suspect {
    struct row_hash key;
    struct key_rows now[2], before[2]; /* by side */
    unsigned alike, looks;             /* in a row that found the same; at all */
    enum verdict verdict;
    bool shown; /* its values are kept, too: set by whoever wants them */
    /* What is shown of it; NULL: nothing is kept. Lives as long as the suspect. */
    char *text;             /* the key */
    uint64_t *column_marks; /* of the source's row, a hash for each column */
    size_t marks_size;      /* bytes */
    char *columns;          /* names of those that differ */
    char *values[2];
    UT_hash_handle hh;
};

struct suspects {
    struct suspect *items; /* in the order in which they came */
    size_t n;
    size_t kept_bytes; /* of texts and marks */
    bool failed;       /* no memory for one of those */
    bool open;         /* keys of chosen buckets join */
    uint8_t *chosen;   /* a bit for each bucket */
};

MUST_CHECK int suspects_init(struct suspects *s, struct err *err);
void suspects_free(struct suspects *s);

/* Chooses buckets of the tally that are not the same, from `from` on, as many as have room; returns
 * the first that is left, or TALLY_BUCKETS. Those of before are forgotten. */
uint32_t suspects_choose(struct suspects *s, const struct tally *t, uint32_t from);

/* A look begins; one that failed half way begins once more. */
void suspects_begin_look(struct suspects *s);
void suspects_restart_look(struct suspects *s);

/* A row of it. *suspect: it is one of those; NULL: it is not. What is decided stays as it was then.
 */
MUST_CHECK int suspects_row(struct suspects *s, enum side side, struct row_hash key,
                            struct row_hash row, struct suspect **suspect, struct err *err);

/*
 * The look is over. `still`: nothing changes on either side, or has at the source since the look
 * before. What is the same on both sides is no suspect any more. Returns how many are not decided.
 */
size_t suspects_end_look(struct suspects *s, bool still);

/* It is none any more, and what is kept of it neither. */
void suspects_forget(struct suspects *s, struct suspect *p);

/* Keeps a text without zero bytes, as far as there is room; *to was NULL or kept before. */
void suspects_keep(struct suspects *s, char **to, const void *data, size_t size);

/* Room for a mark of each column, where there is some; otherwise NULL. */
uint64_t *suspects_marks(struct suspects *s, struct suspect *p, uint32_t ncolumns);

#endif

/*
 * pgoutput.h - one message of PostgreSQL's logical decoding plugin in, its frame out.
 *
 * Knows protocol versions 1 to 4 and what a message may follow: a change belongs in a transaction
 * or in a stream block, in a block every message carries an xid of its own. Decides nothing about
 * transactions. Keeps of each relation only what decoding its tuples needs; the rest is asked of
 * the caller once for each Relation message, and goes out in the R frame.
 *
 * Messages: PostgreSQL documentation, "Logical Replication Message Formats"; what each version
 * sends: "Logical Streaming Replication Parameters". In binary mode each value says for itself
 * whether it is text or binary; both become the same values.
 */
#ifndef PG2ANY_PGOUTPUT_H
#define PG2ANY_PGOUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "frames/relation.h"

struct pgoutput;

/* Where a Relation message stands. */
struct pgoutput_place {
    enum pgoutput_stage {
        PLACE_STREAMED, /* in a stream block: only the types of the columns are wanted */
        PLACE_PREPARED, /* in a transaction that is prepared, and may be open for long yet */
        PLACE_ENDED,    /* in one that has committed, though that may not be visible yet */
    } stage;
    uint32_t xid;    /* of the top-level transaction; 0: of none, just now */
    uint64_t lsn;    /* of its COMMIT or PREPARE; 0 in a stream block */
    int64_t time_us; /* of its COMMIT, since 2000; 0: it has not committed */
};

/*
 * Fills in what pgoutput does not say: base_type_oid and typmod of the columns, and where the
 * stage asks for it what relation.h has from the catalog. All of it is preset to "unknown". What it
 * points to has to stay until the next call. May take its time; the output buffer may be written
 * out meanwhile.
 *
 * The catalog never shows what a transaction in progress has changed in a table. So all relations
 * of a streamed or prepared transaction are looked up once more when it commits, and those of a
 * streamed one also when it is prepared: they are described again in a block of their own before
 * the Stream Commit, Commit Prepared or Stream Prepare, in the order in which the server sent them
 * last.
 */
typedef int (*pgoutput_lookup)(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                               struct err *err);

/*
 * A COMMIT PREPARED arrived whose PREPARE did not arrive on this connection. True: there was
 * nothing to send. False: the PREPARE may have been confirmed to the slot already, or it is
 * unknown. May take long, like the lookup.
 */
typedef bool (*pgoutput_was_empty)(void *ctx, uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn);

struct pgoutput_config {
    uint32_t protocol_version; /* 1 to 4 */
    bool parallel;             /* streaming = parallel: Stream Abort has an LSN and a time */
    /*
     * ALTER TYPE … RENAME VALUE, which changes the text of rows that are there, makes the server
     * send nothing. So a relation with such a type is looked up again that often, while it has
     * changes.
     */
    int64_t types_look_ms;
    pgoutput_lookup lookup;       /* NULL: nothing is known but the message */
    pgoutput_was_empty was_empty; /* NULL: it is not known */
    void *lookup_ctx;
};

/* What the caller has to know of a message. */
struct pgoutput_event {
    char type;            /* the message's letter */
    bool whole;           /* C, c, K: a transaction has been committed with this message */
    uint64_t end_lsn;     /* C, c, P, p, K, r: what may be confirmed once this is durable; else 0 */
    uint64_t prepare_lsn; /* P, p */
    struct bytes gid;     /* P, p, K, r; borrowed from the message */
    int64_t time_us;      /* C, c, K: of the commit */
    uint32_t xid;         /* likewise: of the top-level transaction */
};

/* NULL when memory runs out. */
struct pgoutput *pgoutput_new(const struct pgoutput_config *config);
void pgoutput_free(struct pgoutput *d);

/* No transaction and no stream block is open. */
bool pgoutput_outside(const struct pgoutput *d);

/*
 * Appends the message's frame to `out`. Permanent error, which names the message's letter, for
 * anything that the protocol does not allow here; nothing is appended then.
 */
MUST_CHECK int pgoutput_decode(struct pgoutput *d, const void *data, size_t size, struct buf *out,
                               struct pgoutput_event *event, struct err *err);

#endif

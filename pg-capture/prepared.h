/*
 * prepared.h - prepared transactions that hold back what may be confirmed to the slot.
 *
 * After a PREPARE was confirmed, the server sends COMMIT PREPARED without the changes. So until the
 * outcome is known and durable at the targets, nothing beyond the PREPARE may be confirmed: after a
 * restart of pg-capture the changes are needed again.
 */
#ifndef PG2ANY_PREPARED_H
#define PG2ANY_PREPARED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/mp_cursor.h"

struct prepared_transaction {
    char *gid;
    uint64_t prepare_lsn;
    uint64_t decided_lsn; /* end LSN of COMMIT or ROLLBACK PREPARED; 0: not yet */
};

/* Zeroed: none. */
struct prepared {
    size_t n;
    size_t cap;
    struct prepared_transaction *list;
};

/* A PREPARE; one that came before, on another connection, counts once. */
MUST_CHECK int prepared_add(struct prepared *p, struct bytes gid, uint64_t prepare_lsn,
                            struct err *err);

/* COMMIT PREPARED or ROLLBACK PREPARED; of a transaction that is not known: nothing. */
void prepared_decide(struct prepared *p, struct bytes gid, uint64_t end_lsn);

/* How far may be confirmed if everything up to `durable_lsn` is durable. Forgets completed ones. */
uint64_t prepared_limit(struct prepared *p, uint64_t durable_lsn);

void prepared_free(struct prepared *p);

#endif

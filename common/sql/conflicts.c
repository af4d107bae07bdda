#include "sql/conflicts.h"

#include "base/log.h"
#include "base/lsn.h"

#define LOG_INTERVAL_MS 1000

/* PostgreSQL's names (documentation, "Logical Replication Conflicts"). */
static const struct {
    const char *name;
    const char *stop;
} words[CONFLICTS] = {
    [CONFLICT_INSERT_EXISTS] =
        {"insert_exists",
         "a row with this key, or this value in a unique index, is in the target already"},
    [CONFLICT_UPDATE_MISSING] = {"update_missing", "the row to update is not in the target"},
    [CONFLICT_DELETE_MISSING] = {"delete_missing", "the row to delete is not in the target"},
};

int conflicts_meet(struct conflicts *c, enum conflict conflict, const struct relation *rel,
                   const struct source_txn *txn, enum conflict_action *action, struct err *err)
{
    if (!conflicts_pass(c)) {
        (void)err_set(err, ERR_PERMANENT, "conflict %s: %s", words[conflict].name,
                      words[conflict].stop);
        return err_hint(
            err,
            "was the table copied first, as docs/OPERATIONS.md describes? Who else writes to the "
            "target? --conflict apply or --conflict skip goes on");
    }
    *action = c->policy;
    c->pending[conflict]++;
    table_counts_add(&c->tables, rel, words[conflict].name, 1);
    int64_t now = monotonic_ms();
    if (now < c->next_log_ms) {
        c->unlogged++;
        return 0;
    }
    c->next_log_ms = now + LOG_INTERVAL_MS;
    log_warning("conflict", "type", words[conflict].name, "action",
                c->policy == CONFLICT_APPLY ? "apply" : "skip", "schema", rel->namespace, "table",
                rel->name, "xid", LOG_U64(txn->xid), "commit_lsn", LSN(txn->commit_lsn),
                "unlogged_before", LOG_U64(c->unlogged), NULL);
    c->unlogged = 0;
    return 0;
}

void conflicts_commit(struct conflicts *c)
{
    for (int i = 0; i < CONFLICTS; i++)
        c->counted[i] += c->pending[i];
    table_counts_commit(&c->tables);
    conflicts_reset(c);
}

void conflicts_reset(struct conflicts *c)
{
    for (int i = 0; i < CONFLICTS; i++)
        c->pending[i] = 0;
    table_counts_reset(&c->tables);
}

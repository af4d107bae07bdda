#include "sql/conflicts.h"

#include "base/log.h"
#include "base/lsn.h"

#define LOG_INTERVAL_MS 1000

/* PostgreSQL's names (documentation, "Logical Replication Conflicts"). */
static const struct {
    const char *name;
    const char *stop;
} conflicts[DEST_CONFLICTS] = {
    [DEST_INSERT_EXISTS] = {"insert_exists", "a row with this key is in the target already"},
    [DEST_UPDATE_MISSING] = {"update_missing", "the row to update is not in the target"},
    [DEST_DELETE_MISSING] = {"delete_missing", "the row to delete is not in the target"},
};

int dest_conflict(struct dest_run *run, size_t row, enum dest_conflict conflict,
                  enum dest_conflict_action *action, struct err *err)
{
    struct dest_conflicts *c = run->conflicts;
    if (c->policy == DEST_CONFLICT_STOP) {
        run->failed = row;
        (void)err_set(err, ERR_PERMANENT, "conflict %s: %s", conflicts[conflict].name,
                      conflicts[conflict].stop);
        return err_hint(
            err,
            "was the table copied before, as docs/OPERATIONS.md has it? Who else writes to the "
            "target? --conflict apply or --conflict skip goes on");
    }
    *action = c->policy;
    c->pending[conflict]++;
    table_counts_add(&c->tables, run->relation, conflicts[conflict].name, 1);
    int64_t now = monotonic_ms();
    if (now < c->next_log_ms) {
        c->unlogged++;
        return 0;
    }
    c->next_log_ms = now + LOG_INTERVAL_MS;
    log_warning("conflict", "type", conflicts[conflict].name, "action",
                c->policy == DEST_CONFLICT_APPLY ? "apply" : "skip", "schema",
                run->relation->namespace, "table", run->relation->name, "xid",
                LOG_U64(run->rows[row].txn->xid), "commit_lsn", LSN(run->rows[row].txn->commit_lsn),
                "unlogged_before", LOG_U64(c->unlogged), NULL);
    c->unlogged = 0;
    return 0;
}

void conflicts_commit(struct dest_conflicts *c)
{
    for (int i = 0; i < DEST_CONFLICTS; i++)
        c->counted[i] += c->pending[i];
    table_counts_commit(&c->tables);
    conflicts_reset(c);
}

void conflicts_reset(struct dest_conflicts *c)
{
    for (int i = 0; i < DEST_CONFLICTS; i++)
        c->pending[i] = 0;
    table_counts_reset(&c->tables);
}

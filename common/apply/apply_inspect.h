/*
 * apply_inspect.h - an applier's other tasks: check whether it could work, show how far the target
 * is, drop a checkpoint, request copies of tables.
 */
#ifndef PG2ANY_APPLY_INSPECT_H
#define PG2ANY_APPLY_INSPECT_H

#include "base/err.h"
#include "base/options.h"
#include "sql/target.h"

/*
 * --check: reports on stderr (report.h) and changes nothing: the server, what this user may do
 * there, the checkpoint of the origin (NULL: the slot's name), and for each relation that comes on
 * stdin (pg-capture --check) whether its table fits or could be made, and which values have no
 * place in it. An error is set where something fails.
 */
MUST_CHECK int apply_check(const struct driver_ops *ops, const struct driver_config *config,
                           enum ddl_policy ddl, bool copy_unknown, struct table_names *skip,
                           const char *origin, struct err *err);

/* --status: the checkpoint of an origin, and which of its tables are set aside, on stdout, as text
 * or as a JSON object. */
MUST_CHECK int apply_status(const struct driver_ops *ops, const struct driver_config *config,
                            const char *origin, bool json, struct err *err);

/* --copy-again, --set-aside, --resume: the tables of an origin that are named, all where it says
 * "all", are to be copied again, set aside or brought back, beside an applier that may be at work.
 * --copy-anew: all of them are to be copied, and the checkpoint is forgotten. `asked` has no names
 * yet. */
MUST_CHECK int apply_ask_tables(const struct driver_ops *ops, const struct driver_config *config,
                                struct asked_copies *asked, const struct option_list *tables,
                                struct err *err);

/* --read-again: so are single rows, whose keys stand on stdin as --compare --keys writes them. */
MUST_CHECK int apply_read_again(const struct driver_ops *ops, const struct driver_config *config,
                                const char *origin, struct table_names *skip, struct err *err);

/* --drop-checkpoint: forgets the checkpoint and the relations of an origin; the rows stay. */
MUST_CHECK int apply_drop_checkpoint(const struct driver_ops *ops,
                                     const struct driver_config *config, const char *origin,
                                     struct err *err);

#endif

/*
 * apply_replay.h - brings tables back that are set aside, when a person asks for it: applies what
 * was kept of them (quarantine.h), in the order of the source.
 *
 * All of a table is one transaction of the target, which also takes the mark away. So whoever dies
 * when, the target has the mark, and the file is good; or it has the rows, and the file belongs to
 * nobody. One that is refused again stays set aside, and the log and its mark say why.
 */
#ifndef PG2ANY_APPLY_REPLAY_H
#define PG2ANY_APPLY_REPLAY_H

#include "apply/apply_group.h"

/* With nothing held: replays the tables that are asked for, and removes what is kept of those that
 * are not set aside any more. Errors as of group_flush(). */
MUST_CHECK int replay_asked(struct apply_group *g, struct err *err);

#endif

/*
 * position_world.h - a server, pipes and targets around pg-capture/position.c, with transactions,
 * prepared ones, keepalives, lost connections and kills in random order, and targets that are apart
 * for a while.
 */
#ifndef PG2ANY_POSITION_WORLD_H
#define PG2ANY_POSITION_WORLD_H

/* Plays many histories, the same each time. Fails the test where an LSN is confirmed before which a
 * target would miss something, or where in the end a target has not everything once. */
void position_world_runs(void);

#endif

/*
 * apply.h - the program apply-X, except its database: reads committed transactions from stdin,
 * applies them in groups, each in one target transaction with the checkpoint, and acknowledges what
 * is durable. apply_stream.h reads the frames, apply_group.h applies, target.h keeps the tables up
 * to date; this module handles options, waiting and the end.
 */
#ifndef PG2ANY_APPLY_H
#define PG2ANY_APPLY_H

#include "sql/target.h"

/* main() of a driver's program; returns the exit status. */
int apply_main(const struct driver_ops *ops, int argc, char **argv);

#endif

/*
 * init.h - pg2any init: writes a pipeline as s6 service directories.
 */
#ifndef PG2ANY_INIT_H
#define PG2ANY_INIT_H

#include "base/err.h"
#include "plan.h"

/*
 * Makes below `directory`:
 *
 * - env/, the configuration, a file for each variable, for s6-envdir; 0700.
 *
 * - service/, a service directory for each stage, and metrics where METRICS_PORT or METRICS_LISTEN
 * is set; for s6-svscan.
 *
 * - run/, the state directory; 0700.
 *
 * - log/, with a directory of its own for each logger; these 0700.
 *
 * As root the stages run as CDC_USER, who owns run/ and the loggers' directories. What is there
 * already is a permanent error; what was made before an error stays.
 */
MUST_CHECK int init_services(const struct plan *plan, const char *directory, struct err *err);

#endif

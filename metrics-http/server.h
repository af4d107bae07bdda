/*
 * server.h - the page, /status.json, /metrics, /health and /ready over HTTP (libmicrohttpd), to
 * clients that may be slow or hostile.
 *
 * One thread of the library's answers; the caller's thread looks after connections: their number is
 * limited, the memory of each, and how long it may last, whatever it does.
 */
#ifndef PG2ANY_SERVER_H
#define PG2ANY_SERVER_H

#include <stdint.h>

#include "base/err.h"
#include "base/options.h"
#include "health.h"

struct server;

/* Listens on "127.0.0.1:8080", "[::1]:8080" or ":8080" (all addresses). `names`: what else it is
 * called (host_name.h); borrowed, as `listen` is. `health` is used by the server alone from then
 * on. Temporary error where the port is in use. */
MUST_CHECK int server_start(struct server **server, const char *listen,
                            const struct option_list *names, struct health *health,
                            struct err *err);

/* Once a second: looks at the files, and closes what has lasted too long. */
void server_tick(struct server *s, int64_t now_ms);

void server_stop(struct server *s);

#endif

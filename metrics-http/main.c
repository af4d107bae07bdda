/*
 * metrics-http - serves the statistics that the stages of a pipeline write, and whether it works.
 */
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/begin.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/signals.h"
#include "base/version.h"
#include "health.h"
#include "server.h"

#define TICK_MS 1000

struct settings {
    struct option_list stats, state_dirs, host_names;
    const char *listen;
    const char *port;
    uint64_t stall_ms;
    uint64_t notify_fd;
};

static const struct option_def option_table[] = {
    {"stats", OPTION_LIST, offsetof(struct settings, stats), NULL, NULL, "FILE",
     "a statistics file to serve; repeat for each stage of the pipeline.\n"
     "Its name without .prom is the stage's",
     0, 0, NULL},
    {"state-dir", OPTION_LIST, offsetof(struct settings, state_dirs), NULL, NULL, "DIR",
     "instead of --stats: the state directory of a pipeline of pg2any;\n"
     "repeat for each pipeline",
     0, 0, NULL},
    {"listen", OPTION_STRING, offsetof(struct settings, listen), "METRICS_LISTEN", NULL,
     "ADDRESS:PORT", "where to listen [127.0.0.1:8080]", 0, 0, NULL},
    {"port", OPTION_STRING, offsetof(struct settings, port), "METRICS_PORT", NULL, "PORT",
     "the same, on 127.0.0.1", 0, 0, NULL},
    {"host-name", OPTION_LIST, offsetof(struct settings, host_names), "METRICS_HOST_NAME", NULL,
     "NAME,...",
     "further host names for requests, besides addresses, localhost\n"
     "and the machine's name",
     0, 0, NULL},
    {"stall", OPTION_DURATION, offsetof(struct settings, stall_ms), "METRICS_STALL", "60s", "TIME",
     "how long a target may make no progress while changes wait", 1000, 86400000, NULL},
    {"notify-fd", OPTION_UINT, offsetof(struct settings, notify_fd), NULL, NULL, "N",
     "write a newline to this descriptor when ready, as s6 expects", 3, 65535, NULL},
    {.name = NULL},
};

static const struct program program = {
    .name = "metrics-http",
    .synopsis = "{--stats FILE... | --state-dir DIR...} [OPTION]...",
    .purpose =
        "Serves the state of pipelines: a page at /, JSON at /status.json, statistics in "
        "Prometheus'\n"
        "text format at /metrics, whether they work at /health, and whether they have started "
        "at\n"
        "/ready.",
    .examples = "  metrics-http --listen 127.0.0.1:8080 --stats capture.prom --stats apply.prom\n",
    .options = option_table,
};

static int serve(const struct settings *s, const char *listen, struct err *err)
{
    struct signals signals = {.fd = -1};
    static struct health health;
    struct server *server;
    uint64_t notify_fd = s->notify_fd;
    if (signals_init(&signals, err))
        return -1;
    int rc = health_init(&health, &s->stats, &s->state_dirs, (int64_t)s->stall_ms, err);
    if (rc == 0) {
        health_tick(&health, monotonic_ms());
        log_info("starting", "version", PG2ANY_VERSION, NULL);
        rc = server_start(&server, listen, &s->host_names, &health, err);
    }
    if (rc) {
        signals_close(&signals);
        health_free(&health);
        return -1;
    }
    notify_ready(&notify_fd);
    while (!signals_stop(&signals)) {
        struct pollfd p = {.fd = signals.fd, .events = POLLIN};
        (void)poll(&p, 1, TICK_MS);
        server_tick(server, monotonic_ms());
    }
    server_stop(server);
    health_free(&health);
    signals_close(&signals);
    log_info("stopped by signal", NULL);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct settings s = {.notify_fd = NOTIFY_NONE};
    char by_port[40];
    int status;
    if (!program_begin(&program, argc, argv, &s, NULL, &status))
        return status;
    (void)snprintf(by_port, sizeof by_port, "127.0.0.1:%.16s", s.port ? s.port : "8080");
    if (s.stats.n == 0 && s.state_dirs.n == 0)
        (void)err_set(&err, ERR_PERMANENT, "neither --stats nor --state-dir: nothing to serve");
    else if (s.stats.n > 0 && s.state_dirs.n > 0)
        (void)err_set(&err, ERR_PERMANENT, "--stats and --state-dir do not go together");
    else
        (void)serve(&s, s.listen ? s.listen : by_port, &err);
    return exit_status(&err);
}

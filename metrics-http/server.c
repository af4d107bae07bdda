#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "assets.h"
#include "base/log.h"
#include "base/lsn.h"
#include "host_name.h"
#include "page.h"

#define MAX_CLIENTS      64
#define MAX_CONNECTIONS  (MAX_CLIENTS + 16) /* with those that are dropped and not yet gone */
#define CONNECTION_BYTES (16 * 1024)        /* of memory each: a request's line and headers */
#define CONNECTION_MS    10000              /* from its beginning to its end */
#define IDLE_S           5

struct client {
    int fd; /* -1: free */
    bool dropped;
    int64_t begun_ms;
};

/* What is made for people, when it is first asked for after a look at the files. */
struct made {
    struct buf text;
    int64_t made_ms; /* of which look */
};

struct server {
    struct MHD_Daemon *daemon;
    const char *listen;
    const struct option_list *names;
    struct health *health;
    struct made page, lines, json;
    pthread_mutex_t lock; /* of what is above, and of `clients` */
    struct client clients[MAX_CONNECTIONS];
};

/* ---- answering ---- */

struct answer {
    unsigned status;
    const char *type;
    const void *text;
    size_t size;
};

static const char text_type[] = "text/plain; charset=utf-8";

static struct answer say(unsigned status, const char *text)
{
    return (struct answer){status, text_type, text, strlen(text)};
}

static struct answer make(const struct server *s, struct made *m, const char *type,
                          void (*put)(const struct health *h, struct buf *out))
{
    if (m->made_ms != s->health->made_ms || m->text.failed) {
        buf_free(&m->text);
        put(s->health, &m->text);
        m->made_ms = s->health->made_ms;
    }
    if (m->text.failed)
        return say(MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    return (struct answer){MHD_HTTP_OK, type, m->text.data, m->text.len};
}

static struct answer answer_to_root(struct server *s, const char *accept)
{
    if (accept && strstr(accept, "text/html"))
        return make(s, &s->page, "text/html; charset=utf-8", page_put_html);
    return make(s, &s->lines, text_type, page_put_text);
}

/* What is asked for; the lock is held. */
static struct answer answer_to(struct server *s, const char *url, const char *accept)
{
    const struct health *h = s->health;
    if (strcmp(url, "/metrics") == 0 && h->metrics.failed)
        return say(MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    if (strcmp(url, "/metrics") == 0)
        return (struct answer){MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                               h->metrics.data ? (const void *)h->metrics.data : "",
                               h->metrics.len};
    if (strcmp(url, "/health") == 0)
        return h->healthy ? say(MHD_HTTP_OK, h->well) : say(MHD_HTTP_SERVICE_UNAVAILABLE, h->why);
    if (strcmp(url, "/ready") == 0)
        return h->ready ? say(MHD_HTTP_OK, "ready")
                        : say(MHD_HTTP_SERVICE_UNAVAILABLE, h->why_not_ready);
    if (strcmp(url, "/") == 0)
        return answer_to_root(s, accept);
    if (strcmp(url, "/status.json") == 0)
        return make(s, &s->json, "application/json", page_put_json);
    for (const struct asset *a = assets; a->path; a++)
        if (strcmp(url, a->path) == 0)
            return (struct answer){MHD_HTTP_OK, a->type, a->begin, (size_t)(a->end - a->begin)};
    return say(MHD_HTTP_NOT_FOUND, "there are /, /status.json, /metrics, /health and /ready");
}

/* Of every answer. The page is of this server alone: nothing from elsewhere, nothing in a frame, no
 * script but its file, no form; no other site reads it, no cache keeps it. */
static const char *const headers[][2] = {
    {MHD_HTTP_HEADER_CONNECTION, "close"},
    {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
    {MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
};

static enum MHD_Result reply(struct MHD_Connection *connection, struct answer a)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a.size, (void *)(uintptr_t)a.text, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a.type);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        (void)MHD_add_response_header(r, headers[i][0], headers[i][1]);
    if (a.status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, a.status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    struct server *s = ctx;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)state;
    const char *accept =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (!host_name_is_ours(host, s->listen, s->names))
        return reply(connection, say(MHD_HTTP_MISDIRECTED_REQUEST,
                                     "the request's Host is no name of this server: "
                                     "METRICS_HOST_NAME (--host-name) says which names it has"));
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return reply(connection, say(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD"));
    (void)pthread_mutex_lock(&s->lock);
    health_look(s->health, monotonic_ms());
    enum MHD_Result result = reply(connection, answer_to(s, url, accept));
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

/* ---- connections ---- */

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void drop(struct client *c)
{
    (void)shutdown(c->fd, SHUT_RDWR); /* the library closes it */
    c->dropped = true;
}

/* Makes room for one more: an answer takes no time, so who has been there longest holds a place for
 * nothing. */
static void make_room(struct server *s)
{
    size_t n = 0;
    struct client *oldest = NULL;
    for (struct client *c = s->clients; c < s->clients + MAX_CONNECTIONS; c++) {
        if (c->fd < 0 || c->dropped)
            continue;
        n++;
        if (!oldest || c->begun_ms < oldest->begun_ms)
            oldest = c;
    }
    if (n >= MAX_CLIENTS)
        drop(oldest);
}

/* The library tells of the end before it closes the socket, so that a number in the table is never
 * another connection's. */
static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *s = ctx;
    (void)pthread_mutex_lock(&s->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        make_room(s);
        for (size_t i = 0; i < MAX_CONNECTIONS; i++)
            if (s->clients[i].fd < 0) {
                s->clients[i] =
                    (struct client){.fd = fd_of(connection), .begun_ms = monotonic_ms()};
                *socket_context = &s->clients[i];
                break;
            }
    } else if (*socket_context) {
        ((struct client *)*socket_context)->fd = -1;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void server_tick(struct server *s, int64_t now_ms)
{
    (void)pthread_mutex_lock(&s->lock);
    health_tick(s->health, now_ms);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (s->clients[i].fd >= 0 && now_ms - s->clients[i].begun_ms > CONNECTION_MS)
            drop(&s->clients[i]);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- listening ---- */

static int split_address(const char *text, char *host, size_t size, const char **port,
                         struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    const char *from = text;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (!colon || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) > 65535 || len >= size) {
        (void)err_set(err, ERR_PERMANENT, "--listen: \"%s\" is no address and port", text);
        return err_hint(err, "such as 127.0.0.1:8080 or [::1]:8080");
    }
    (void)snprintf(host, size, "%.*s", (int)len, from);
    *port = colon + 1;
    return 0;
}

static int open_socket(const char *text, int *out, struct err *err)
{
    char host[256];
    const char *port = "";
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (split_address(text, host, sizeof host, &port, err))
        return -1;
    /* All addresses: a socket of IPv6 takes those of IPv4 as well, where there is IPv6. */
    int probe = *host ? -1 : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*host == '\0')
        hints.ai_family = probe >= 0 ? AF_INET6 : AF_INET;
    if (probe >= 0)
        (void)close(probe);
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (rc == EAI_SYSTEM)
        return err_errno(err, err_kind_of(errno), "--listen %s", text);
    if (rc != 0)
        return err_set(err, rc == EAI_AGAIN || rc == EAI_MEMORY ? ERR_TEMPORARY : ERR_PERMANENT,
                       "--listen %s: %s", text, gai_strerror(rc));
    int on = 1, off = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (*host == '\0' && found->ai_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
        listen(fd, MAX_CONNECTIONS) != 0) {
        bool busy = errno == EADDRINUSE;
        bool later = busy || errno == EADDRNOTAVAIL; /* the address may not be up yet */
        (void)err_errno(err, later ? ERR_TEMPORARY : err_kind_of(errno), "listening on %s", text);
        if (busy)
            (void)err_hint(err, "another program has the port: choose another METRICS_PORT");
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    *out = fd;
    return fd >= 0 ? 0 : -1;
}

PRINTF_LIKE(2, 0)
static void say_to_log(void *ctx, const char *format, va_list ap)
{
    char text[256];
    (void)ctx;
    (void)vsnprintf(text, sizeof text, format, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("the HTTP library says", "text", text, NULL);
}

int server_start(struct server **server, const char *listen, const struct option_list *names,
                 struct health *health, struct err *err)
{
    int fd;
    if (open_socket(listen, &fd, err))
        return -1;
    struct server *s = calloc(1, sizeof *s);
    if (!s) {
        (void)close(fd);
        return err_nomem(err);
    }
    s->listen = listen;
    s->names = names;
    s->health = health;
    (void)pthread_mutex_init(&s->lock, NULL);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        s->clients[i].fd = -1;
    s->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, s, MHD_OPTION_EXTERNAL_LOGGER, say_to_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
    if (!s->daemon) {
        (void)close(fd);
        (void)pthread_mutex_destroy(&s->lock);
        free(s);
        return err_set(err, ERR_TEMPORARY, "the HTTP server cannot be started");
    }
    log_info("listening", "address", listen, NULL);
    *server = s;
    return 0;
}

void server_stop(struct server *s)
{
    MHD_stop_daemon(s->daemon);
    (void)pthread_mutex_destroy(&s->lock);
    buf_free(&s->page.text);
    buf_free(&s->lines.text);
    buf_free(&s->json.text);
    free(s);
}

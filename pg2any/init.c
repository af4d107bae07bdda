#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define DEFAULT_USER "pg2any"

struct init {
    const struct plan *plan;
    char *home;       /* absolute */
    char *root;       /* below it, where all is made before it is moved there */
    char *templates;  /* of a service directory */
    const char *user; /* NULL: not root, everything is ours */
    uid_t uid;
    gid_t gid;
};

/* "root/a/b", for free(); NULL after an error. */
static char *path_of(const char *root, const char *a, const char *b, struct err *err)
{
    char *path;
    if (asprintf(&path, "%s/%s%s%s", root, a, *b ? "/" : "", b) >= 0)
        return path;
    (void)err_nomem(err);
    return NULL;
}

static int make_directory(const char *path, mode_t mode, struct err *err)
{
    return mkdir(path, mode) == 0 && chmod(path, mode) == 0
               ? 0
               : err_errno(err, err_kind_of(errno), "making %s", path);
}

/* A directory below the root, for the stages to write into where `theirs`. */
static int make_below(const struct init *in, const char *a, const char *b, mode_t mode, bool theirs,
                      struct err *err)
{
    char *path = path_of(in->root, a, b, err);
    int rc = path ? make_directory(path, mode, err) : -1;
    if (rc == 0 && theirs && in->user && chown(path, in->uid, in->gid) != 0)
        rc = err_errno(err, ERR_PERMANENT, "giving %s to user %s", path, in->user);
    free(path);
    return rc;
}

static int write_file(const char *path, const void *data, size_t size, mode_t mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, err_kind_of(errno), "making %s", path);
    ssize_t n = write(fd, data, size);
    if (n >= 0 && n < (ssize_t)size)
        errno = ENOSPC;
    bool good = n == (ssize_t)size && fchmod(fd, mode) == 0;
    int rc = good ? 0 : err_errno(err, ERR_TEMPORARY, "writing %s", path);
    if (close(fd) != 0 && rc == 0)
        rc = err_errno(err, ERR_TEMPORARY, "writing %s", path);
    return rc;
}

/* ---- the configuration ---- */

static bool is_configuration(const char *variable)
{
    return strncmp(variable, "CDC_", 4) == 0 || strncmp(variable, "METRICS_", 8) == 0 ||
           (strncmp(variable, "PG", 2) == 0 && strncmp(variable, "PG2ANY", 6) != 0);
}

static int write_variable(const struct init *in, const char *name, const char *value,
                          struct err *err)
{
    char *path = path_of(in->root, "env", name, err);
    int rc = path ? write_file(path, value, strlen(value), 0600, err) : -1;
    free(path);
    return rc;
}

/* Before anything is made: a file of s6-envdir has one line. */
static int check_configuration(struct err *err)
{
    for (char **v = environ; *v; v++)
        if (is_configuration(*v) && strchr(*v, '\n'))
            return err_set(err, ERR_PERMANENT, "%.*s has more than one line", (int)strcspn(*v, "="),
                           *v);
    const char *copy = getenv("CDC_COPY");
    if (!copy || strcmp(copy, "only") != 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "CDC_COPY=only ends, and a service would be restarted");
    return err_hint(err, "use it with pg2any run, once; or use CDC_COPY=initial");
}

static int write_configuration(const struct init *in, struct err *err)
{
    char path[2 * PLAN_PATH_SIZE], run[PLAN_PATH_SIZE + 8];
    for (char **v = environ; *v; v++) {
        char name[256];
        size_t len = strcspn(*v, "=");
        if (!is_configuration(*v) || len >= sizeof name || (*v)[len] != '=' ||
            (*v)[len + 1] == '\0')
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)len, *v);
        if (strcmp(name, "CDC_STATE_DIR") != 0 && strcmp(name, "CDC_USER") != 0 &&
            write_variable(in, name, *v + len + 1, err))
            return -1;
    }
    (void)snprintf(path, sizeof path, "%s:/usr/local/bin:/usr/bin:/bin", in->plan->bin_dir);
    (void)snprintf(run, sizeof run, "%s/run", in->home);
    if (write_variable(in, "PATH", path, err) || write_variable(in, "CDC_STATE_DIR", run, err))
        return -1;
    return in->user ? write_variable(in, "CDC_USER", in->user, err) : 0;
}

/* ---- the services ---- */

/* The whole of a file that is smaller than the room for it; its size, or -1. */
static ssize_t read_template(const char *path, char *text, size_t room, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n != 0 && fd >= 0 && size < room) {
        n = read(fd, text + size, room - size);
        if (n < 0 && errno != EINTR)
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        (void)err_errno(err, err_kind_of(errno), "reading the template %s", path);
    else if (size == room)
        n = err_set(err, ERR_PERMANENT, "the template %s is too large", path);
    if (fd >= 0)
        (void)close(fd);
    return n < 0 ? -1 : (ssize_t)size;
}

static int copy_template(const struct init *in, const char *service, const char *name, mode_t mode,
                         struct err *err)
{
    char text[16384];
    char *from = path_of(in->templates, name, "", err);
    char *to = from ? path_of(service, name, "", err) : NULL;
    ssize_t n = to ? read_template(from, text, sizeof text, err) : -1;
    int rc = n < 0 ? -1 : write_file(to, text, (size_t)n, mode, err);
    free(from);
    free(to);
    return rc;
}

static int make_service(const struct init *in, const char *stage, struct err *err)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {{"run", 0755},
                 {"finish", 0755},
                 {"notification-fd", 0644},
                 {"timeout-finish", 0644},
                 {"max-death-tally", 0644},
                 {"log/run", 0755}};
    char log[64];
    (void)snprintf(log, sizeof log, "%s/log", stage);
    if (make_below(in, "service", stage, 0755, false, err) ||
        make_below(in, "service", log, 0755, false, err) ||
        make_below(in, "log", stage, 0700, true, err))
        return -1;
    char *service = path_of(in->root, "service", stage, err);
    int rc = service ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof *files; i++)
        rc = copy_template(in, service, files[i].name, files[i].mode, err);
    free(service);
    return rc;
}

/* ---- the whole ---- */

/* As installed, or beside the build in a source tree. */
static int find_templates(struct init *in, struct err *err)
{
    static const char *const places[] = {"../share/pg2any/s6/stage", "../../svc/s6/stage"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        in->templates = path_of(in->plan->bin_dir, places[i], "", err);
        if (!in->templates)
            return -1;
        if (access(in->templates, R_OK | X_OK) == 0)
            return 0;
        if (err_kind_of(errno) == ERR_TEMPORARY)
            return err_errno(err, ERR_TEMPORARY, "looking for %s", in->templates);
        free(in->templates);
        in->templates = NULL;
    }
    (void)err_set(err, ERR_PERMANENT, "the templates of the service directories are missing");
    return err_hint(err, "make install puts them into share/pg2any beside the programs");
}

/* Root gives the stages away. */
static int find_user(struct init *in, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    const char *given = getenv("CDC_USER");
    in->user = given && *given ? given : DEFAULT_USER;
    const struct passwd *user = getpwnam(in->user);
    if (!user) {
        (void)err_set(err, ERR_PERMANENT, "there is no user %s for the stages to run as", in->user);
        return err_hint(err, "useradd --system %s, or name another in CDC_USER", in->user);
    }
    if (user->pw_uid == 0)
        return err_set(err, ERR_PERMANENT, "CDC_USER: the stages do not need root");
    in->uid = user->pw_uid;
    in->gid = user->pw_gid;
    return 0;
}

static int make_all(const struct init *in, struct err *err)
{
    const struct plan *p = in->plan;
    if (make_below(in, "service", "", 0755, false, err) ||
        make_below(in, "env", "", 0700, false, err) || make_below(in, "run", "", 0700, true, err) ||
        make_below(in, "log", "", 0755, false, err) || write_configuration(in, err))
        return -1;
    for (size_t i = 0; i < p->nstages; i++)
        if (make_service(in, p->stages[i].name, err))
            return -1;
    return plan_wants_metrics() ? make_service(in, "metrics", err) : 0;
}

/* ---- from where it is made to where it is ---- */

/* The services last: with them it is set up. */
static const char *const parts[] = {"log", "run", "env", "service"};
#define PARTS (sizeof parts / sizeof *parts)

static int check_room(const struct init *in, struct err *err)
{
    struct stat st;
    for (size_t i = PARTS; i-- > 0;) {
        char *path = path_of(in->home, parts[i], "", err);
        if (!path)
            return -1;
        bool there = lstat(path, &st) == 0;
        if (there) {
            errno = EEXIST;
            (void)err_errno(err, ERR_PERMANENT, "making %s", path);
        }
        free(path);
        if (there)
            return err_hint(err, "it is set up already: change what is in its env/, or choose "
                                 "another directory");
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

static void remove_all(const char *path)
{
    enum { DESCRIPTORS = 16 };
    (void)nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static int move_part(const struct init *in, const char *part, struct err *err)
{
    char *from = path_of(in->root, part, "", err),
         *to = from ? path_of(in->home, part, "", err) : NULL;
    int rc = to ? 0 : -1;
    if (to && rename(from, to) != 0)
        rc = err_errno(err, err_kind_of(errno), "making %s", to);
    free(from);
    free(to);
    return rc;
}

static int move_parts(const struct init *in, struct err *err)
{
    size_t n = 0;
    while (n < PARTS && move_part(in, parts[n], err) == 0)
        n++;
    if (n == PARTS)
        return 0;
    while (n-- > 0) {
        struct err ignored = {0};
        char *path = path_of(in->home, parts[n], "", &ignored);
        if (path)
            remove_all(path);
        free(path);
    }
    return -1;
}

/* A directory that is half made would be in the way of the next try, and its files, cut short, be
 * taken as they are. */
static int make_aside(struct init *in, struct err *err)
{
    in->root = path_of(in->home, ".init-XXXXXX", "", err);
    if (!in->root)
        return -1;
    if (!mkdtemp(in->root))
        return err_errno(err, err_kind_of(errno), "making %s", in->root);
    int rc = make_all(in, err) || move_parts(in, err) ? -1 : 0;
    remove_all(in->root);
    return rc;
}

int init_services(const struct plan *plan, const char *directory, struct err *err)
{
    struct init in = {.plan = plan};
    bool made = mkdir(directory, 0755) == 0;
    if (!made && errno != EEXIST)
        return err_errno(err, err_kind_of(errno), "making %s", directory);
    in.home = realpath(directory, NULL);
    int rc = in.home ? 0 : err_errno(err, err_kind_of(errno), "%s", directory);
    if (rc == 0 && strlen(in.home) + 32 >= PLAN_PATH_SIZE)
        rc = err_set(err, ERR_PERMANENT, "the path %s is too long", in.home);
    if (rc == 0 && (check_room(&in, err) || check_configuration(err) || find_user(&in, err) ||
                    find_templates(&in, err) || make_aside(&in, err)))
        rc = -1;
    if (rc == 0)
        (void)printf("The pipeline is set up in %s. Start it with:\n"
                     "\n"
                     "    s6-svscan %s/service\n"
                     "\n"
                     "Show its state with: pg2any status --env-dir %s/env\n",
                     in.home, in.home, in.home);
    else if (made)
        (void)rmdir(directory);
    free(in.home);
    free(in.root);
    free(in.templates);
    return rc;
}

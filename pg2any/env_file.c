#include "env_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define SECRET_FILE "_FILE" /* at the end of a variable's name */

/* The names that the environment had, with a value, before anything was loaded. */
struct given {
    char **names;
    size_t n;
};

static void given_free(struct given *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->names[i]);
    free(g->names);
}

static int given_now(struct given *g, struct err *err)
{
    size_t n = 0;
    while (environ[n])
        n++;
    *g = (struct given){.names = calloc(n + 1, sizeof *g->names)};
    if (!g->names)
        return err_nomem(err);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(environ[i], "=");
        if (environ[i][len] == '\0' || environ[i][len + 1] == '\0')
            continue;
        g->names[g->n] = strndup(environ[i], len);
        if (!g->names[g->n++]) {
            g->n--;
            given_free(g);
            return err_nomem(err);
        }
    }
    return 0;
}

static bool is_given(const struct given *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->names[i], name) == 0)
            return true;
    return false;
}

/* Undoes the quotes of `text` in place; NULL, or what is wrong with it. */
static const char *unquote(char *text)
{
    char quote = *text, *to = text;
    const char *p = text + 1;
    for (; *p && *p != quote; p++) {
        if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\n$", p[1])) {
            p++;
            *to++ = *p == 'n' ? '\n' : *p;
        } else {
            *to++ = *p;
        }
    }
    if (*p != quote)
        return "the closing quote is missing";
    p++;
    p += strspn(p, " \t");
    if (*p && *p != '#')
        return "something stands behind the closing quote";
    *to = '\0';
    return NULL;
}

static void cut_comment(char *text)
{
    for (char *p = text; *p; p++)
        if (*p == '#' && (p == text || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            break;
        }
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
}

/* NULL, or what is wrong with the line. */
static const char *take_line(const struct given *given, char *line)
{
    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#')
        return NULL;
    if (strncmp(line, "export", 6) == 0 && isspace((unsigned char)line[6]))
        line += 6 + strspn(line + 6, " \t");
    size_t n = 0;
    while (isalnum((unsigned char)line[n]) || line[n] == '_')
        n++;
    if (n == 0 || isdigit((unsigned char)*line) || line[n] != '=')
        return "it is not NAME=value";
    line[n] = '\0';
    char *value = line + n + 1;
    const char *wrong = NULL;
    if (*value == '"' || *value == '\'')
        wrong = unquote(value);
    else
        cut_comment(value);
    if (!wrong && !is_given(given, line) && setenv(line, value, 1) != 0)
        return "out of memory";
    return wrong;
}

/* The first line of a file, below `dir` where it is no whole path. */
static int load_variable(const struct given *given, int dir, const char *file, const char *name,
                         struct err *err)
{
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f)
        return err_errno(err, err_kind_of(errno), "%s", file);
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, f);
    if (n > 0) {
        size_t len = strcspn(line, "\n");
        while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
            len--;
        line[len] = '\0';
    }
    int rc = n > 0 && !is_given(given, name) && setenv(name, line, 1) != 0 ? err_nomem(err) : 0;
    if (line)
        explicit_bzero(line, size);
    free(line);
    (void)fclose(f);
    return rc;
}

int env_dir_load(const char *path, struct err *err)
{
    struct given given;
    int rc = 0;
    DIR *d = opendir(path);
    if (!d)
        return err_errno(err, err_kind_of(errno), "%s", path);
    if (given_now(&given, err)) {
        (void)closedir(d);
        return -1;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (*e->d_name != '.' && strcmp(e->d_name, "PATH") != 0)
            rc = load_variable(&given, dirfd(d), e->d_name, e->d_name, err);
    (void)closedir(d);
    given_free(&given);
    return rc ? err_context(err, "%s", path) : 0;
}

/* Whether a variable of that name may be in a file: a URI, of any target. */
static bool is_secret(const char *name)
{
    static const char source[] = "CDC_SOURCE_CONNECTION_STRING", target[] = "CDC_DEST_URI";
    size_t n = sizeof target - 1;
    return strcmp(name, source) == 0 ||
           (strncmp(name, target, n) == 0 &&
            (name[n] == '\0' || (name[n] == '_' && name[n + 1] &&
                                 name[n + 1 + strspn(name + n + 1, "0123456789")] == '\0')));
}

static int load_secret(const char *variable, const char *file, struct err *err)
{
    static const struct given none = {0};
    char name[64] = "";
    const char *value;
    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(variable) - sizeof SECRET_FILE + 1),
                   variable);
    value = getenv(name);
    if (value && *value)
        return err_set(err, ERR_PERMANENT, "%s and %s are set: leave one out", name, variable);
    if (load_variable(&none, AT_FDCWD, file, name, err))
        return err_context(err, "%s", variable);
    value = getenv(name);
    if (!value || !*value)
        return err_set(err, ERR_PERMANENT, "%s: the first line of %s is empty", variable, file);
    return unsetenv(variable) == 0 ? 0 : err_nomem(err);
}

int env_secrets_load(struct err *err)
{
    /* The environment changes with each: look again from its beginning. */
    for (char **v = environ; *v;) {
        char variable[64], name[64];
        size_t len = strcspn(*v, "=");
        bool secret =
            len < sizeof variable && len > sizeof SECRET_FILE - 1 &&
            strncmp(*v + len - sizeof SECRET_FILE + 1, SECRET_FILE "=", sizeof SECRET_FILE) == 0 &&
            (*v)[len + 1];
        if (secret) {
            (void)snprintf(variable, sizeof variable, "%.*s", (int)len, *v);
            (void)snprintf(name, sizeof name, "%.*s", (int)(len - sizeof SECRET_FILE + 1), *v);
            secret = is_secret(name);
        }
        if (!secret) {
            v++;
            continue;
        }
        if (load_secret(variable, *v + len + 1, err))
            return -1;
        v = environ;
    }
    return 0;
}

/* It may hold passwords. */
static void look_who_may_read(const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
        log_warning("every user of this machine may read the configuration: chmod o-r", "file",
                    path, NULL);
}

int env_file_load(const char *path, struct err *err)
{
    struct given given;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, err_kind_of(errno), "%s", path);
    look_who_may_read(path, fileno(f));
    if (given_now(&given, err)) {
        (void)fclose(f);
        return -1;
    }
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int rc = 0;
    for (int number = 1; rc == 0 && (n = getline(&line, &size, f)) >= 0; number++) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        const char *wrong =
            strlen(line) == (size_t)n ? take_line(&given, line) : "it has a zero byte";
        if (wrong)
            rc = err_set(err, ERR_PERMANENT, "%s, line %d: %s", path, number, wrong);
    }
    if (rc == 0 && ferror(f))
        rc = err_errno(err, err_kind_of(errno), "reading %s", path);
    if (line)
        explicit_bzero(line, size);
    free(line);
    (void)fclose(f);
    given_free(&given);
    return rc;
}

#include "env_file.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
static const char *take_line(char *line)
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
    if (!wrong && setenv(line, value, 0) != 0)
        return "out of memory";
    return wrong;
}

static int load_variable(int dir, const char *name, struct err *err)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f)
        return err_errno(err, ERR_PERMANENT, "%s", name);
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, f);
    if (n > 0) {
        size_t len = strcspn(line, "\n");
        while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
            len--;
        line[len] = '\0';
    }
    int rc = n > 0 && setenv(name, line, 0) != 0 ? err_nomem(err) : 0;
    if (line)
        explicit_bzero(line, size);
    free(line);
    (void)fclose(f);
    return rc;
}

int env_dir_load(const char *path, struct err *err)
{
    DIR *d = opendir(path);
    int rc = 0;
    if (!d)
        return err_errno(err, ERR_PERMANENT, "%s", path);
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (*e->d_name != '.' && strcmp(e->d_name, "PATH") != 0)
            rc = load_variable(dirfd(d), e->d_name, err);
    (void)closedir(d);
    return rc ? err_context(err, "%s", path) : 0;
}

int env_file_load(const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, ERR_PERMANENT, "%s", path);
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int rc = 0;
    for (int number = 1; rc == 0 && (n = getline(&line, &size, f)) >= 0; number++) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        const char *wrong = strlen(line) == (size_t)n ? take_line(line) : "it has a zero byte";
        if (wrong)
            rc = err_set(err, ERR_PERMANENT, "%s, line %d: %s", path, number, wrong);
    }
    if (rc == 0 && ferror(f))
        rc = err_errno(err, ERR_PERMANENT, "reading %s", path);
    if (line)
        explicit_bzero(line, size);
    free(line);
    (void)fclose(f);
    return rc;
}

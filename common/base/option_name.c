#include "base/option_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLES 4

static const struct option_def *tables[MAX_TABLES];

void option_names_add(const struct option_def *table)
{
    size_t i = 0;
    while (i < MAX_TABLES && tables[i] && tables[i] != table)
        i++;
    if (i < MAX_TABLES)
        tables[i] = table;
}

const char *option_stage(void)
{
    const char *stage = getenv(OPTION_STAGE_VARIABLE);
    return stage && *stage ? stage : NULL;
}

/* "_2" of the stage apply-2, "" of others. */
static const char *suffix_of_target(char text[16])
{
    const char *stage = option_stage(), *dash = stage ? strrchr(stage, '-') : NULL;
    text[0] = '\0';
    if (dash && isdigit((unsigned char)dash[1]))
        (void)snprintf(text, 16, "_%.8s", dash + 1);
    return text;
}

const char *option_variable(const struct option_def *def, char *buffer, size_t size)
{
    char suffix[16];
    if (!def->env)
        return NULL;
    (void)snprintf(buffer, size, "%s%s", def->env, suffix_of_target(suffix));
    const char *own = getenv(buffer);
    return own && *own ? buffer : def->env;
}

static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '-';
}

/* The option whose flag stands at the beginning of the text. */
static const struct option_def *find(const char *text, size_t *len)
{
    size_t n = 2;
    while (is_of_word(text[n]))
        n++;
    *len = n;
    for (size_t t = 0; t < MAX_TABLES && tables[t]; t++)
        for (const struct option_def *def = tables[t]; def->name; def++)
            if (def->env && strlen(def->name) == n - 2 && memcmp(def->name, text + 2, n - 2) == 0)
                return def;
    return NULL;
}

static bool begins_with_word(const char *text, const char *word, size_t len)
{
    return strncmp(text, word, len) == 0 && !is_of_word(text[len]);
}

/* Whether what stands behind the flag is its value, not the sentence going on. */
static bool is_value(const struct option_def *def, const char *text)
{
    if (def->type == OPTION_FLAG)
        return false;
    if (*text == '%' || isdigit((unsigned char)*text))
        return true;
    if (def->metavar && begins_with_word(text, def->metavar, strlen(def->metavar)))
        return true;
    for (const char *const *c = def->choices; c && *c; c++)
        if (begins_with_word(text, *c, strcspn(*c, "=")))
            return true;
    return false;
}

const char *option_text(char *buffer, size_t size, const char *text)
{
    char suffix[16];
    size_t used = 0;
    if (!option_stage()) {
        (void)snprintf(buffer, size, "%s", text);
        return buffer;
    }
    (void)suffix_of_target(suffix);
    for (const char *p = text; *p && used + 1 < size;) {
        size_t len = 0;
        bool begins = strncmp(p, "--", 2) == 0 && (p == text || !is_of_word(p[-1]));
        const struct option_def *def = begins ? find(p, &len) : NULL;
        if (!def) {
            buffer[used++] = *p++;
            continue;
        }
        p += len;
        int n = snprintf(buffer + used, size - used, "%s%s%s", def->env, suffix,
                         def->type == OPTION_FLAG ? "=on" : "");
        used = n < 0 || used + (size_t)n >= size ? size - 1 : used + (size_t)n;
        if (*p == ' ' && is_value(def, p + 1) && used + 1 < size) {
            buffer[used++] = '=';
            p++;
        }
    }
    buffer[used] = '\0';
    return buffer;
}

/* A name brings no '%' with it: the arguments fit the changed format as they fit the one that the
 * compiler has seen. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
int option_vsnprintf(char *out, size_t size, const char *fmt, va_list ap)
{
    char told[1024];
    /* One that is cut could end within a conversion. */
    return vsnprintf(out, size,
                     option_stage() && strstr(fmt, "--") && strlen(fmt) < sizeof told / 2
                         ? option_text(told, sizeof told, fmt)
                         : fmt,
                     ap);
}
#pragma GCC diagnostic pop

/*
 * fuzz_stats.c - any bytes as a statistics file.
 *
 * What must hold: what is read of it can go to a terminal; one that is refused has a fault;
 * metrics-http makes a text of it in which every line is of Prometheus' form, and the same once
 * more when it reads that text; the page made of it is UTF-8.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stats_file.h"
#include "base/utf8.h"
#include "metrics-http/exposition.h"
#include "metrics-http/health.h"
#include "metrics-http/page.h"
#include "tests/fuzz/input.h"

#define NAME  "[a-zA-Z_:][a-zA-Z0-9_:]*"
#define LABEL "[a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\]|\\\\[\\\\n\"])*\""
#define VALUE "[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]+)?"

/* Prometheus documentation, "Exposition formats". */
static void check_line(const char *line)
{
    static regex_t sample, comment;
    static bool compiled;
    if (!compiled) {
        compiled = true;
        check(regcomp(&sample, "^" NAME "(\\{(" LABEL ",?)*\\})? +" VALUE "( +-?[0-9]+)?$",
                      REG_EXTENDED | REG_NOSUB) == 0 &&
                  regcomp(&comment, "^# (HELP " NAME "|TYPE " NAME " [a-z]+)",
                          REG_EXTENDED | REG_NOSUB) == 0,
              "a pattern is wrong");
    }
    check(regexec(*line == '#' ? &comment : &sample, line, 0, NULL, 0) == 0,
          "a line that is no metric is served");
}

static void check_lines(struct buf *text)
{
    (void)buf_cstr(text);
    check(strlen((char *)text->data) == text->len, "a zero byte is served");
    check(utf8_valid(text->data, text->len), "what is no UTF-8 is served");
    for (char *line = (char *)text->data; *line;) {
        char *end = strchr(line, '\n');
        check(end != NULL, "a line without an end");
        *end = '\0';
        check_line(line);
        line = end + 1;
    }
}

/* What is shown to people. */
static void check_shown(const struct health *h)
{
    void (*const shown[])(const struct health *, struct buf *) = {page_put_html, page_put_text,
                                                                  page_put_json};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct buf text = {0};
        shown[i](h, &text);
        check(strlen(buf_cstr(&text)) == text.len, "a zero byte is shown");
        check(shown[i] == page_put_text || utf8_valid(text.data, text.len),
              "what is no UTF-8 is shown");
        buf_free(&text);
    }
}

static void check_health(const char *path)
{
    struct health h;
    const struct option_list files = {1, {path}}, none = {0};
    struct err err = {0};
    check(health_init(&h, &files, &none, 1000, &err) == 0, "no memory");
    health_tick(&h, 5000);
    check(h.healthy == (h.why[0] == '\0'), "not healthy for no reason");
    check_lines(&h.metrics);
    check_shown(&h);
    health_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "# pg2any component=apply-sqlite pid=1 state=ready\n";
    int fd = file_of(data, size);
    /* Where the file is of no process, nothing of it is looked at: half of the inputs have one. */
    if (size % 2 == 0) {
        check(pwrite(fd, head, sizeof head - 1, 0) == sizeof head - 1 &&
                  pwrite(fd, data, size, sizeof head - 1) == (ssize_t)size,
              "cannot write");
    }
    struct fd_path path = path_of(fd);
    struct stats_file f;
    struct err err = {0}, fault = {0};
    int rc = stats_file_read(&f, path.text, &err);
    if (rc)
        check_refusal(&err);
    check(stats_file_fault(&f, "stage", &fault) == 0 || fault.text[0] != '\0',
          "a fault without a text");
    check(rc == 0 || fault.kind != ERR_NONE, "a file that cannot be read is no fault");
    for (const char *p = f.reason; rc == 0 && *p; p++)
        check((unsigned char)*p >= ' ' && *p != 0x7f, "a control character in a reason");
    double value;
    (void)stats_file_value(&f, "a", "b", &value);
    struct exposition e = {0};
    struct buf text = {0};
    exposition_add(&e, "stage", &f);
    exposition_write(&e, &text);
    check_lines(&text);
    check_health(path.text);
    exposition_free(&e);
    buf_free(&text);
    stats_file_free(&f);
    (void)close(fd);
    return 0;
}

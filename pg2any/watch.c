#include "watch.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/lsn.h"
#include "base/signals.h"
#include "status.h"

/* xterm's sequences, which all terminals of today have: another screen and back, no cursor. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

struct screen {
    bool drawn;            /* stdout is a terminal */
    bool keys;             /* so is stdin, and single keys come from it */
    struct termios before; /* what it was */
    size_t width, height;
};

static void put(const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, p, size);
        if (n <= 0)
            return; /* a terminal that is gone is no matter */
        p += n;
        size -= (size_t)n;
    }
}

static void enter(struct screen *s)
{
    struct termios raw;
    s->drawn = isatty(STDOUT_FILENO);
    s->keys = s->drawn && tcgetattr(STDIN_FILENO, &s->before) == 0;
    if (s->keys) {
        raw = s->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    if (s->drawn)
        put(ENTER, sizeof ENTER - 1);
}

static void leave(const struct screen *s)
{
    if (s->keys)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    if (s->drawn)
        put(LEAVE, sizeof LEAVE - 1);
}

/* It may have another size each time. */
static void measure(struct screen *s)
{
    struct winsize size;
    bool known = s->drawn && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
                 size.ws_row > 0;
    s->width = known ? size.ws_col : 80;
    s->height = known ? size.ws_row : 24;
}

/* Each line over what was there, and nothing left below; as many as there is room for. */
static void draw(const struct screen *s, const struct buf *text, struct buf *out)
{
    size_t lines = 0;
    buf_append_str(out, "\033[H");
    for (size_t i = 0; i < text->len && lines < s->height - 1; i++) {
        if (text->data[i] == '\n') {
            buf_append_str(out, "\033[K\n");
            lines++;
        } else {
            buf_append_byte(out, text->data[i]);
        }
    }
    buf_append_str(out, s->keys ? "\033[J(q: leave)" : "\033[J");
}

static void show(struct screen *s, const struct plan *plan)
{
    struct status status;
    struct buf text = {0}, out = {0};
    measure(s);
    status_look(&status, plan);
    status_put_screen(&status, s->width, &text);
    status_free(&status);
    if (s->drawn) {
        draw(s, &text, &out);
    } else {
        buf_append(&out, text.data, text.len);
        buf_append_byte(&out, '\n');
    }
    if (!text.failed && !out.failed)
        put(out.data, out.len);
    buf_free(&text);
    buf_free(&out);
}

/* Until that time, or something to leave for. */
static bool wait_until(struct screen *s, struct signals *signals, int64_t until_ms)
{
    for (;;) {
        struct pollfd p[] = {
            {.fd = signals->fd, .events = POLLIN},
            {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN},
        };
        char key = '\0';
        int64_t left_ms = until_ms - monotonic_ms();
        if (left_ms <= 0)
            return true;
        if (poll(p, 2, (int)left_ms) > 0 && p[1].revents && read(STDIN_FILENO, &key, 1) <= 0)
            return false;
        if (signals_stop(signals) || key == 'q' || key == 'Q')
            return false;
    }
}

int watch(const struct plan *plan, unsigned seconds, struct err *err)
{
    struct signals signals;
    struct screen s;
    if (plan_check_state_dir(plan, err) || signals_init(&signals, err))
        return -1;
    enter(&s);
    do
        show(&s, plan);
    while (wait_until(&s, &signals, monotonic_ms() + (int64_t)seconds * 1000));
    leave(&s);
    signals_close(&signals);
    return 0;
}

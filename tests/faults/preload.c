/*
 * preload.c - a library that is preloaded (LD_PRELOAD) into a program under test: it counts the
 * calls, of the program and of its libraries, of functions that can fail, and lets one of them
 * fail. In the environment:
 *
 *   PG2ANY_FAULT_COUNTS   a file of COUNTS_BYTES zeros: what was counted, as `struct count`s; the
 *                         first counts the faults that were given. It is mapped, so it is right
 *                         however the program ends.
 *   PG2ANY_FAULT          "NAME N ERROR": the N-th call counted under NAME fails; with "N+" each
 *                         one after it, too
 *   PG2ANY_FAULT_PROGRAM  the program it is about; another one is left alone
 *   PG2ANY_FAULT_TRACE    set: the stack of the call that fails goes to stderr
 *
 * ERROR is the name of an errno, SHORT (some of the bytes) or END (the peer has closed the
 * connection). Calls that libc makes of itself cannot be seen, but for malloc and its kin.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Under which name a call is counted: F_open is "open". */
/* clang-format off */
#define FUNCTIONS(X)                                                                               \
    X(given) X(open) X(fopen) X(opendir) X(close) X(read) X(pread) X(write) X(stderr) X(pwrite)    \
    X(fsync) X(fdatasync) X(ftruncate) X(rename) X(unlink) X(mkdir) X(mkfifo) X(stat) X(access)    \
    X(lock) X(dup) X(fclose) X(malloc) X(calloc) X(realloc) X(mmap) X(poll) X(select)              \
    X(epoll_wait) X(epoll_create) X(epoll_ctl) X(signalfd) X(socket) X(connect) X(bind) X(listen)  \
    X(accept) X(send) X(recv) X(setsockopt) X(getaddrinfo) X(pipe) X(fork) X(exec) X(waitpid)      \
    X(thread)
/* clang-format on */

#define AS_ENUM(name) F_##name,
#define AS_TEXT(name) #name,
enum function { FUNCTIONS(AS_ENUM) N_FUNCTIONS };
static const char *const names[] = {FUNCTIONS(AS_TEXT)};

struct count {
    char name[24];
    uint64_t n;
};

#define COUNTS_BYTES 2048
_Static_assert(sizeof(struct count) * N_FUNCTIONS <= COUNTS_BYTES, "COUNTS_BYTES");

static const struct {
    const char *name;
    int number;
} errors[] = {
#define E(name)                                                                                    \
    {                                                                                              \
#name, name                                                                                \
    }
    E(EAGAIN), E(ECONNREFUSED), E(ECONNRESET), E(EINTR),  E(EIO),    E(EMFILE), E(ENETUNREACH),
    E(ENFILE), E(ENOBUFS),      E(ENOLCK),     E(ENOMEM), E(ENOSPC), E(EPIPE),  E(ETIMEDOUT),
};

static struct count *counts; /* NULL: nothing is counted yet, or in this program */
static int fault_function = -1;
static uint64_t fault_n;
static bool from_then_on, as_short, as_end, trace;
static int fault_errno;

#define REAL(f)                                                                                    \
    ({                                                                                             \
        static __typeof__(&f) real_;                                                               \
        if (!real_)                                                                                \
            *(void **)&real_ = dlsym(RTLD_NEXT, #f);                                               \
        real_;                                                                                     \
    })

static void parse(const char *fault)
{
    char name[24], error[24];
    unsigned long n;
    char plus[2] = "";
    if (sscanf(fault, "%23s %lu%1[+] %23s", name, &n, plus, error) != 4 &&
        sscanf(fault, "%23s %lu %23s", name, &n, error) != 3)
        abort();
    from_then_on = *plus != '\0';
    fault_n = n;
    for (int i = 0; i < N_FUNCTIONS; i++)
        if (strcmp(names[i], name) == 0)
            fault_function = i;
    as_short = strcmp(error, "SHORT") == 0;
    as_end = strcmp(error, "END") == 0;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, error) == 0)
            fault_errno = errors[i].number;
    if (fault_function < 0 || (!as_short && !as_end && !fault_errno))
        abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("PG2ANY_FAULT_COUNTS"), *fault = getenv("PG2ANY_FAULT");
    const char *program = getenv("PG2ANY_FAULT_PROGRAM");
    if (!file || (program && strcmp(program, program_invocation_short_name) != 0))
        return;
    trace = getenv("PG2ANY_FAULT_TRACE") != NULL;
    void *warm[1];
    if (trace)
        (void)backtrace(warm, 1); /* it loads a library */
    int fd = REAL(open)(file, O_RDWR | O_CLOEXEC);
    struct count *c =
        fd < 0 ? MAP_FAILED
               : REAL(mmap)(NULL, COUNTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (c == MAP_FAILED)
        abort();
    (void)REAL(close)(fd);
    for (int i = 0; i < N_FUNCTIONS; i++)
        (void)snprintf(c[i].name, sizeof c[i].name, "%s", names[i]);
    if (fault)
        parse(fault);
    counts = c;
}

static bool fails(enum function f)
{
    if (!counts)
        return false;
    uint64_t n = __atomic_add_fetch(&counts[f].n, 1, __ATOMIC_SEQ_CST);
    if ((int)f != fault_function || n < fault_n || (n > fault_n && !from_then_on))
        return false;
    if (__atomic_add_fetch(&counts[F_given].n, 1, __ATOMIC_SEQ_CST) == 1 && trace) {
        void *stack[40];
        struct count *c = counts;
        counts = NULL;
        backtrace_symbols_fd(stack, backtrace(stack, 40), STDERR_FILENO);
        counts = c;
    }
    errno = fault_errno;
    return true;
}

/* Of how many bytes a call is about that is to come back with some of them. */
static size_t some(size_t n)
{
    return n > 1 ? n / 2 : n;
}

static size_t few(size_t n)
{
    return n > 1 ? 1 : n;
}

/* ---- files ---- */

#define MODE(flags)                                                                                \
    ({                                                                                             \
        va_list ap_;                                                                               \
        mode_t mode_ = 0;                                                                          \
        va_start(ap_, flags);                                                                      \
        if ((flags) & (O_CREAT | __O_TMPFILE))                                                     \
            mode_ = va_arg(ap_, mode_t);                                                           \
        va_end(ap_);                                                                               \
        mode_;                                                                                     \
    })

int open(const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    return fails(F_open) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    return fails(F_open) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = MODE(flags);
    return fails(F_open) ? -1 : REAL(openat)(dir, path, flags, mode);
}

/* One that fails otherwise, and one that is counted with others. */
#define FAIL(type, name, as, failure, parameters, arguments)                                       \
    type name parameters                                                                           \
    {                                                                                              \
        return fails(as) ? (failure) : REAL(name) arguments;                                       \
    }

int __open_2(const char *path, int flags);
FAIL(int, __open_2, F_open, -1, (const char *path, int flags), (path, flags))
FAIL(FILE *, fopen, F_fopen, NULL, (const char *path, const char *mode), (path, mode))
FAIL(FILE *, fopen64, F_fopen, NULL, (const char *path, const char *mode), (path, mode))
FAIL(DIR *, opendir, F_opendir, NULL, (const char *path), (path))
FAIL(int, rename, F_rename, -1, (const char *from, const char *to), (from, to))
FAIL(int, renameat2, F_rename, -1, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
FAIL(int, unlink, F_unlink, -1, (const char *path), (path))
FAIL(int, mkdir, F_mkdir, -1, (const char *path, mode_t mode), (path, mode))
FAIL(int, mkfifo, F_mkfifo, -1, (const char *path, mode_t mode), (path, mode))
FAIL(int, stat, F_stat, -1, (const char *path, struct stat *st), (path, st))
FAIL(int, stat64, F_stat, -1, (const char *path, struct stat64 *st), (path, st))
FAIL(int, lstat, F_stat, -1, (const char *path, struct stat *st), (path, st))
FAIL(int, fstat, F_stat, -1, (int fd, struct stat *st), (fd, st))
FAIL(int, fstat64, F_stat, -1, (int fd, struct stat64 *st), (fd, st))
FAIL(int, access, F_access, -1, (const char *path, int mode), (path, mode))
FAIL(int, ftruncate, F_ftruncate, -1, (int fd, off_t size), (fd, size))
FAIL(int, ftruncate64, F_ftruncate, -1, (int fd, off64_t size), (fd, size))
FAIL(int, flock, F_lock, -1, (int fd, int what), (fd, what))
FAIL(int, dup2, F_dup, -1, (int from, int to), (from, to))

/* The machine is not going to lose power in a way that a test sees. */
int fsync(int fd)
{
    (void)fd;
    return fails(F_fsync) ? -1 : 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return fails(F_fdatasync) ? -1 : 0;
}

/* The descriptor is gone nevertheless. */
int close(int fd)
{
    bool failed = fails(F_close);
    int error = errno;
    int rc = REAL(close)(fd);
    if (!failed)
        return rc;
    errno = error;
    return -1;
}

int fclose(FILE *f)
{
    bool failed = fails(F_fclose);
    int error = errno;
    int rc = REAL(fclose)(f);
    if (!failed)
        return rc;
    errno = error;
    return EOF;
}

static enum function fcntl_as(int command)
{
    switch (command) {
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return F_lock;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return F_dup;
    default:
        return F_given; /* no fault of these is told of */
    }
}

#define DEFINE_FCNTL(name)                                                                         \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, command);                                                                     \
        void *argument = va_arg(ap, void *);                                                       \
        va_end(ap);                                                                                \
        enum function as = fcntl_as(command);                                                      \
        return as != F_given && fails(as) ? -1 : REAL(name)(fd, command, argument);                \
    }
DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

ssize_t read(int fd, void *data, size_t n)
{
    if (fails(F_read)) {
        if (!as_short)
            return -1;
        n = few(n);
    }
    return REAL(read)(fd, data, n);
}

ssize_t write(int fd, const void *data, size_t n)
{
    if (fails(fd == STDERR_FILENO ? F_stderr : F_write)) {
        if (!as_short)
            return -1;
        n = some(n);
    }
    return REAL(write)(fd, data, n);
}

#define DEFINE_AT(name, as, data_type, offset_type)                                                \
    ssize_t name(int fd, data_type data, size_t n, offset_type at)                                 \
    {                                                                                              \
        if (fails(as)) {                                                                           \
            if (!as_short)                                                                         \
                return -1;                                                                         \
            n = some(n);                                                                           \
        }                                                                                          \
        return REAL(name)(fd, data, n, at);                                                        \
    }
DEFINE_AT(pread, F_pread, void *, off_t)
DEFINE_AT(pread64, F_pread, void *, off64_t)
DEFINE_AT(pwrite, F_pwrite, const void *, off_t)
DEFINE_AT(pwrite64, F_pwrite, const void *, off64_t)

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    struct iovec one;
    if (fails(F_pwrite)) {
        if (!as_short)
            return -1;
        one = (struct iovec){parts->iov_base, some(parts->iov_len)};
        parts = &one;
        n = 1;
    }
    return REAL(pwritev)(fd, parts, n, at);
}

/* ---- memory ---- */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

void *malloc(size_t n)
{
    return fails(F_malloc) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(F_calloc) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(F_realloc) ? NULL : __libc_realloc(p, n);
}

FAIL(void *, mmap, F_mmap, MAP_FAILED,
     (void *p, size_t n, int protection, int flags, int fd, off_t at),
     (p, n, protection, flags, fd, at))
FAIL(void *, mmap64, F_mmap, MAP_FAILED,
     (void *p, size_t n, int protection, int flags, int fd, off64_t at),
     (p, n, protection, flags, fd, at))

/* ---- waiting ---- */

FAIL(int, poll, F_poll, -1, (struct pollfd * p, nfds_t n, int timeout_ms), (p, n, timeout_ms))
int __poll_chk(struct pollfd *p, nfds_t n, int timeout_ms, size_t size);
FAIL(int, __poll_chk, F_poll, -1, (struct pollfd * p, nfds_t n, int timeout_ms, size_t size),
     (p, n, timeout_ms, size))
FAIL(int, select, F_select, -1, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout),
     (n, r, w, e, timeout))
FAIL(int, epoll_wait, F_epoll_wait, -1, (int fd, struct epoll_event *e, int n, int timeout_ms),
     (fd, e, n, timeout_ms))
FAIL(int, epoll_create1, F_epoll_create, -1, (int flags), (flags))
FAIL(int, epoll_ctl, F_epoll_ctl, -1, (int fd, int what, int of, struct epoll_event *e),
     (fd, what, of, e))
FAIL(int, signalfd, F_signalfd, -1, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))

/* ---- the network ---- */

FAIL(int, socket, F_socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
FAIL(int, connect, F_connect, -1, (int fd, const struct sockaddr *to, socklen_t size),
     (fd, to, size))
FAIL(int, bind, F_bind, -1, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
FAIL(int, listen, F_listen, -1, (int fd, int n), (fd, n))
FAIL(int, accept4, F_accept, -1, (int fd, struct sockaddr *from, socklen_t *size, int flags),
     (fd, from, size, flags))
FAIL(int, setsockopt, F_setsockopt, -1,
     (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size))

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if (fails(F_getaddrinfo))
        return fault_errno == ENOMEM ? EAI_MEMORY : fault_errno == EAGAIN ? EAI_AGAIN : EAI_SYSTEM;
    return REAL(getaddrinfo)(host, port, hints, found);
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
    if (fails(F_send)) {
        if (!as_short)
            return -1;
        n = some(n);
    }
    return REAL(send)(fd, data, n, flags);
}

FAIL(ssize_t, sendmsg, F_send, -1, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))

ssize_t recv(int fd, void *data, size_t n, int flags)
{
    if (fails(F_recv)) {
        if (as_end)
            return 0;
        if (!as_short)
            return -1;
        n = few(n);
    }
    return REAL(recv)(fd, data, n, flags);
}

/* ---- processes ---- */

FAIL(int, pipe2, F_pipe, -1, (int ends[2], int flags), (ends, flags))
FAIL(pid_t, fork, F_fork, -1, (void), ())
FAIL(int, execv, F_exec, -1, (const char *path, char *const argv[]), (path, argv))
FAIL(int, execvp, F_exec, -1, (const char *path, char *const argv[]), (path, argv))
FAIL(pid_t, waitpid, F_waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options))

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    return fails(F_thread) ? fault_errno : REAL(pthread_create)(thread, attributes, run, argument);
}

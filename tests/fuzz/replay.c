/*
 * replay.c - main() for a fuzz target without libFuzzer: runs it over files, and over all files in
 * directories.
 *
 * usage: fuzz_NAME [FILE|DIRECTORY...]
 *
 * Without arguments it is a test of the suite and takes the target's corpus, CORPUS/NAME. Prints
 * TAP, a line a file; what the target finds wrong ends the program by a signal.
 *
 * Each file is also run cut short at every length up to MAX_CUTS, because most of the ways in which
 * input goes wrong are near its beginning or need no more than its first frames.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "tests/fuzz/input.h"

#define MAX_CUTS 2048
#define CORPUS   "tests/fuzz/corpus"

static int run_file(const char *path, off_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc((size_t)size + 1);
    int result = -1;
    if (f && data) {
        size_t n = fread(data, 1, (size_t)size, f);
        if (!ferror(f)) {
            (void)LLVMFuzzerTestOneInput(data, n);
            for (size_t cut = 0; cut < n && cut < MAX_CUTS; cut++)
                (void)LLVMFuzzerTestOneInput(data, cut);
            result = 0;
        }
    }
    if (result != 0)
        perror(path);
    if (f && fclose(f) != 0)
        result = -1;
    free(data);
    return result;
}

static int run_path(const char *path, unsigned long *files);

static int run_directory(const char *path, unsigned long *files)
{
    DIR *d = opendir(path);
    if (!d) {
        perror(path);
        return -1;
    }
    int result = 0;
    for (const struct dirent *e; (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        int n = snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof name || run_path(name, files) != 0)
            result = -1;
    }
    (void)closedir(d);
    return result;
}

static int run_path(const char *path, unsigned long *files)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (S_ISDIR(st.st_mode))
        return run_directory(path, files);
    int result = run_file(path, st.st_size);
    printf("%sok %lu - %s\n", result == 0 ? "" : "not ", ++*files, path);
    return result;
}

/* `program` is fuzz_NAME, with a path or without. */
static int run_corpus(const char *program, unsigned long *files)
{
    const char *slash = strrchr(program, '/');
    const char *name = strstr(slash ? slash : program, "fuzz_");
    char path[4096];
    (void)snprintf(path, sizeof path, CORPUS "/%s", name ? name + 5 : program);
    return run_path(path, files);
}

int main(int argc, char **argv)
{
    unsigned long files = 0;
    int result = 0;
    if (argc < 2 && run_corpus(argv[0], &files) != 0)
        result = 1;
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i], &files) != 0)
            result = 1;
    printf("1..%lu\n", files);
    return result;
}

/*
 * replay.c - main() for a fuzz target without libFuzzer: runs it over files, and over all files in
 * directories.
 *
 * usage: fuzz_NAME [FILE|DIRECTORY...]
 *
 * Without arguments it is a test of the suite and takes the recorded streams in RECORDED. Prints
 * TAP, a line a file; what the target finds wrong ends the program by a signal.
 *
 * Each file is also run cut short at every length up to MAX_CUTS, because most of the ways in which
 * input goes wrong are near its beginning or need no more than its first frames.
 */
#include <dirent.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#define MAX_CUTS 2048
#define RECORDED "tests/frames/*.frames"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static int run_recorded(unsigned long *files)
{
    glob_t found;
    if (glob(RECORDED, 0, NULL, &found) != 0) {
        fprintf(stderr, "no file is called %s\n", RECORDED);
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (run_path(found.gl_pathv[i], files) != 0)
            result = -1;
    globfree(&found);
    return result;
}

int main(int argc, char **argv)
{
    unsigned long files = 0;
    int result = 0;
    if (argc < 2 && run_recorded(&files) != 0)
        result = 1;
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i], &files) != 0)
            result = 1;
    printf("1..%lu\n", files);
    return result;
}

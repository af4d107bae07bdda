#include "base/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool folder_is_writable(const char *file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    size_t len = !slash || slash == file ? 1 : (size_t)(slash - file);
    if (len >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)snprintf(folder, sizeof folder, "%.*s", (int)len, slash ? file : ".");
    return access(folder, W_OK | X_OK) == 0;
}

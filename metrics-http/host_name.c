#include "host_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define NAME_SIZE 256 /* of DNS */

/* Without the port, the brackets of an IPv6 address, and the dot that ends a name of DNS. False: it
 * is too long for one. */
static bool cut(const char *host, char out[NAME_SIZE])
{
    bool brackets = *host == '[';
    size_t len = strcspn(host + brackets, brackets ? "]" : ":");
    if (len > 0 && host[brackets + len - 1] == '.')
        len--;
    if (len >= NAME_SIZE)
        return false;
    (void)snprintf(out, NAME_SIZE, "%.*s", (int)len, host + brackets);
    return true;
}

static bool is_address(const char *name)
{
    struct in6_addr room;
    return inet_pton(AF_INET, name, &room) == 1 || inet_pton(AF_INET6, name, &room) == 1;
}

/* RFC 6761, 6.3: it and what is below it never lead elsewhere. */
static bool is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(name), size = sizeof localhost - 1;
    return len >= size && strcasecmp(name + len - size, localhost) == 0 &&
           (len == size || name[len - size - 1] == '.');
}

static bool is_among(const char *name, const char *list)
{
    size_t size = strlen(name), len;
    for (; *list; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (len == size && strncasecmp(list, name, len) == 0)
            return true;
    }
    return false;
}

bool host_name_is_ours(const char *host, const char *listen, const struct option_list *names)
{
    char name[NAME_SIZE], ours[NAME_SIZE];
    if (!host)
        return true;
    if (!cut(host, name) || !*name)
        return false;
    if (is_address(name) || is_localhost(name))
        return true;
    if (gethostname(ours, sizeof ours) == 0 && strcasecmp(name, ours) == 0)
        return true;
    if (cut(listen, ours) && strcasecmp(name, ours) == 0)
        return true;
    for (size_t i = 0; i < names->n; i++)
        if (is_among(name, names->items[i]))
            return true;
    return false;
}

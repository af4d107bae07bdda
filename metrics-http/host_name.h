/*
 * host_name.h - whether a request is for this server, by its Host header (RFC 9110, 7.2).
 *
 * A site can let its own name lead to our address once its page is loaded (DNS rebinding): to the
 * browser we are that site then, and its script may read all that we serve. The name tells.
 */
#ifndef PG2ANY_HOST_NAME_H
#define PG2ANY_HOST_NAME_H

#include <stdbool.h>

#include "base/options.h"

/*
 * `host`: the header; NULL: there is none, which no browser leaves out. An address is right, no
 * site has one for its name; so are localhost, this machine's name, the name in `listen` (as
 * server.h has it), and those of `names`, several with commas between them in an item.
 */
bool host_name_is_ours(const char *host, const char *listen, const struct option_list *names);

#endif

/*
 * version.h - the version that the Makefile gives.
 */
#ifndef PG2ANY_VERSION_H
#define PG2ANY_VERSION_H

#ifndef PG2ANY_VERSION
#define PG2ANY_VERSION "unknown"
#endif

#endif

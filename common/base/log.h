/*
 * log.h - one line on stderr for each event: tool, stage (if pg2any started it as one, to
 * distinguish the appliers of several targets), level, message, then keys and values, in logfmt or
 * as a JSON object.
 *
 * logfmt lines have no time stamps: the supervisor's logger adds them. JSON lines have a time,
 * because nothing can be put in front of them. Values of rows and passwords are never logged at the
 * default level. A line is written with one write(2), so that lines of stages that share a terminal
 * do not mix. errno is kept.
 */
#ifndef PG2ANY_LOG_H
#define PG2ANY_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* `tool` is borrowed for ever. Level info and logfmt until told otherwise. */
void log_init(const char *tool);
void log_set_format(enum log_format format);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Keys and values alternate, all strings, ended by NULL; a pair whose value is NULL ends the list
 * too. A line that is too long is cut within a value and remains valid logfmt or JSON. */
void log_error(const char *message, ...) __attribute__((sentinel));
void log_warning(const char *message, ...) __attribute__((sentinel));
void log_info(const char *message, ...) __attribute__((sentinel));
void log_debug(const char *message, ...) __attribute__((sentinel));

/* A number as text for a value, in a buffer that lives as long as the enclosing block. */
#define LOG_U64(v) log_u64_text((char[24]){0}, (v))
const char *log_u64_text(char *buf24, uint64_t v);

#endif

/*
 * option_name.h - how a message names an option to the person who can set it.
 *
 * A person who starts a program by hand gives it flags. If pg2any starts it, the user has set
 * variables instead. So the sources write flags, "allow it with --ddl evolve", and a program that
 * pg2any started prints "allow it with CDC_DDL=evolve"; the applier of a second target prints
 * "CDC_DDL_2=evolve". For that, pg2any puts the stage's name into PG2ANY_STAGE.
 *
 * The formats of err.h and report.h pass through here, so a caller only writes the flag. Texts
 * elsewhere (an argument, a log line) are wrapped: OPTION_TEXT("--dest"). Only text in the sources
 * is changed, never a name or a value that is inserted into a message. A flag that has no variable,
 * or is no option of this program, stays.
 */
#ifndef PG2ANY_OPTION_NAME_H
#define PG2ANY_OPTION_NAME_H

#include <stdarg.h>
#include <stddef.h>

#include "base/option_def.h"

/* Environment variable: the stage as which pg2any started this program, "apply-2". */
#define OPTION_STAGE_VARIABLE "PG2ANY_STAGE"

/* From now on the options of this table are known. Borrowed for ever; NULL: none. */
void option_names_add(const struct option_def *table);

/* The stage as which pg2any started this program; NULL: it did not. */
const char *option_stage(void);

/* The variable that sets the option, as the user has named it: that of a further target, if it is
 * set. `buffer` may hold the answer. NULL: there is none. */
const char *option_variable(const struct option_def *def, char *buffer, size_t size);

/* As vsnprintf(3), with the options that `fmt` itself names. */
int option_vsnprintf(char *out, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* A text of ours, cut where it does not fit; lives as long as the enclosing block. */
#define OPTION_TEXT(text) option_text((char[512]){0}, 512, (text))
const char *option_text(char *buffer, size_t size, const char *text);

#endif

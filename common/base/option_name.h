/*
 * option_name.h - how a message names an option to the one who can set it.
 *
 * Who starts a program by hand gives it flags. Where pg2any starts it there is nobody to give any:
 * the user has set variables. So the sources write flags, "allow it with --ddl evolve", and that is
 * told as "allow it with CDC_DDL=evolve" in a program that pg2any started; to a second target's
 * applier as "CDC_DDL_2=evolve". pg2any puts the stage's name into PG2ANY_STAGE for that.
 *
 * The formats of err.h and report.h go through here by themselves, so a caller only writes the
 * flag. What stands elsewhere (a table's text that is handed over as an argument, a log line) is
 * wrapped: OPTION_TEXT("--dest"). Only what is written in the sources is changed, never a name or a
 * value that a message is filled with. Flags without a variable, or of no option of this program,
 * stay.
 */
#ifndef PG2ANY_OPTION_NAME_H
#define PG2ANY_OPTION_NAME_H

#include <stdarg.h>
#include <stddef.h>

#include "base/option_def.h"

/* Environment variable: the stage as which pg2any started this program, "apply-2". */
#define OPTION_STAGE_VARIABLE "PG2ANY_STAGE"

/* From now on options of this table are known. For ever borrowed; NULL: none. */
void option_names_add(const struct option_def *table);

/* The stage as which pg2any started this program; NULL: it did not. */
const char *option_stage(void);

/* The variable that gives the option its value, as the user has named it: of a further target its
 * own, where that is set. `buffer` may hold the answer. NULL: there is none. */
const char *option_variable(const struct option_def *def, char *buffer, size_t size);

/* As vsnprintf(3), with the options that `fmt` itself names. */
int option_vsnprintf(char *out, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* A text of ours, cut where it does not fit; lives as long as the enclosing block. */
#define OPTION_TEXT(text) option_text((char[512]){0}, 512, (text))
const char *option_text(char *buffer, size_t size, const char *text);

#endif

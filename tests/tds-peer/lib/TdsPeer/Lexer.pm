package TdsPeer::Lexer;

# T-SQL into tokens (Microsoft, "Transact-SQL syntax conventions", "Database identifiers",
# "Constants"). A token is a hash: kind, value, line, text.
#   word     a bare word; value in upper case, text as written
#   name     a quoted identifier
#   string   value; national is true for N'…'
#   integer, decimal, float, binary
#   variable @x, system @@x
#   op       an operator or a mark
#   end      the end of the batch

use strict;
use warnings;
use TdsPeer::Error qw(fail);

# Words that must be quoted as names (Microsoft, "Reserved keywords").
my %RESERVED = map { $_ => 1 } qw(
    ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE
    CASE CHECK CHECKPOINT CLOSE CLUSTERED COALESCE COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS
    CONTAINSTABLE CONTINUE CONVERT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP
    CURRENT_USER CURSOR DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE DENY DESC DISK DISTINCT
    DISTRIBUTED DOUBLE DROP DUMP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE EXISTS EXIT EXTERNAL FETCH
    FILE FILLFACTOR FOR FOREIGN FREETEXT FREETEXTTABLE FROM FULL FUNCTION GOTO GRANT GROUP HAVING
    HOLDLOCK IDENTITY IDENTITY_INSERT IDENTITYCOL IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY
    KILL LEFT LIKE LINENO LOAD MERGE NATIONAL NOCHECK NONCLUSTERED NOT NULL NULLIF OF OFF OFFSETS ON
    OPEN OPENDATASOURCE OPENQUERY OPENROWSET OPENXML OPTION OR ORDER OUTER OVER PERCENT PIVOT PLAN
    PRIMARY PRINT PROC PROCEDURE PUBLIC RAISERROR READ READTEXT RECONFIGURE REFERENCES
    REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT ROWGUIDCOL RULE SAVE
    SCHEMA SECURITYAUDIT SELECT SEMANTICKEYPHRASETABLE SEMANTICSIMILARITYDETAILSTABLE
    SEMANTICSIMILARITYTABLE SESSION_USER SET SETUSER SHUTDOWN SOME STATISTICS SYSTEM_USER TABLE
    TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE TRY_CONVERT TSEQUAL UNION UNIQUE
    UNPIVOT UPDATE UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN
    WRITETEXT
);

sub is_reserved { return $RESERVED{ $_[0] } }

# The tokens of a text. Double quotes hold identifiers when QUOTED_IDENTIFIER is ON, else strings.
sub tokens {
    my ($text, $quoted_identifier) = @_;
    my @tokens;
    my $line = 1;
    my $add = sub {
        my ($kind, $value, $source, %more) = @_;
        push @tokens, { kind => $kind, value => $value, line => $line, text => $source, %more };
        $line += $source =~ tr/\n//;
        return;
    };
    for ($text) {
        while (1) {
            if (/\G([\s\x{FEFF}]+)/gc) {
                $line += $1 =~ tr/\n//;
            } elsif (/\G--[^\n]*/gc) {
                next;
            } elsif (/\G\/\*/gc) {
                $line += comment(\$text);
            } elsif (/\G\z/gc) {
                last;
            } elsif (/\G([Nn]?)'/gc) {
                my $national = $1;
                my ($value, $closed) = quoted_rest(\$_);
                fail(105, substr $value, 0, 100) if !$closed;
                $add->('string', $value =~ s/\\\r?\n//gr =~ s/''/'/gr, "$national'$value'", national => $national ne '');
            } elsif (/\G"((?:[^"]|"")*)(")?/gc) {
                my ($value, $closed) = ($1, $2);
                fail(105, substr $value, 0, 100) if !$closed;
                my $plain = $value =~ s/""/"/gr;
                fail(1038) if $quoted_identifier && $plain eq '';
                $add->($quoted_identifier ? 'name' : 'string', $plain, "\"$value\"", national => 0);
            } elsif (/\G\[((?:[^\]]|\]\])*)(\])?/gc) {
                my ($value, $closed) = ($1, $2);
                fail(105, substr $value, 0, 100) if !$closed;
                my $plain = $value =~ s/\]\]/]/gr;
                fail(1038) if $plain eq '';
                $add->('name', $plain, "[$value]");
            } elsif (/\G(0[xX])([0-9A-Fa-f]*)/gc) {
                my ($mark, $digits) = ($1, $2);
                $add->('binary', pack('H*', (length($digits) % 2 ? '0' : '') . $digits), $mark . $digits);
            } elsif (/\G((?:\d+\.?\d*|\.\d+)[eE][+-]?\d*)/gc) {
                $add->('float', $1, $1);
            } elsif (/\G(\d+\.\d*|\.\d+)/gc) {
                $add->('decimal', $1, $1);
            } elsif (/\G(\d+)/gc) {
                $add->('integer', $1, $1);
            } elsif (/\G(\@\@[\w\@\$#]+)/gc) {
                $add->('system', uc $1, $1);
            } elsif (/\G(\@[\w\@\$#]*)/gc) {
                $add->('variable', lc $1, $1);
            } elsif (/\G([\p{L}_#][\p{L}\p{N}\@\$#_]*)/gc) {
                $add->('word', uc $1, $1);
            } elsif (/\G(<>|<=|>=|!=|!<|!>|\+=|-=|\*=|\/=|%=|&=|\|=|\^=|::|[-+*\/%&|^~=<>(),;.:])/gc) {
                $add->('op', $1, $1);
            } else {
                /\G(.)/gcs;
                fail(102, $1);
            }
        }
    }
    $add->('end', '', '');
    for my $token (@tokens) {
        my $what = $token->{kind};
        next if $what ne 'word' && $what ne 'name';
        my $name = $what eq 'word' ? $token->{text} : $token->{value};
        fail(103, 'identifier', substr($name, 0, 128), 128) if length $name > 128;
    }
    return \@tokens;
}

# What stands before the next quote that is not doubled, and whether there is one. In pieces, because
# a pattern has a limit to its repetitions.
sub quoted_rest {
    my ($text) = @_;
    my $value = '';
    while ($$text =~ /\G((?:[^']++|''){1,30000})/gc) {
        $value .= $1;
    }
    return ($value, $$text =~ /\G'/gc ? 1 : 0);
}

# Behind the end of a comment, which may hold others. The lines passed.
sub comment {
    my ($text) = @_;
    my ($depth, $lines) = (1, 0);
    while ($depth) {
        if ($$text =~ /\G(.*?)(\/\*|\*\/)/gcs) {
            $lines += $1 =~ tr/\n//;
            $depth += $2 eq '/*' ? 1 : -1;
        } else {
            fail(113);
        }
    }
    return $lines;
}

1;

package TdsPeer::Error;

# An error as SQL Server reports it: number, severity, state, line, text. Numbers, severities and
# texts are those of sys.messages (Microsoft, "Database engine events and errors"). A Perl module
# of the peer throws one with fail(number, arguments of the text…).

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(fail);

# number => [severity, text]
my %MESSAGE = (
    102 => [15, q{Incorrect syntax near '%s'.}],
    103 => [15, q{The %s that starts with '%s' is too long. Maximum length is %d.}],
    105 => [15, q{Unclosed quotation mark after the character string '%s'.}],
    106 => [16, q{Too many table names in the query. The maximum allowable is %d.}],
    107 => [15, q{The column prefix '%s' does not match with a table name or alias name used in the query.}],
    109 => [15, q{There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.}],
    110 => [15, q{There are fewer columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.}],
    111 => [15, q{'%s' must be the first statement in a query batch.}],
    113 => [15, q{Missing end comment mark '*/'.}],
    116 => [16, q{Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.}],
    117 => [15, q{The %s name '%s' contains more than the maximum number of prefixes. The maximum is %d.}],
    120 => [15, q{The select list for the INSERT statement contains fewer items than the insert list. The number of SELECT values must match the number of INSERT columns.}],
    121 => [15, q{The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.}],
    128 => [15, q{The name "%s" is not permitted in this context. Valid expressions are constants, constant expressions, and (in some contexts) variables. Column names are not permitted.}],
    131 => [15, q{The size (%s) given to the type '%s' exceeds the maximum allowed for any data type (%d).}],
    132 => [15, q{The label '%s' has already been declared. Label names must be unique within a query batch or stored procedure.}],
    134 => [15, q{The variable name '%s' has already been declared. Variable names must be unique within a query batch or stored procedure.}],
    137 => [15, q{Must declare the scalar variable "%s".}],
    156 => [15, q{Incorrect syntax near the keyword '%s'.}],
    159 => [15, q{Must specify the table name and index name for the DROP INDEX statement.}],
    174 => [15, q{The %s function requires %d argument(s).}],
    189 => [15, q{The %s function requires %d to %d arguments.}],
    191 => [15, q{Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.}],
    195 => [15, q{'%s' is not a recognized %s.}],
    201 => [16, q{Procedure or function '%s' expects parameter '%s', which was not supplied.}],
    205 => [16, q{All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.}],
    206 => [16, q{Operand type clash: %s is incompatible with %s}],
    207 => [16, q{Invalid column name '%s'.}],
    208 => [16, q{Invalid object name '%s'.}],
    209 => [16, q{Ambiguous column name '%s'.}],
    213 => [16, q{Column name or number of supplied values does not match table definition.}],
    214 => [16, q{Procedure expects parameter '%s' of type '%s'.}],
    220 => [16, q{Arithmetic overflow error for data type %s, value = %s.}],
    226 => [16, q{%s statement not allowed within multi-statement transaction.}],
    229 => [14, q{The %s permission was denied on the object '%s', database '%s', schema '%s'.}],
    232 => [16, q{Arithmetic overflow error for type %s, value = %s.}],
    233 => [16, q{The column '%s' in table '%s' cannot be null.}],
    237 => [16, q{There is insufficient result space to convert a money value to %s.}],
    241 => [16, q{Conversion failed when converting date and/or time from character string.}],
    242 => [16, q{The conversion of a %s data type to a %s data type resulted in an out-of-range value.}],
    244 => [16, q{The conversion of the %s value '%s' overflowed an %s column. Use a larger integer column.}],
    245 => [16, q{Conversion failed when converting the %s value '%s' to data type %s.}],
    248 => [16, q{The conversion of the %s value '%s' overflowed an int column.}],
    257 => [16, q{Implicit conversion from data type %s to %s is not allowed. Use the CONVERT function to run this query.}],
    264 => [16, q{The column name '%s' is specified more than once in the SET clause or column list of an INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to make sure that a column is updated only once. If this statement updates or inserts columns into a view, column aliasing can conceal the duplication in your code.}],
    266 => [16, q{Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. Previous count = %d, current count = %d.}],
    271 => [16, q{The column "%s" cannot be modified because it is either a computed column or is the result of a UNION operator.}],
    272 => [16, q{Cannot update a timestamp column.}],
    273 => [16, q{Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the timestamp column, or insert a DEFAULT into the timestamp column.}],
    281 => [16, q{%d is not a valid style number when converting from datetime to a character string.}],
    235 => [16, q{Cannot convert a char value to money. The char value has incorrect syntax.}],
    289 => [16, q{Cannot construct data type %s, some of the arguments have values which are not valid.}],
    291 => [16, q{CAST or CONVERT: invalid attributes specified for type '%s'}],
    295 => [16, q{Conversion failed when converting character string to smalldatetime data type.}],
    296 => [16, q{The conversion of %s to smalldatetime data type resulted in an out-of-range value.}],
    319 => [15, q{Incorrect syntax near the keyword 'with'. If this statement is a common table expression, an xmlnamespaces clause or a change tracking context clause, the previous statement must be terminated with a semicolon.}],
    402 => [16, q{The data types %s and %s are incompatible in the %s operator.}],
    404 => [16, q{The column prefix '%s' does not match with a table name or alias name used in the query.}],
    448 => [16, q{Invalid collation '%s'.}],
    451 => [16, q{Cannot resolve collation conflict between "%s" and "%s" in %s operator occurring in %s statement column %d.}],
    468 => [16, q{Cannot resolve the collation conflict between "%s" and "%s" in the %s operation.}],
    511 => [16, q{Cannot create a row of size %d which is greater than the allowable maximum row size of 8060.}],
    515 => [16, q{Cannot insert the value NULL into column '%s', table '%s'; column does not allow nulls. %s fails.}],
    512 => [16, q{Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <=, > , >= or when the subquery is used as an expression.}],
    529 => [16, q{Explicit conversion from data type %s to %s is not allowed.}],
    544 => [16, q{Cannot insert explicit value for identity column in table '%s' when IDENTITY_INSERT is set to OFF.}],
    545 => [16, q{Explicit value must be specified for identity column in table '%s' either when IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.}],
    547 => [16, q{The %s statement conflicted with the %s constraint "%s". The conflict occurred in database "%s", table "%s"%s.}],
    911 => [16, q{Database '%s' does not exist. Make sure that the name is entered correctly.}],
    1001 => [15, q{Line %d: Length or precision specification %d is invalid.}],
    1003 => [15, q{Line %d: %s clause allowed only for %s.}],
    1038 => [15, q{An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as "" or [] are not allowed. Change the alias to a valid name.}],
    1002 => [15, q{Line %d: Specified scale %s is invalid.}],
    1105 => [17, q{Could not allocate space for object '%s' in database '%s' because the 'PRIMARY' filegroup is full.}],
    1203 => [20, q{Process ID %d attempted to unlock a resource it does not own.}],
    1204 => [19, q{The instance of the SQL Server Database Engine cannot obtain a LOCK resource at this time. Rerun your statement when there are fewer active users.}],
    1205 => [13, q{Transaction (Process ID %d) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.}],
    1222 => [16, q{Lock request time out period exceeded.}],
    1505 => [16, q{The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '%s' and the index name '%s'. The duplicate key value is (%s).}],
    1750 => [16, q{Could not create constraint or index. See previous errors.}],
    1767 => [16, q{Foreign key '%s' references invalid table '%s'.}],
    1769 => [16, q{Foreign key '%s' references invalid column '%s' in referencing table '%s'.}],
    1770 => [16, q{Foreign key '%s' references invalid column '%s' in referenced table '%s'.}],
    1773 => [16, q{Foreign key '%s' has implicit reference to object '%s' which does not have a primary key defined on it.}],
    1776 => [16, q{There are no primary or candidate keys in the referenced table '%s' that match the referencing column list in the foreign key '%s'.}],
    1778 => [16, q{Column '%s.%s' is not the same data type as referencing column '%s.%s' in foreign key '%s'.}],
    1779 => [16, q{Table '%s' already has a primary key defined on it.}],
    1801 => [16, q{Database '%s' already exists. Choose a different database name.}],
    1902 => [16, q{Cannot create more than one clustered index on %s '%s'. Drop the existing clustered index '%s' before creating another.}],
    1904 => [16, q{The %s on table '%s' has %d columns in the key list. The maximum limit for %s key column list is %d.}],
    1909 => [16, q{Cannot use duplicate column names in %s. Column name '%s' listed more than once.}],
    1911 => [16, q{Column name '%s' does not exist in the target table or view.}],
    1913 => [16, q{The operation failed because an index or statistics with name '%s' already exists on %s '%s'.}],
    1919 => [16, q{Column '%s' in table '%s' is of a type that is invalid for use as a key column in an index.}],
    1934 => [16, q{%s failed because the following SET options have incorrect settings: '%s'. Verify that SET options are correct for use with indexed views and/or indexes on computed columns and/or filtered indexes and/or query notifications and/or XML data type methods and/or spatial index operations.}],
    1944 => [16, q{Index '%s' was not created. This index has a key length of at least %d bytes. The maximum permissible key length is %d bytes.}],
    1946 => [16, q{Operation failed. The index entry of length %d bytes for the index '%s' exceeds the maximum length of %d bytes for %s indexes.}],
    2601 => [14, q{Cannot insert duplicate key row in object '%s' with unique index '%s'. The duplicate key value is (%s).}],
    2627 => [14, q{Violation of %s constraint '%s'. Cannot insert duplicate key in object '%s'. The duplicate key value is (%s).}],
    2628 => [16, q{String or binary data would be truncated in table '%s', column '%s'. Truncated value: '%s'.}],
    2702 => [16, q{Database '%s' does not exist.}],
    2705 => [16, q{Column names in each table must be unique. Column name '%s' in table '%s' is specified more than once.}],
    2714 => [16, q{There is already an object named '%s' in the database.}],
    2715 => [16, q{Column, parameter, or variable #%d: Cannot find data type %s.}],
    2716 => [16, q{Column, parameter, or variable #%d: Cannot specify a column width on data type %s.}],
    2717 => [15, q{The size (%s) given to the %s '%s' exceeds the maximum allowed (%d).}],
    2738 => [16, q{A table can only have one timestamp column. Because table '%s' already has one, the column '%s' cannot be added.}],
    2739 => [16, q{The text, ntext, and image data types are invalid for local variables.}],
    2744 => [16, q{Multiple identity columns specified for table '%s'. Only one identity column per table is allowed.}],
    2749 => [16, q{Identity column '%s' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.}],
    2750 => [16, q{Column or parameter #%d: Specified column precision %d is greater than the maximum precision of %d.}],
    2751 => [16, q{Column or parameter #%d: Specified column scale %d is greater than the specified precision of %d.}],
    2757 => [16, q{Cannot use empty object or column names.}],
    2760 => [16, q{The specified schema name "%s" either does not exist or you do not have permission to use it.}],
    2809 => [18, q{The request for %s '%s' failed because '%s' is a %s object.}],
    2812 => [16, q{Could not find stored procedure '%s'.}],
    3701 => [11, q{Cannot %s the %s '%s', because it does not exist or you do not have permission.}],
    3723 => [16, q{An explicit DROP INDEX is not allowed on index '%s'. It is being used for %s constraint enforcement.}],
    3725 => [16, q{The constraint '%s' is being referenced by table '%s', foreign key constraint '%s'.}],
    3726 => [16, q{Could not drop object '%s' because it is referenced by a FOREIGN KEY constraint.}],
    3727 => [16, q{Could not drop constraint. See previous errors.}],
    3728 => [16, q{'%s' is not a constraint.}],
    3729 => [16, q{Cannot %s '%s' because it is being referenced by object '%s'.}],
    3902 => [16, q{The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.}],
    3903 => [16, q{The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.}],
    3908 => [16, q{Could not run BEGIN TRANSACTION in database '%s' because the database is in emergency mode or is damaged and must be restarted.}],
    3930 => [16, q{The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.}],
    3960 => [16, q{Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access table '%s' directly or indirectly in database '%s' to update, delete, or insert the row that has been modified or deleted by another transaction. Retry the transaction or change the isolation level for the update/delete statement.}],
    3998 => [16, q{Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.}],
    4002 => [16, q{The incoming tabular data stream (TDS) protocol stream is incorrect. The stream ended unexpectedly.}],
    4015 => [16, q{Language requested in login '%s' is not an official name on this SQL Server.}],
    4060 => [11, q{Cannot open database "%s" requested by the login. The login failed.}],
    4101 => [15, q{Aggregates on the right side of an APPLY cannot reference columns from the left side.}],
    4104 => [16, q{The multi-part identifier "%s" could not be bound.}],
    4108 => [15, q{Windowed functions can only appear in the SELECT or ORDER BY clauses.}],
    4145 => [15, q{An expression of non-boolean type specified in a context where a condition is expected, near '%s'.}],
    4701 => [16, q{Cannot find the object "%s" because it does not exist or you do not have permissions.}],
    4712 => [16, q{Cannot truncate table '%s' because it is being referenced by a FOREIGN KEY constraint.}],
    4901 => [16, q{ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified, or the column being added is an identity or timestamp column, or alternatively if none of the previous conditions are satisfied the table must be empty to allow addition of this column. Column '%s' cannot be added to non-empty table '%s' because it does not satisfy these conditions.}],
    4902 => [16, q{Cannot find the object "%s" because it does not exist or you do not have permissions.}],
    4922 => [16, q{%s %s failed because one or more objects access this column.}],
    4923 => [16, q{ALTER TABLE DROP COLUMN failed because '%s' is the only data column in table '%s'. A table must have at least one data column.}],
    4924 => [16, q{%s failed because column '%s' does not exist in table '%s'.}],
    4928 => [16, q{Cannot alter column '%s' because it is '%s'.}],
    5074 => [16, q{The %s '%s' is dependent on %s '%s'.}],
    7102 => [20, q{Internal error in the text manager.}],
    8003 => [16, q{The incoming request has too many parameters. The server supports a maximum of %d parameters. Reduce the number of parameters and resend the request.}],
    8009 => [16, q{The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. Parameter %d ("%s"): Data type 0x%02X is unknown.}],
    8016 => [16, q{The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. Parameter %d ("%s"): Data type 0x%02X has an invalid data length or metadata length.}],
    8023 => [16, q{The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. Parameter %d ("%s"): The supplied value is not a valid instance of data type %s. Check the source data for invalid values. An example of an invalid value is data of numeric type with scale greater than precision.}],
    8101 => [16, q{An explicit value for the identity column in table '%s' can only be specified when a column list is used and IDENTITY_INSERT is ON.}],
    8102 => [16, q{Cannot update identity column '%s'.}],
    8106 => [16, q{Table '%s' does not have the identity property. Cannot perform SET operation.}],
    8107 => [16, q{IDENTITY_INSERT is already ON for table '%s'. Cannot perform SET operation for table '%s'.}],
    8111 => [16, q{Cannot define PRIMARY KEY constraint on nullable column in table '%s'.}],
    8114 => [16, q{Error converting data type %s to %s.}],
    8115 => [16, q{Arithmetic overflow error converting %s to data type %s.}],
    8117 => [16, q{Operand data type %s is invalid for %s operator.}],
    8120 => [16, q{Column '%s' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.}],
    8134 => [16, q{Divide by zero error encountered.}],
    8144 => [16, q{Procedure or function %s has too many arguments specified.}],
    8152 => [16, q{String or binary data would be truncated.}],
    8145 => [16, q{%s is not a parameter for procedure %s.}],
    8146 => [16, q{Procedure %s has no parameters and arguments were supplied.}],
    8155 => [16, q{No column name was specified for column %d of '%s'.}],
    8158 => [16, q{'%s' has more columns than were specified in the column list.}],
    8159 => [16, q{'%s' has fewer columns than were specified in the column list.}],
    8162 => [16, q{The formal parameter "%s" was not declared as an OUTPUT parameter, but the actual parameter passed in requested output.}],
    8168 => [16, q{Cannot create, drop, enable, or disable more than one constraint, column, index, or trigger named '%s' in this context. Duplicate names are not allowed.}],
    8169 => [16, q{Conversion failed when converting from a character string to uniqueidentifier.}],
    8170 => [16, q{Insufficient result space to convert uniqueidentifier value to char.}],
    8178 => [16, q{The parameterized query '%s' expects the parameter '%s', which was not supplied.}],
    8623 => [16, q{The query processor ran out of internal resources and could not produce a query plan. This is a rare event and only expected for extremely complex queries or queries that reference a very large number of tables or partitions. Please simplify the query. If you believe you have received this message in error, contact Customer Support Services for more information.}],
    8632 => [17, q{Internal error: An expression services limit has been reached. Please look for potentially complex expressions in your query, and try to simplify them.}],
    8645 => [17, q{A timeout occurred while waiting for memory resources to execute the query in resource pool '%s' (%d). Rerun the query.}],
    8651 => [17, q{Could not perform the operation because the requested memory grant was not available in resource pool '%s' (%d). Rerun the query, reduce the query load, or check resource governor configuration setting.}],
    8672 => [16, q{The MERGE statement attempted to UPDATE or DELETE the same row more than once.}],
    9002 => [17, q{The transaction log for database '%s' is full due to '%s'.}],
    9803 => [16, q{Invalid data for type "%s".}],
    10738 => [15, q{The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.}],
    13607 => [16, q{JSON path is not properly formatted. Unexpected character '%s' is found at position %d.}],
    13609 => [16, q{JSON text is not properly formatted. Unexpected character '%s' is found at position %d.}],
    13618 => [16, q{AS JSON option can be specified only for column of nvarchar(max) type in WITH clause.}],
    15151 => [16, q{Cannot %s the %s '%s', because it does not exist or you do not have permission.}],
    15225 => [11, q{No item by the name of '%s' could be found in the current database '%s', given that @itemtype was input as '%s'.}],
    15248 => [11, q{Either the parameter @objname is ambiguous or the claimed @objtype (%s) is wrong.}],
    15249 => [11, q{Error: Explicit @objtype '%s' is unrecognized.}],
    15335 => [11, q{Error: The new name '%s' is already in use as a %s name and would cause a duplicate that is not permitted.}],
    17803 => [20, q{There was a memory allocation failure during connection establishment. Reduce nonessential memory load, or increase system memory. The connection has been closed.}],
    17809 => [20, q{Could not connect because the maximum number of '%d' user connections has already been reached.}],
    18401 => [14, q{Login failed for user '%s'. Reason: Server is in script upgrade mode. Only administrator can connect at this time.}],
    18456 => [14, q{Login failed for user '%s'.}],
    50000 => [16, q{%s}],
);

# The state SQL Server gives, where it is known to be other than 1.
my %STATE = (207 => 1, 245 => 1, 515 => 2, 547 => 0, 1205 => 51, 1222 => 56, 2714 => 6, 2812 => 62,
    3701 => 5, 911 => 1, 8114 => 5, 8115 => 2, 13609 => 4);

# new(number, arguments…)
sub new {
    my ($class, $number, @argument) = @_;
    my $known = $MESSAGE{$number};
    my ($severity, $text) = $known ? @$known : (16, 'Error %d.');
    @argument = ($number) if !$known;
    my $want = () = $text =~ /%(?!%)/g;
    push @argument, ('') x ($want - @argument) if @argument < $want;
    no warnings 'numeric';    ## no critic: a missing argument of a %d is 0
    return bless { number => $number, severity => $severity, state => $STATE{$number} // 1,
        text => sprintf($text, @argument[0 .. $want - 1]) }, $class;
}

# An error the peer was told to give: number, and what differs from the table.
sub custom {
    my ($class, $number, %own) = @_;
    my $self = $class->new($number, @{ $own{arguments} // [] });
    for my $field (qw(severity state text)) {
        $self->{$field} = $own{$field} if defined $own{$field};
    }
    return $self;
}

sub fail { die TdsPeer::Error->new(@_) }

# Thrown with others before it: SQL Server reports several errors for one failure.
sub preceded_by {
    my ($self, @errors) = @_;
    $self->{before} = \@errors;
    return $self;
}

# Its own line unless it has one.
sub at_line {
    my ($self, $line) = @_;
    $self->{line} //= $line;
    return $self;
}

1;

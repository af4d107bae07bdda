package TdsPeer::Session;

# One session: runs batches and sp_executesql on the SQLite file, keeps its options, variables and
# transaction, and tells the wire half what to answer.
#
# A transaction of T-SQL becomes one of SQLite when it first writes or locks; until then it reads
# what is committed, as READ COMMITTED does. SQLite has one writer: another session that wants to
# write waits for the whole transaction, up to LOCK_TIMEOUT.

use strict;
use warnings;
use DBD::SQLite::Constants qw(DBD_SQLITE_STRING_MODE_BYTES SQLITE_DETERMINISTIC);
use DBI;
use Encode ();
use TdsPeer::Catalog;
use TdsPeer::Change;
use TdsPeer::Definition;
use TdsPeer::Error qw(fail);
use TdsPeer::Parser;
use TdsPeer::Translate;
use TdsPeer::Types qw(type_of type_text converter is_string);

my $FOR_EVER_MS = 2_000_000_000;
my $CACHED_BATCHES = 200;

# --- the file

sub connect_file {
    my ($dir, $fast) = @_;
    my $dbh = DBI->connect("dbi:SQLite:dbname=$dir/peer.db", '', '', { RaiseError => 1, PrintError => 0,
        AutoCommit => 1, sqlite_string_mode => DBD_SQLITE_STRING_MODE_BYTES });
    $dbh->sqlite_busy_timeout(60_000);
    $dbh->do("pragma $_") for 'journal_mode = wal', 'temp_store = memory', 'cache_size = -65536',
        'synchronous = ' . ($fast ? 'off' : 'full');
    return $dbh;
}

# Makes the file and the databases that are missing.
sub create_databases {
    my ($class, $dir, $names, %option) = @_;
    my $dbh = connect_file($dir, 1);
    TdsPeer::Catalog::install($dbh);
    for my $name ('master', @$names) {
        TdsPeer::Catalog::create_database($dbh, $name, %option) if !TdsPeer::Catalog::database($dbh, $name);
    }
    $dbh->disconnect;
    return;
}

# new(dir, database, user, fast, compatibility_level, version, spid)
sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        database => $arg{database} // 'master', user => $arg{user}, spid => $arg{spid} // 51,
        version => $arg{version} // '16.0.4105.2', default_level => $arg{compatibility_level} // 160,
        may_alter => $arg{may_alter} // 1,
        dbh => connect_file($arg{dir}, $arg{fast}),
        converters => [], converter_ids => {}, batches => {}, descriptor => 0,
    }, $class;
    my $there = TdsPeer::Catalog::database($self->{dbh}, $self->{database})
        or fail(4060, $self->{database});
    $self->{database} = $there->{name};
    $self->add_functions;
    $self->set_defaults;
    return $self;
}

sub set_defaults {
    my ($self) = @_;
    $self->{option} = { QUOTED_IDENTIFIER => 1, ANSI_NULLS => 1, ANSI_PADDING => 1, ANSI_WARNINGS => 1 };
    $self->{number} = { LOCK_TIMEOUT => -1, ROWCOUNT => 0 };
    @$self{qw(transaction_count rowcount error_number)} = (0, 0, 0);
    delete $self->{identity_insert};
    $self->{variables} = {};
    $self->{dbh}->sqlite_busy_timeout($FOR_EVER_MS);
    return;
}

sub reset {    ## no critic: the protocol's word
    my ($self) = @_;
    $self->roll_back_all if $self->{transaction_count};
    $self->set_defaults;
    return;
}

sub close {    ## no critic: the interface's word
    my ($self) = @_;
    my $dbh = delete $self->{dbh} or return;
    eval { $dbh->do('rollback') } if $self->{open};
    $dbh->disconnect;
    return;
}

# --- what expressions ask

sub database { return $_[0]{database} }
sub transaction_count { return $_[0]{transaction_count} }
sub transaction_descriptor { return $_[0]{transaction_count} ? $_[0]{descriptor} : 0 }
sub may_alter { return $_[0]{may_alter} ? 1 : 0 }
sub database_row { return TdsPeer::Catalog::database($_[0]{dbh}, $_[0]{database}) }
sub default_collation { return $_[0]{collation} //= $_[0]->database_row->{collation_name} }
sub compatibility_level { return $_[0]->database_row->{compatibility_level} }
sub xact_state { return $_[0]{transaction_count} ? ($_[0]{doomed} ? -1 : 1) : 0 }

sub system_value {
    my ($self, $name) = @_;
    my %value = ('@@TRANCOUNT' => $self->{transaction_count}, '@@ROWCOUNT' => $self->{rowcount}, '@@SPID' => $self->{spid},
        '@@ERROR' => $self->{error_number}, '@@VERSION' => "The TDS peer of pg2any's tests, as version $self->{version}");
    return $value{$name} // fail(137, $name);
}

sub server_property {
    my ($self, $name) = @_;
    my %value = (productversion => $self->{version}, engineedition => 3, edition => 'Developer Edition (64-bit)',
        collation => $TdsPeer::Catalog::DEFAULT_COLLATION, productlevel => 'RTM');
    return $value{ lc $name };
}

sub variable {
    my ($self, $name) = @_;
    return $self->{variables}{ lc $name } // fail(137, $name);
}

# --- functions of the file

# Text is bytes in the file and characters in the converters.
sub converter_id {
    my ($self, $from, $to, %how) = @_;
    my $key = join "\0", type_text($from), type_text($to), map { "$_=" . ($how{$_} // '') } sort keys %how;
    return $self->{converter_ids}{$key} //= do {
        my $code = converter($from, $to, %how);
        my ($decode, $encode) = (is_string($from), is_string($to));
        my $number = TdsPeer::Types::is_integer($to) || TdsPeer::Types::is_float($to);
        push @{ $self->{converters} }, sub {
            my ($value) = @_;
            $value = Encode::decode('utf8', $value) if $decode && $value =~ /[\x80-\xff]/;
            $value = $code->($value);
            utf8::encode($value) if $encode;
            return $number ? $value : "=$value";
        };
        $#{ $self->{converters} };
    };
}

sub add_functions {
    my ($self) = @_;
    my $dbh = $self->{dbh};
    # What dies in a function comes back as a text only.
    my $guard = sub {
        my ($code) = @_;
        return sub {
            my @arguments = @_;
            my $value = eval { $code->(@arguments) };
            if (my $error = $@) {
                $self->{thrown} //= $error;
                die "thrown\n";
            }
            return $value;
        };
    };
    my $converters = $self->{converters};
    my %function = (
        peer_convert => [2, sub { return defined $_[0] ? $converters->[$_[1]]->($_[0]) : undef }],
        peer_null => [2, sub { fail(515, $_[0], $_[1], 'INSERT') }],
        peer_units => [1, sub {
            return undef if !defined $_[0];    ## no critic: a value
            return $_[0] =~ /[\x80-\xff]/ ? TdsPeer::Types::utf16_units(Encode::decode('utf8', $_[0])) : length $_[0];
        }],
        # Nothing changes names within a statement: asked once, not once a row.
        peer_object_id => [-1, sub { return $self->object_id(@_) }, SQLITE_DETERMINISTIC],
        peer_next_identity => [1, sub { return $self->next_identity(@_) }],
        peer_rowversion => [0, sub { return ++$self->{rowversion} }],
    );
    for my $name (keys %function) {
        my ($arguments, $code, $flags) = @{ $function{$name} };
        $dbh->sqlite_create_function($name, $arguments, $guard->($code), $flags // 0);
    }
    return;
}

# Of a name as it is written; NULL where there is no such object.
sub object_id {
    my ($self, $name, $type) = @_;
    return undef if !defined $name;    ## no critic: a value
    my $parts = eval { TdsPeer::Parser->of(Encode::decode('utf8', $name), quoted_identifier => 1)->object_name };
    return undef if !$parts;    ## no critic: a value
    my $object = TdsPeer::Catalog::object($self->{dbh}, TdsPeer::Catalog::full_name($self->{database}, $parts));
    return undef if !$object || defined $type && uc $type ne $object->{type};    ## no critic: a value
    return $object->{object_id};
}

sub next_identity {
    my ($self, $object_id) = @_;
    my $next = $self->{next_identity}{$object_id} //= do {
        my $dbh = $self->{dbh};
        my $table = TdsPeer::Catalog::with_columns($dbh,
            TdsPeer::Catalog::row_hash($dbh, 'select * from peer_objects where object_id = ?', $object_id));
        my ($column) = grep { $_->{identity} } @{ $table->{columns} };
        my ($seed, $step) = @{ $column->{identity} };
        my ($last) = $dbh->selectrow_array('select max(' . TdsPeer::Change::quoted($column->{name}) . ') from '
            . TdsPeer::Change::quoted($table->{file_name}));
        { value => $last // $seed - $step, step => $step };
    };
    return $next->{value} += $next->{step};
}

# --- transactions

sub sql {
    my ($self, $sql) = @_;
    eval { $self->{dbh}->do($sql); 1 } or die $self->error_of($@);
    return;
}

# From here on nobody else writes.
sub write_lock {
    my ($self) = @_;
    return if $self->{open};
    fail(3906, $self->{database}) if $self->database_row->{is_read_only};
    if (!eval { $self->{dbh}->do('begin immediate'); 1 }) {
        my $error = $self->error_of($@);
        # DBD::SQLite takes it for begun.
        eval { $self->{dbh}->rollback };
        die $error;
    }
    $self->{open} = 1;
    return;
}

sub begin_transaction {
    my ($self) = @_;
    if ($self->{transaction_count}++ == 0) {
        $self->{descriptor} = 1 + $self->{spid} * 65_536 + ($self->{begun}++ // 0);
        $self->{sink}->environment({ kind => 'begin', new => $self->{descriptor}, old => 0 });
    }
    return;
}

sub commit_transaction {
    my ($self) = @_;
    fail(3902) if !$self->{transaction_count};
    fail(3930) if $self->{doomed};
    if ($self->{transaction_count} == 1) {
        $self->sql('commit') if $self->{open};
        $self->ended('commit');
    } else {
        $self->{transaction_count}--;
    }
    return;
}

# What was rolled back, temporary tables too, is not there any more.
sub forget {
    my ($self) = @_;
    delete @$self{qw(next_identity temporary)};
    return;
}

sub roll_back_all {
    my ($self) = @_;
    if ($self->{open}) {
        $self->{dbh}->do('rollback');
    }
    $self->forget;
    $self->ended('rollback') if $self->{transaction_count};
    $self->{open} = 0;
    return;
}

sub ended {
    my ($self, $how) = @_;
    $self->{sink}->environment({ kind => $how, new => 0, old => $self->{descriptor} }) if $self->{sink};
    @$self{qw(transaction_count open doomed)} = (0, 0, 0);
    $self->{savepoints} = [];
    delete $self->{collation};
    return;
}

sub transaction_name {
    my ($self, $name) = @_;
    return if !$name;
    return defined $name->{variable} ? $self->variable($name->{variable})->{value} : $name->{name};
}

sub save_transaction {
    my ($self, $name) = @_;
    fail(628) if !$self->{transaction_count};
    $self->write_lock;
    my $savepoints = $self->{savepoints} //= [];
    if (@$savepoints && $savepoints->[-1] eq lc $name) {
        $self->sql('release "save_' . pop(@$savepoints) . '"');
    }
    push @$savepoints, lc $name;
    $self->sql('savepoint "save_' . lc($name) . '"');
    return;
}

sub roll_back_transaction {
    my ($self, $name) = @_;
    fail(3903) if !$self->{transaction_count};
    return $self->roll_back_all if !defined $name;
    my $savepoints = $self->{savepoints} // [];
    grep { $_ eq lc $name } @$savepoints or fail(6401, $name);
    pop @$savepoints while $savepoints->[-1] ne lc $name;
    $self->sql('rollback to "save_' . lc($name) . '"');
    $self->forget;
    return;
}

# --- errors

# What went wrong in the file, in SQL Server's words. `table`: what the statement changed.
sub error_of {
    my ($self, $message, $table) = @_;
    return $message if ref $message;
    if (my $thrown = delete $self->{thrown}) {
        return ref $thrown ? $thrown : TdsPeer::Error->custom(50_000, text => "the peer: $thrown");
    }
    my $code = ($self->{dbh}->err // 0) & 0xff;
    return TdsPeer::Error->new(1222) if $code == 5 || $code == 6;
    return TdsPeer::Error->new(1105, 'peer', 'PRIMARY') if $code == 13;
    return TdsPeer::Error->custom(3980, text => 'The request was cancelled.', severity => 11) if $code == 9;
    return TdsPeer::Error->new(13609, '?', 0) if $message =~ /malformed JSON/;
    if ($message =~ /UNIQUE constraint failed/ && $table) {
        my ($index) = grep { $self->names_index($message, $table, $_) } @{ $table->{indexes} };
        if ($index) {
            my $shown = "$table->{schema}.$table->{name}";
            return TdsPeer::Error->new(1505, $shown, $index->{name}, '<key>') if $index->{creating};
            return $index->{kind} !~ /\A(?:primary|unique)\z/ ? TdsPeer::Error->new(2601, $shown, $index->{name}, '<key>')
                : TdsPeer::Error->new(2627, $index->{kind} eq 'primary' ? 'PRIMARY KEY' : 'UNIQUE KEY', $index->{name}, $shown, '<key>');
        }
    }
    return TdsPeer::Error->custom(50_000, text => "the peer: $message");
}

# SQLite names the index, or the columns of one without expressions.
sub names_index {
    my ($self, $message, $table, $index) = @_;
    return 1 if index($message, "index '" . TdsPeer::Translate::bytes($index->{file_name}) . "'") >= 0;
    my $columns = join ', ', map { TdsPeer::Translate::bytes("$table->{file_name}.$_->{name}") } @{ $index->{columns} // [] };
    return $columns ne '' && $message =~ /failed: \Q$columns\E(?: at |\z|\n)/;
}

sub report {
    my ($self, $error) = @_;
    for my $e (@{ $error->{before} // [] }, $error) {
        $self->{sink}->error({ number => $e->{number}, state => $e->{state}, severity => $e->{severity}, message => $e->{text},
            line => $e->{line} // $error->{line} // $self->{line} // 1 });
    }
    $self->{error_number} = $error->{number};
    return;
}

my %STATEMENT_ONLY = map { $_ => 1 } 515, 547, 2601, 2627, 544, 545, 2628, 8152, 1222;

# Whether the batch goes on after an error (Microsoft, "SET XACT_ABORT").
sub handle {
    my ($self, $error) = @_;
    $self->report($error);
    my $ends = $error->{severity} > 10 && ($self->{option}{XACT_ABORT} || !$STATEMENT_ONLY{ $error->{number} });
    if ($ends && $self->{transaction_count} && ($self->{option}{XACT_ABORT} || $error->{severity} >= 13)) {
        $self->roll_back_all;
    }
    $self->{sink}->info({ number => 3621, severity => 0, state => 0, message => 'The statement has been terminated.' })
        if $STATEMENT_ONLY{ $error->{number} };
    return !$ends;
}

# An error that the peer was told to give, as if a statement had met it.
sub fail_with {
    my ($self, $given, $sink) = @_;
    local $self->{sink} = $sink;
    my $error = TdsPeer::Error->custom($given->{number}, severity => $given->{severity}, state => $given->{state}, text => $given->{message});
    $self->report($error);
    # A deadlock victim's transaction is rolled back whatever XACT_ABORT says.
    $self->roll_back_all if $self->{transaction_count} && ($self->{option}{XACT_ABORT} || $given->{number} == 1205);
    return;
}

# --- running

sub run_batch {
    my ($self, $text, $sink) = @_;
    local $self->{sink} = $sink;
    $self->{variables} = {};
    return $self->run_text($text);
}

# sp_executesql; the output parameters.
sub run_rpc {
    my ($self, $statement, $declaration, $given, $sink) = @_;
    local $self->{sink} = $sink;
    $self->{variables} = {};
    my $before = $self->{transaction_count};
    my $parameters = eval { $self->{declarations}{ $declaration // '' } //= TdsPeer::Parser->declaration($declaration // '', quoted_identifier => 1) };
    if (!$parameters) {
        $self->handle($self->error_of($@));
        return;
    }
    my $done = eval { $self->bind_parameters($parameters, $given); 1 };
    if (!$done) {
        $self->handle($self->error_of($@));
        return;
    }
    $self->run_text($statement) or return;
    if ($self->{transaction_count} != $before) {
        $self->report(TdsPeer::Error->new(266, $before, $self->{transaction_count}));
        return;
    }
    return [map { +{ name => $_->{name}, %{ $self->variable($_->{name}) } } } grep { $_->{output} } @$parameters];
}

sub bind_parameters {
    my ($self, $parameters, $given) = @_;
    fail(8003) if @$given > 2100;
    my @given = @$given;
    for my $parameter (@$parameters) {
        my ($value) = grep { defined $_->{name} && $_->{name} ne '' && lc $_->{name} eq lc $parameter->{name} } @given;
        $value //= shift @given if @given && ($given[0]{name} // '') eq '';
        fail(8178, '', $parameter->{name}) if !$value;
        my $type = type_of($parameter->{type});
        my $from = type_of({ name => $value->{type}, arguments => $value->{type} =~ /char|binary/ ? ['max'] : [] });
        $self->{variables}{ lc $parameter->{name} } = { type => $type,
            value => defined $value->{value} ? converter($from, $type)->($value->{value}) : undef };
    }
    my %declared = map { lc $_->{name} => 1 } @$parameters;
    for my $extra (grep { ($_->{name} // '') ne '' && !$declared{ lc $_->{name} } } @$given) {
        fail(8145, $extra->{name}, 'sp_executesql');
    }
    return;
}

# The statements of a text, parsed once.
sub statements {
    my ($self, $text) = @_;
    my $quoted = $self->{option}{QUOTED_IDENTIFIER} ? 1 : 0;
    my $known = $self->{batches}{"$quoted$text"};
    if (!$known) {
        $self->{batches} = {} if keys %{ $self->{batches} } >= $CACHED_BATCHES;
        $known = TdsPeer::Parser->batch($text, quoted_identifier => $quoted);
        $self->{batches}{"$quoted$text"} = $known if length $text < 100_000;
    }
    return $known;
}

# True when all of it ran.
sub run_text {
    my ($self, $text) = @_;
    my $statements = eval { $self->statements($text) };
    if (!$statements) {
        # Nothing ran: a mistake in the text ends no transaction.
        $self->report($self->error_of($@));
        return 0;
    }
    return $self->run_statements(@$statements);
}

sub run_statements {
    my ($self, @statements) = @_;
    for my $s (@statements) {
        $self->{line} = $s->{line};
        my $going = eval { $self->run_statement($s) };
        next if $going;
        return 0 if defined $going;
        my $error = $self->error_of($@);
        $error->at_line($s->{line});
        $self->end_statement(0);
        return 0 if !$self->handle($error);
    }
    return 1;
}

# Outside a transaction a statement is one by itself; inside it is undone alone where it fails.
sub start_statement {
    my ($self) = @_;
    $self->{statement} = $self->{transaction_count} ? 'savepoint' : 'transaction';
    $self->write_lock;
    $self->sql('savepoint peer_statement') if $self->{statement} eq 'savepoint';
    return;
}

sub end_statement {
    my ($self, $fine) = @_;
    my $kind = delete $self->{statement};
    $self->forget if !$fine;
    if (!$kind) {
        # A definition outside a transaction.
        if (!$self->{transaction_count} && $self->{open}) {
            $self->{dbh}->do($fine ? 'commit' : 'rollback');
            $self->{open} = 0;
        }
        return;
    }
    if ($kind eq 'savepoint') {
        $self->{dbh}->do('rollback to peer_statement') if !$fine;
        $self->{dbh}->do('release peer_statement');
    } elsif ($self->{open}) {
        $self->{open} = 0;
        $self->{dbh}->do('rollback') if !$fine;
        $self->sql('commit') if $fine;
    }
    return;
}

my %DEFINITION = map { $_ => 1 } qw(create_table drop_table create_index drop_index alter_table create_schema drop_schema
    create_database alter_database transfer create_trigger create_view disable_trigger drop_object);

# 1: go on; 0: the batch has ended.
sub run_statement {
    my ($self, $s) = @_;
    if ($s->{k} =~ /\A(?:insert|update|delete)\z/) {
        $self->start_statement;
        my $count = $self->run_change($s);
        $self->end_statement(1);
        $self->finished($count);
        return 1;
    } elsif ($DEFINITION{ $s->{k} }) {
        my $method = TdsPeer::Definition->can($s->{k});
        $method->($self, $s);
        $self->changed_definition if $s->{k} ne 'create_database';
        $self->end_statement(1);
        $self->done;
        return 1;
    }
    my $method = "run_$s->{k}";
    fail(102, $s->{k}) if !$self->can($method);
    return $self->$method($s) // 1;
}

# Plans made before do not hold any more.
sub changed_definition {
    my ($self) = @_;
    my ($version) = $self->{dbh}->selectrow_array('pragma user_version');
    $self->{dbh}->do('pragma user_version = ' . ($version + 1));
    delete $self->{next_identity};
    delete $self->{collation};
    return;
}

sub version {
    my ($self) = @_;
    return join ' ', $self->{database}, $self->{identity_insert} // '', map { $self->pragma($_) } qw(schema_version user_version);
}

sub pragma {
    my ($self, $name) = @_;
    my $sth = $self->{dbh}->prepare_cached("pragma $name");
    my ($value) = $self->{dbh}->selectrow_array($sth);
    return $value;
}

sub done { my ($self, $count) = @_; $self->{sink}->done({ count => $self->{option}{NOCOUNT} ? undef : $count }); return }

sub finished {
    my ($self, $count) = @_;
    $self->{rowcount} = $count;
    $self->{error_number} = 0;
    return $self->done($count);
}

# --- changes of rows

sub run_change {
    my ($self, $s) = @_;
    my $version = $self->version;
    if (!$s->{plan} || $s->{plan}{version} ne $version) {
        delete $s->{plan};
        local $self->{planning} = $s;
        my $code = { insert => \&TdsPeer::Change::insert, update => \&TdsPeer::Change::update, delete => \&TdsPeer::Change::remove }->{ $s->{k} };
        $code->($self, $s);
        $s->{plan}{version} = $version;
    }
    return $s->{plan}{run}->();
}

# What a statement is, once translated: a plan.
sub change {
    my ($self, $sql, $translate, $table, $verb) = @_;
    my @variables = keys %{ $translate->{variables} };
    $self->{planning}{plan} = { run => sub {
        my $count = $self->run_sql($sql, $table, @variables);
        TdsPeer::Change::check_foreign_keys($self, $table, $verb) if @{ $table->{foreign} };
        return $count;
    } };
    return;
}

sub change_collected {
    my ($self, $translate, $table, $verb, $collect, $names) = @_;
    my @variables = keys %{ $translate->{variables} };
    my $n = @$names;
    my $file = TdsPeer::Change::quoted($table->{file_name});
    my $number = TdsPeer::Change::row_number($table);
    # The columns whose old values could stand in the way of new ones.
    my @unique = grep { my $name = $_; grep { $_->{is_unique} && grep { $_->{name} eq $name } @{ $_->{columns} } } @{ $table->{indexes} } } @$names;
    my $set = join ', ', map { TdsPeer::Change::quoted($names->[$_]) . " = (select v$_ from temp.peer_changed_$n where r = $file.$number)" } 0 .. $n - 1;
    my $clear = join ', ', map { TdsPeer::Change::quoted($_) . " = cast('peer ' || $number as blob)" } @unique;
    $self->{planning}{plan} = { run => sub {
        my $dbh = $self->{dbh};
        if (!$self->{temporary}{$n}++) {
            $dbh->do("create temp table if not exists peer_changed_$n (" . join(', ', 'r integer primary key', map { "v$_" } 0 .. $n - 1) . ')');
        }
        $self->run_sql("delete from temp.peer_changed_$n", $table);
        my $count = $self->run_sql("insert or ignore into temp.peer_changed_$n $collect", $table, @variables);
        if ($verb eq 'DELETE') {
            $self->run_sql("delete from $file where $number in (select r from temp.peer_changed_$n)", $table);
        } else {
            $self->run_sql("update $file set $clear where $number in (select r from temp.peer_changed_$n)", $table) if @unique && $count > 1;
            # Not UPDATE FROM: it would read the whole table.
            $self->run_sql("update $file set $set where $number in (select r from temp.peer_changed_$n)", $table);
        }
        TdsPeer::Change::check_foreign_keys($self, $table, $verb) if @{ $table->{foreign} };
        return $count;
    } };
    return;
}

# Executes with the session's variables; rows changed.
sub run_sql {
    my ($self, $sql, $table, @variables) = @_;
    my $count = eval {
        my $sth = $self->{dbh}->prepare_cached($sql);
        $self->bind_variables($sth, @variables);
        my $rows = $sth->execute;
        $sth->finish;
        $rows;
    };
    die $self->error_of($@, $table) if !defined $count;
    return $count + 0;
}

sub bind_variables {
    my ($self, $sth, @variables) = @_;
    for my $name (@variables) {
        my $variable = $self->variable($name);
        my $value = $variable->{value};
        utf8::encode($value) if defined $value && is_string($variable->{type}) && utf8::is_utf8($value);
        my $bind = $variable->{type}{name} =~ /\A(?:bit|tinyint|smallint|int|bigint)\z/ ? DBI::SQL_INTEGER()
            : TdsPeer::Types::is_binary($variable->{type}) ? DBI::SQL_BLOB() : DBI::SQL_VARCHAR();
        $sth->bind_param(':' . $name =~ s/\A\@/v_/r, $value, $bind);
    }
    return;
}

# --- other statements

sub run_query {
    my ($self, $s) = @_;
    my $translate = TdsPeer::Translate->new(session => $self);
    my $query = $translate->query($s->{query});
    my $locks = grep { $translate->{hints}{$_} } qw(UPDLOCK XLOCK TABLOCKX);
    if ($locks && !$self->{transaction_count}) {
        $locks = 0;
    }
    $self->write_lock if $locks;
    my $sth = eval {
        my $prepared = $self->{dbh}->prepare($query->{sql});
        $self->bind_variables($prepared, keys %{ $translate->{variables} });
        $prepared->execute;
        $prepared;
    } or die $self->error_of($@);
    my @columns = @{ $query->{columns} };
    my $count = 0;
    if (grep { defined $_->{variable} } @columns) {
        while (my $row = $sth->fetchrow_arrayref) {
            $count++;
            $self->assign($columns[$_]{variable}, $columns[$_]{type}, $row->[$_]) for 0 .. $#columns;
        }
        return $self->finished($count);
    }
    $self->{sink}->columns([map { $self->column_for_wire($_) } @columns]);
    my @text = map { is_string($_->{type}) || $_->{type}{name} !~ /binary|image|timestamp|int|bit|real|float/ } @columns;
    while (1) {
        my $row = eval { $sth->fetchrow_arrayref };
        die $self->error_of($@) if $@;
        last if !$row;
        $count++;
        $self->{sink}->row([map { defined $row->[$_] && $text[$_] ? Encode::decode('utf8', $row->[$_]) : $row->[$_] } 0 .. $#columns]);
    }
    $self->finished($count);
    return 1;
}

sub column_for_wire {
    my ($self, $column) = @_;
    my $type = $column->{type};
    my $name = $type->{name};
    fail(257, 'sql_variant', 'nvarchar') if $name eq 'sql_variant';
    my %wire = (null => 'int', numeric => 'decimal', nchar => 'nvarchar', char => 'varchar', binary => 'varbinary',
        image => 'varbinary', timestamp => 'varbinary', text => 'varchar', ntext => 'nvarchar', xml => 'nvarchar',
        datetime => 'datetime2', smalldatetime => 'datetime2', money => 'decimal');
    return { name => $column->{name} // '', type => $wire{$name} // $name, size => $type->{size} // -1,
        precision => $type->{precision} // 19, scale => $type->{scale} // ($name eq 'money' ? 4 : $name eq 'datetime' ? 3 : 0), nullable => 1 };
}

# Without the file where it can be.
sub simple_value {
    my ($self, $e) = @_;
    return $self->system_value($e->{name}) if $e->{k} eq 'system' && $e->{name} =~ /\A\@\@(?:ROWCOUNT|TRANCOUNT|SPID|ERROR)\z/;
    return $e->{value} if $e->{k} eq 'constant' && $e->{kind} eq 'integer' && $e->{value} < 2_147_483_648;
    return;
}

sub evaluate {
    my ($self, $e) = @_;
    if (defined(my $simple = $self->simple_value($e))) {
        return (type_of({ name => 'int', arguments => [] }), $simple);
    }
    my $translate = TdsPeer::Translate->new(session => $self);
    my $x = $translate->expression($e);
    return ($x->{type}, $self->value_of("select $x->{sql}", $translate));
}

sub value_of {
    my ($self, $sql, $translate) = @_;
    my $value = eval {
        my $sth = $self->{dbh}->prepare($sql);
        $self->bind_variables($sth, keys %{ $translate->{variables} });
        $sth->execute;
        [$sth->fetchrow_array];
    } or die $self->error_of($@);
    return $value->[0];
}

sub assign {
    my ($self, $name, $type, $value) = @_;
    my $variable = $self->variable($name);
    if (defined $value) {
        $value = Encode::decode('utf8', $value) if is_string($type);
        $value = converter($type, $variable->{type})->($value);
    }
    $variable->{value} = $value;
    return;
}

sub run_assign {
    my ($self, $s) = @_;
    $self->assign($s->{name}, $self->evaluate($s->{value}));
    $self->{rowcount} = 1;
    return 1;
}

sub run_declare {
    my ($self, $s) = @_;
    for my $v (@{ $s->{variables} }) {
        fail(134, $v->{name}) if $self->{variables}{ lc $v->{name} };
        $self->{variables}{ lc $v->{name} } = { type => type_of($v->{type}) };
        $self->assign($v->{name}, $self->evaluate($v->{value})) if $v->{value};
    }
    return 1;
}

sub holds {
    my ($self, $c) = @_;
    if ($c->{k} eq 'compare') {
        my ($l, $r) = map { scalar $self->simple_value($c->{$_}) } qw(l r);
        if (defined $l && defined $r) {
            return { '=' => $l == $r, '<>' => $l != $r, '<' => $l < $r, '>' => $l > $r, '<=' => $l <= $r, '>=' => $l >= $r }->{ $c->{op} };
        }
    }
    my $translate = TdsPeer::Translate->new(session => $self);
    my $condition = $translate->condition($c);
    return $self->value_of("select case when $condition then 1 else 0 end", $translate);
}

sub run_if {
    my ($self, $s) = @_;
    my $next = $self->holds($s->{condition}) ? $s->{then} : $s->{else};
    return $next ? $self->run_statements($next) : 1;
}

sub run_block { my ($self, $s) = @_; return $self->run_statements(@{ $s->{body} }) }

sub run_begin { my ($self, $s) = @_; $self->begin_transaction; $self->done; return 1 }
sub run_commit { my ($self, $s) = @_; $self->commit_transaction; $self->done; return 1 }
sub run_save { my ($self, $s) = @_; $self->save_transaction($self->transaction_name($s->{name})); $self->done; return 1 }
sub run_rollback { my ($self, $s) = @_; $self->roll_back_transaction($self->transaction_name($s->{name})); $self->done; return 1 }

sub run_switch {
    my ($self, $s) = @_;
    $self->{option}{$_} = $s->{on} for @{ $s->{options} };
    $self->done;
    return 1;
}

sub run_set_number {
    my ($self, $s) = @_;
    $self->{number}{ $s->{option} } = $s->{value};
    if ($s->{option} eq 'LOCK_TIMEOUT') {
        $self->{dbh}->sqlite_busy_timeout($s->{value} < 0 ? $FOR_EVER_MS : $s->{value});
    }
    $self->done;
    return 1;
}

sub run_set_word {
    my ($self, $s) = @_;
    $self->{sink}->environment({ kind => 'language', new => $s->{value}, old => 'us_english' }) if $s->{option} eq 'LANGUAGE';
    $self->done;
    return 1;
}

sub run_isolation { my ($self, $s) = @_; $self->done; return 1 }

sub run_identity_insert {
    my ($self, $s) = @_;
    my $table = TdsPeer::Change::target($self, $s->{table});
    fail(8106, $table->{name}) if !grep { $_->{identity} } @{ $table->{columns} };
    if (!$s->{on}) {
        delete $self->{identity_insert} if ($self->{identity_insert} // '') eq $table->{object_id};
    } else {
        my $other = $self->{identity_insert};
        fail(8107, $self->{identity_table}, $table->{name}) if defined $other && $other ne $table->{object_id};
        @$self{qw(identity_insert identity_table)} = ($table->{object_id}, "$table->{db}.$table->{schema}.$table->{name}");
    }
    $self->done;
    return 1;
}

sub run_use {
    my ($self, $s) = @_;
    my $row = TdsPeer::Catalog::database($self->{dbh}, $s->{database}) or fail(911, $s->{database});
    $self->{sink}->environment({ kind => 'database', new => $row->{name}, old => $self->{database} });
    $self->{sink}->info({ number => 5701, severity => 0, state => 1, message => "Changed database context to '$row->{name}'." });
    $self->{database} = $row->{name};
    delete $self->{collation};
    $self->done;
    return 1;
}

sub run_print {
    my ($self, $s) = @_;
    my (undef, $value) = $self->evaluate($s->{value});
    $self->{sink}->info({ number => 0, severity => 0, state => 1, message => $value // '' });
    $self->done;
    return 1;
}

sub run_truncate {
    my ($self, $s) = @_;
    $self->start_statement;
    TdsPeer::Change::truncate_table($self, $s);
    $self->end_statement(1);
    $self->done;
    return 1;
}

sub run_exec {
    my ($self, $s) = @_;
    my @parts = @{ $s->{procedure} };
    my $procedure = lc $parts[-1];
    my $db = @parts == 3 && defined $parts[0] ? $parts[0] : $self->{database};
    my $row = TdsPeer::Catalog::database($self->{dbh}, $db) or fail(911, $db);
    my @values = map { ($self->evaluate($_->{value}))[1] } @{ $s->{arguments} };
    $_ = defined $_ ? Encode::decode('utf8', $_) : undef for @values;
    local $self->{database} = $row->{name};
    delete $self->{collation};
    if ($procedure eq 'sp_rename') {
        TdsPeer::Definition::rename($self, $row->{name}, @values);
        $self->changed_definition;
        $self->end_statement(1);
    } elsif ($procedure eq 'sp_executesql') {
        fail(102, 'sp_executesql') if @values != 1;
        local $self->{variables} = {};
        return $self->run_text($values[0]);
    } else {
        fail(2812, $parts[-1]);
    }
    delete $self->{collation};
    $self->done;
    return 1;
}

sub caution {
    my ($self) = @_;
    $self->{sink}->info({ number => 15_477, severity => 0, state => 1,
        message => 'Caution: Changing any part of an object name could break scripts and stored procedures.' });
    return;
}

sub warn_of_index {
    my ($self, $name, $limit, $bytes) = @_;
    $self->{sink}->info({ number => 1945, severity => 10, state => 1, message => "Warning! The maximum key length for a"
        . " index is $limit bytes. The index '$name' has maximum length of $bytes bytes." });
    return;
}

1;

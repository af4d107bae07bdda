# The structure of the sources is what CONTRIBUTING.md and docs/ARCHITECTURE.md say: floors of common/, tools
# that know nothing of each other, no circles; and so is that of the tests.
# needs: nothing

use Cwd ();
use File::Basename qw(basename dirname);
use Pg2any::Test;

my $root = Cwd::abs_path(dirname(__FILE__) . '/../..');
chdir $root or die "$root: $!";

# Each floor stands on those before it.
my @FLOORS = qw(base frames sql apply);
my %height = map { $FLOORS[$_] => $_ } 0 .. $#FLOORS;
# What knows a database, or prints for people.
my $CLIENT = qr{\A(?:libpq|postgres|pg_config|mysql|mariadb|mysqld|errmsg|sqlite|sybdb|sybfront|jansson|microhttpd|curl)}i;

my @tools = map { dirname($_) } glob '*/main.c';
my @files = grep { !m{\Abuild/} } glob '*/*.[ch] */*/*.[ch]';
my %is_file = map { $_ => 1 } @files;
cmp_ok(scalar @tools, '>', 5, 'there are tools');
cmp_ok(scalar @files, '>', 100, 'and sources');

# A test that passes when there is nothing to complain of, and tells each thing where there is.
sub none {
    my ($found, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(!@$found, $name) || diag(join "\n", @$found);
}

# What a file includes, as the compiler looks for it: headers of ours, names of others'.
my (%ours, %foreign, @lost);
for my $file (@files) {
    my $text = Pg2any::Postgres::read_file($file);
    $foreign{$file} = [$text =~ /^[ \t]*#[ \t]*include[ \t]*<([^>]+)>/mg];
    $ours{$file} = [];
    for my $name ($text =~ /^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/mg) {
        my ($found) = grep { $is_file{$_} } dirname($file) . "/$name", $name, "common/$name";
        push @{ $ours{$file} }, $found if $found;
        push @lost, "$file includes \"$name\", which is nowhere" if !$found;
    }
}
none(\@lost, 'what is included is there');

# ---- floors, tools ----

# Each that includes what it should not.
sub includes {
    my ($wrong, @from) = @_;
    my @found;
    for my $file (@from) {
        push @found, map { "$file includes $_" } grep { $wrong->($file, $_) } @{ $ours{$file} };
    }
    return \@found;
}

my @common = grep { m{\Acommon/} } @files;
none([grep { !m{\Acommon/([^/]+)/} || !exists $height{$1} } @common], "every file of common/ is on a floor: @FLOORS");
sub floor_of { return $_[0] =~ m{\Acommon/([^/]+)/} ? $height{$1} : undef }
none(includes(sub { defined floor_of($_[1]) && floor_of($_[1]) > floor_of($_[0]) }, @common),
    'no floor includes one above it');
none(includes(sub { $_[1] !~ m{\Acommon/} }, @common), 'common/ includes nothing from elsewhere');
none([map { my $file = $_; map { "$file includes <$_>" } grep { /$CLIENT/ } @{ $foreign{$file} } } @common],
    'common/ knows no database client');
for my $tool (@tools) {
    none(includes(sub { $_[1] !~ m{\A(?:common|\Q$tool\E)/} }, grep { m{\A\Q$tool\E/} } @files),
        "$tool includes its own headers and those of common/");
}

# ---- guards ----

my (%guarded, @faults);
for my $header (grep { /\.h\z/ } @files) {
    my $text = Pg2any::Postgres::read_file($header) =~ s{/\*.*?\*/}{}gsr;
    if ($text =~ /\A\s*#ifndef (\w+)\n#define (\w+)\n.*\n#endif\s*\z/s && $1 eq $2) {
        push @{ $guarded{$1} }, $header;
    } else {
        push @faults, "$header is not guarded by #ifndef, #define, #endif";
    }
}
push @faults, map { "$_ guards " . join ' and ', @{ $guarded{$_} } } grep { @{ $guarded{$_} } > 1 } sort keys %guarded;
none(\@faults, 'every header has a guard of its own');

# ---- circles ----

# A module is X.c and X.h of one folder.
my %needs;
for my $file (@files) {
    my $module = $file =~ s/\.[ch]\z//r;
    $needs{$module}{ s/\.h\z//r } = 1 for @{ $ours{$file} };
    delete $needs{$module}{$module};
}

# The shortest way from a module back to itself.
sub circle {
    my ($start) = @_;
    my %from;
    my @next = ($start);
    while (defined(my $module = shift @next)) {
        for my $needed (sort keys %{ $needs{$module} }) {
            if ($needed eq $start) {
                my @way = ($start);
                for (my $at = $module; $at ne $start; $at = $from{$at}) {
                    splice @way, 1, 0, $at;
                }
                return join ' -> ', @way, $start;
            }
            next if exists $from{$needed};
            $from{$needed} = $module;
            push @next, $needed;
        }
    }
    return;
}

# One circle is found from each of its modules: told once, from the first.
sub circles_in {
    my (%told, @circles);
    for my $module (sort keys %needs) {
        my $circle = circle($module) // next;
        my @modules = split / -> /, $circle;
        push @circles, $circle if !$told{ join ' ', sort @modules[1 .. $#modules] }++;
    }
    return \@circles;
}

none(circles_in(), 'no modules go round in a circle');

# ---- tests ----

my %modules = map { basename($_) => 1 } grep { !m{\Atests/} } keys %needs;
none([grep { !$modules{ m{/test_(\w+)\.c\z} ? $1 : '' } } glob 'tests/unit/test_*.c'],
    'every unit test is called after a module');

my (%numbers, @unnumbered);
for my $file (glob 'tests/t/*.t tests/t/*/*.t') {
    my ($number) = basename($file) =~ /\A(\d\d)_[a-z0-9_]+\.t\z/ or push @unnumbered, $file;
    push @{ $numbers{ dirname($file) . "/$number" } }, $file if $number;
}
none(\@unnumbered, 'every test is called after a number and a subject');
none([map { join ' and ', @$_ } grep { @$_ > 1 } values %numbers], 'no two tests of a folder have one number');

done_testing;

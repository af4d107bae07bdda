# Completion in bash and zsh offers what --help lists, of every program and every command: all of it, and the
# words that a value can be.
# needs: nothing

use Cwd ();
use File::Basename ();
use Pg2any::Test;

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
my $bin = Pg2any::Pipeline::tool_dir();
my @programs = sort map { File::Basename::basename($_) } glob "$bin/*";

sub shell {
    my ($shell, $script) = @_;
    my ($out, $err) = (fresh_name("$shell.out"), fresh_name("$shell.err.log"));
    my $process = Pg2any::Process->start(
        name => $shell, argv => [$shell, $shell eq 'zsh' ? '-f' : (), '-c', $script, $shell, "$root/packaging/completion"],
        stdin => undef, stdout => $out, stderr => $err, env => { PATH => "$bin:$ENV{PATH}" });
    is($process->wait_exit(30), 0, "$shell: the script runs");
    is(Pg2any::Postgres::read_file($err), '', "$shell: without a complaint");
    return split /\n/, Pg2any::Postgres::read_file($out);
}

# What bash offers at the end of the words.
sub bash {
    my (@words) = @_;
    my $last = $#words;
    my $list = join ' ', map { "'$_'" } @words;
    return [sort(shell('bash', <<"END"))];
. "\$1/pg2any.bash"
COMP_WORDS=($list)
COMP_CWORD=$last
_pg2any $words[0]
((\${#COMPREPLY[\@]} == 0)) || printf '%s\\n' "\${COMPREPLY[\@]}"
END
}

# What the function for zsh hands to zsh's own, which offers it.
sub zsh {
    my (@words) = @_;
    my $current = @words;
    my $list = join ' ', map { "'$_'" } @words;
    return [shell('zsh', <<"END")];
_arguments() { print -lr -- "\$@" }
_describe() { print -lr -- "\${commands[\@]}" }
words=($list)
CURRENT=$current
program() { . "\$1/_pg2any" }
program "\$1"
END
}

my (undef, $all) = run_tool('pg2any', args => ['--help']);
my ($list) = $all =~ /^Commands:\n(.*?)\n\n/ms;
my @commands = $list =~ /^  ([a-z]+)/mg;
cmp_ok(scalar @commands, '>=', 9, 'there are commands');
is_deeply(bash('pg2any', ''), [sort @commands, '--help', '--version'], 'bash: the commands');
is_deeply([map { s/:.*//r } @{ zsh('pg2any', '') }], \@commands, 'zsh: the commands');
is_deeply(bash('pg2any', 'co'), ['compare', 'copy'], 'bash: those that begin so');

for my $program (@programs) {
    for my $command ($program eq 'pg2any' ? map { [$_] } @commands : []) {
        my (undef, $help) = run_tool($program, args => [@$command, '--help']);
        my @options = sort $help =~ /^  (--[a-z-]+)/mg;
        is_deeply(bash($program, @$command, '--'), \@options, "bash: $program @$command");
        my @specs = grep { !/\A1:/ } @{ zsh($program, @$command, '--') };
        is_deeply([sort map { /\A\*?(--[a-z-]+)\[/ ? $1 : $_ } @specs], \@options, "zsh: $program @$command");
        unlike($help, qr/list-options/, "$program @$command: how is nobody's concern");
        like($help, qr/^Examples:\n  \S/m, "$program @$command --help has an example") unless "@$command" eq 'stage';
    }
}

is_deeply(bash('apply-mysql', '--conflict', ''), [qw(apply quarantine skip stop)], 'bash: the words of a value');
is_deeply(bash('apply-mysql', '--conflict', '=', 's'), [qw(skip stop)], 'bash: behind an equals sign');
is_deeply(bash('apply-mysql', '--dest', ''), [], 'bash: nothing where a value can be anything');
my $file = fresh_name('a_file');
open(my $made, '>', $file) or die "$file: $!";
close $made;
is_deeply(bash('pg2any', 'run', '--env-file', substr $file, 0, -2), [$file], 'bash: files');
my @specs = @{ zsh('apply-mysql', '') };
ok((grep { $_ eq '--conflict[' . ($_ =~ /\[(.*)\]/)[0] . ']:POLICY:(stop apply skip quarantine)' } @specs), 'zsh: the words of a value');
ok((grep { /\A--ack\[.*\]:FIFO:_files\z/ } @specs), 'zsh: files');
@specs = @{ zsh('pg-capture', '') };
ok((grep { /\A\*--ack\[/ } @specs), 'zsh: what may be repeated');

done_testing;

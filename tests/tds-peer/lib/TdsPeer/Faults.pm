package TdsPeer::Faults;

# What the peer was told to do wrong: DIR/faults.json, a list of rules that the test writes and the
# sessions use up. A rule has `match`, a pattern of a request's text (LOGIN and PRELOGIN for those),
# `skip`, how many matching requests go well before, `times`, and an action.

use strict;
use warnings;
use Fcntl qw(:flock);
use JSON::PP ();

my $json = JSON::PP->new->utf8;

sub new { my ($class, $dir) = @_; return bless { file => "$dir/faults.json", lock => "$dir/faults.lock" }, $class }

# Changes the rules, one process at a time.
sub locked {
    my ($self, $code) = @_;
    open my $lock, '>>', $self->{lock} or die "$self->{lock}: $!\n";
    flock $lock, LOCK_EX or die "$self->{lock}: $!\n";
    my @rules = $self->rules;
    my ($changed, @result) = $code->(\@rules);
    if ($changed) {
        open my $out, '>', "$self->{file}.new" or die "$self->{file}.new: $!\n";
        print {$out} $json->encode(\@rules);
        close $out or die "$self->{file}.new: $!\n";
        rename "$self->{file}.new", $self->{file} or die "$self->{file}: $!\n";
    }
    close $lock or die "$self->{lock}: $!\n";
    return @result;
}

sub rules {
    my ($self) = @_;
    open my $in, '<', $self->{file} or return;
    local $/ = undef;
    my $text = <$in>;
    close $in or die "$self->{file}: $!\n";
    return @{ $json->decode($text) };
}

sub add {
    my ($self, %rule) = @_;
    $self->locked(sub { my ($rules) = @_; push @$rules, { times => 1, skip => 0, %rule }; return 1 });
    return;
}

sub clear { my ($self) = @_; $self->locked(sub { @{ $_[0] } = (); return 1 }); return }

# The rule that this request meets, or nothing.
sub next_for {
    my ($self, $text) = @_;
    return if !-s $self->{file} || -s _ <= 2;
    my ($rule) = $self->locked(sub {
        my ($rules) = @_;
        for my $rule (@$rules) {
            next if $text !~ /$rule->{match}/i;
            return (1) if $rule->{skip}-- > 0;
            my %copy = %$rule;
            @$rules = grep { $_ != $rule } @$rules if --$rule->{times} <= 0;
            return (1, \%copy);
        }
        return (0);
    });
    return $rule;
}

1;

# Completion for bash of pg2any and the programs that it is made of. What there is to complete the
# programs say themselves: --list-options, and pg2any --list-commands.

_pg2any()
{
    local program=$1 current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local -a command=()
    local option value words rest options=
    COMPREPLY=()

    # "--option=value" is three words to bash.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ ${program##*/} == pg2any ]]; then
        if ((COMP_CWORD == 1)); then
            words=$("$program" --list-commands 2>/dev/null | cut -f 1)
            mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$current")
            return
        fi
        command=("${COMP_WORDS[1]}")
    fi
    while IFS=$'\t' read -r option value words rest; do
        options+=" $option"
        [[ $option == "$previous" && $value != - ]] || continue
        if [[ $words != - ]]; then
            mapfile -t COMPREPLY < <(compgen -W "${words//,/ }" -- "$current")
        elif [[ $value == FILE* || $value == FIFO* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        elif [[ $value == DIR* ]]; then
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
        fi
        return
    done < <("$program" "${command[@]}" --list-options 2>/dev/null)
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ ${command[0]-} == init ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
    fi
}

complete -o filenames -F _pg2any pg2any pg-capture txn-assemble apply-sqlite apply-mysql apply-mssql \
    frame-tee frame-dump metrics-http

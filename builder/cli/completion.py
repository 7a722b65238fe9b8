"""`completion`: what makes bash, zsh and fish complete command lines of pybuild."""

from __future__ import annotations

import click

from builder.cli.help import command
from builder.cli.spelling import Choice

# The shells ask `pybuild __complete` (cli/complete) and get lines of a kind, a word and what is said of it, separated
# by tabs. `word` is done, `open` goes on behind it, `file` and `dir` are for the shell to find, below what is given.
_BASH = r"""# bash completion for pybuild; in ~/.bashrc: eval "$(pybuild completion bash)"
_pybuild() {
    local kind word said current=${COMP_WORDS[COMP_CWORD]}
    [[ $current == [=:] ]] && current=
    COMPREPLY=()
    while IFS=$'\t' read -r kind word said; do
        case $kind in
            word) COMPREPLY+=("$word") ;;
            open) COMPREPLY+=("$word"); compopt -o nospace ;;
            file) compopt -o filenames -o bashdefault
                while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current") ;;
            dir) compopt -o filenames -o plusdirs ;;
        esac
    done < <(pybuild __complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o nosort -F _pybuild pybuild
"""
_ZSH = r"""#compdef pybuild
# zsh completion for pybuild; in ~/.zshrc, after compinit: eval "$(pybuild completion zsh)"
_pybuild() {
    local kind word said files= directories= found=1
    local -a done_ open_
    while IFS=$'\t' read -r kind word said; do
        case $kind in
            word) done_+=("${word//:/\\:}${said:+:$said}") ;;
            open) open_+=("${word//:/\\:}${said:+:$said}") ;;
            file) files=1 ;;
            dir) directories=1 ;;
        esac
    done < <(pybuild __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( ${#open_} )) && _describe -V pybuild open_ -S '' && found=0
    (( ${#done_} )) && _describe -V pybuild done_ && found=0
    [[ -n $files$directories ]] && compset -P '--[^=]#='
    if [[ -n $files ]]; then
        _files && found=0
    elif [[ -n $directories ]]; then
        _files -/ && found=0
    fi
    return found
}
if [[ ${funcstack[1]} == _pybuild ]]; then  # this is the file of a function that zsh has just loaded
    _pybuild "$@"
else
    compdef _pybuild pybuild
fi
"""
_FISH = r"""# fish completion for pybuild; in ~/.config/fish/config.fish: pybuild completion fish | source
function __pybuild_complete
    set -l last (commandline -ct)
    set -l words (commandline -opc)
    for line in (pybuild __complete fish $words[2..-1] "$last" 2>/dev/null)
        set -l parts (string split \t -- $line)
        set -l path (string replace -r -- '^--[^=]*=' '' "$last")
        switch $parts[1]
            case file
                printf "$parts[2]%s\n" (__fish_complete_path "$path")
            case dir
                printf "$parts[2]%s\n" (__fish_complete_directories "$path" '')
            case '*'
                printf '%s\t%s\n' $parts[2] $parts[3]
        end
    end
end
complete -c pybuild -f -k -a '(__pybuild_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@command(
    ("pybuild completion bash", 'see the script for bash; in ~/.bashrc, eval "$(…)" of this line has bash use it'),
)
@click.argument("shell", type=Choice(tuple(SCRIPTS)))
def completion(shell: str) -> None:
    """Print what makes a shell complete command lines of pybuild: bash, zsh or fish."""
    click.echo(SCRIPTS[shell], nl=False)

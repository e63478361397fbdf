# bash completion of mythos. It asks the programs themselves, so it is never behind them.

# Verbs, options and subcommands stand at the beginning of indented lines of a help text.
_mythos_verbs() { mythos help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'; }
_mythos_options() { mythos "$@" --help 2>/dev/null | sed -n 's/^ *\(-.,\)\{0,1\}\(--[a-z-]*\).*/\2/p'; }
_mythos_subcommands() {
  mythos "$1" --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z-]*\)  .*/\1/p'
}
_mythos_presets() { mythos presets list 2>/dev/null | sed -n '2,$s/ .*//p'; }

_mythos() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words='' verb subcommand=()
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="$(_mythos_verbs) help --help --version"
  else
    verb=${COMP_WORDS[1]}
    [ "$verb" = help ] && words=$(_mythos_verbs)
    case ${COMP_WORDS[2]} in
      [a-z]*) if _mythos_subcommands "$verb" | grep -qxF -e "${COMP_WORDS[2]}"; then subcommand=("${COMP_WORDS[2]}"); fi ;;
    esac
    if [ "$before" = --preset ] || [ "$verb ${subcommand[*]}" = "presets show" ]; then
      words=$(_mythos_presets)
    elif [[ $word == -* ]]; then
      words=$(_mythos_options "$verb" "${subcommand[@]}")
    elif [ "$COMP_CWORD" -eq 2 ] && [ "$verb" != help ]; then
      words=$(_mythos_subcommands "$verb")
    fi
  fi
  # With nothing to offer, file names are completed (-o default).
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _mythos mythos

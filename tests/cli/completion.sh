# The bash completion offers verbs, subcommands, options and presets.
. "$SOURCE/completions/mythos.bash"
complete_line() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  _mythos
  echo "$*: ${COMPREPLY[*]}"
}
complete_line mythos pl
complete_line mythos pre
complete_line mythos presets ''
complete_line mythos presets show na
complete_line mythos presets list --js
complete_line mythos plan --pre
complete_line mythos plan --preset mythos-1b
complete_line mythos plan --preset nano --c
complete_line mythos help pl
complete_line mythos plan README

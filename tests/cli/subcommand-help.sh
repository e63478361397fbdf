# The help of each subcommand shows the examples that call it, and no other's.
# needs: torch
for program in shards checkpoint presets bench; do
  subcommands=$(mythos $program --help | sed -n '/^Subcommands:/,/^$/p' | sed -n 's/^  \([a-z-]*\) .*/\1/p')
  for name in $subcommands; do
    examples=$(mythos $program $name --help | sed -n '/^Examples:/,/^$/p' | grep '^  ')
    echo "$program $name: $(echo "$examples" | grep -c "mythos $program $name")" \
      "of $(echo "$examples" | grep -c .)"
  done
done
mythos shards verify --help

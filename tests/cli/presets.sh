# Presets are listed with their sizes; one is shown as a file that --config reads back equal.
mythos presets list | awk '{ print $1 }'
mythos presets list --json | json 'd["schema"]' 'len(d["presets"])' 'sorted(d["presets"][0])' \
  '[p["parameters"] for p in d["presets"] if p["name"].startswith("openmythos-")]'
mythos presets show nano > nano.toml
grep -E '^(\[|dim|attention =)' nano.toml | sed 's/ *#.*//'
mythos presets show nano --json | json 'd["schema"]' 'd["name"]' 'sorted(d)'
mythos plan --config nano.toml --json | json 'd["parameters"]' > from-file
mythos plan --preset nano --json | json 'd["parameters"]' > from-preset
same from-file from-preset
run mythos presets show tinny
run mythos presets show
run mythos presets
MYTHOS_PRESETS=/nowhere run mythos presets show nano

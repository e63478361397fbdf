# --dump-config prints every key, says where values are from, and reads back to the same.
# needs: torch
# fixture: run
small=$SOURCE/tests/cli/fixtures/small.toml data=$FIXTURES/text/data
dump() { run mythos train "$@" --dump-config; }
keys() { sed 's/ *  #.*//' "$1"; }
sources() { sed 's/ *  #.*\( \[.*\]\)$/\1/; s/ *  #.*//'; }
dump --config "$small" --data "$data" --out nothing --set loop_sampling=fixed --length 3e --lr 1e-3 > first.toml
grep -E '^(\[|lr|length|steps|vocab_size|dim|seed|cache_type|loop_sampling|extends) ?[=a-z]' first.toml | sources
grep -E '^loop_sampling ' first.toml | grep -o '# .*'
keys first.toml > first
dump --config first.toml --data "$data" > second.toml
keys second.toml > second
same first second
grep '^dim ' second.toml | sources
[ -e nothing ] || echo "nothing was begun"
echo "-- all keys, those of presets too"
dump --preset nano | keys /dev/stdin > nano
mythos presets show nano | keys /dev/stdin > shown
grep -vxF -f nano shown
grep -A1 '^\[decode\]' nano
echo "-- what a checkpoint makes of it"
dump --resume --out "$FIXTURES/run/run" --steps 25 2> err | grep -E '^(steps|dim|batch_size) ' | sources
cat err
dump --init-from "$FIXTURES/run/run" --data "$data" --set batch_size=2 | grep -E '^(steps|vocab_size|batch_size) ' | sources
echo "-- once, whatever the number of processes"
dump --config "$small" --data "$data" --nproc 2 | grep -c '^lr '
echo "-- strict"
sed 's/^lr /lrr /' first.toml > wrong.toml
dump --config wrong.toml
dump --config "$small" --set train.length=0.5
dump --data "$data"
dump --config "$small" --data missing

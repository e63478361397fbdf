# Weights that are not finite are counted when they are loaded, and fail the verbs that look for them.
# needs: torch
# fixture: run
broken() { "$BUILD/bin/tests/break_weights" "$FIXTURES/run/run" "$@"; }
broken norm norm.weight 5 nan
broken rows embed.weight 7 inf embed.weight 12200 nan norm.weight 0 -inf
broken huge core.0.attn.wo.weight all 1e27
broken rare embed.weight 12287 nan
data="$FIXTURES/text/data"

for run in norm rows; do
  run mythos stability-check $run --max-tokens 64 --quiet > out
  sed -n '2,/^injection/p' out
  tail -n 2 out
done
mythos stability-check rows --max-tokens 64 --json --quiet 2> /dev/null > out.json || true
json 'd["stable"]' 'd["weights"]' < out.json
run mythos stability-check huge --max-tokens 64 --quiet > out; sed -n 2p out; tail -n 2 out
run mythos stability-check huge --max-tokens 64 --quiet --max-state 1e30 > out; tail -n 2 out

run mythos eval --checkpoint norm --data "$data" --loops 1,2 --max-tokens 64 --untrained --quiet
run mythos eval --checkpoint norm --data "$data" --loops 1,2 --max-tokens 64 --quiet --decode > out; tail -n 2 out
mythos eval --checkpoint norm --data "$data" --loops 1,2 --max-tokens 64 --quiet --json 2> /dev/null > out.json || true
json 'd["best_loops"]' 'd["loops"][0]["loss"]' < out.json

run mythos generate --checkpoint rare --prompt "The" --max-tokens 4 --temperature 0 --quiet
run mythos export --checkpoint norm --output exported --quiet
[ -e exported ] || echo "nothing was written"
broken edge embed.weight 3 3.4e38
run mythos export --checkpoint edge --output exported --quiet --dtype bf16
[ -e exported ] || echo "nothing was written"
run mythos checkpoint verify norm

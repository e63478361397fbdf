# Loops as each token needs them, drafts at few loops, and how weights and cache are held.
# needs: torch
# fixture: run
generate() { run mythos generate --checkpoint "$FIXTURES/run/run" --max-tokens 12 --prompt "The miller" "$@"; }
timeless() { sed -E 's/[0-9.]+ tok.s/N tok\/s/g; s/ in [0-9.]+s/ in TIME/' "$1" >&2; }
generate --temperature 0 --quiet > a
generate --temperature 0 --quiet --loops auto --exit-threshold 0 > b
same a b
generate --temperature 0 --quiet --loops 6 > c
generate --temperature 0 --quiet --loops auto --exit kl --exit-threshold 0 --max-loops 6 > d
same c d
generate --loops auto --exit-threshold 1000 > /dev/null 2> log
timeless log
generate --loops auto --exit-threshold 1000 --max-loops 9 --json |
  json 'd["loops"]' 'd["mean_loops"]' 'd["exit"]' 'd["speculation"]'
generate --temperature 0 --quiet --draft-loops 1 --draft-tokens 3 --loops 6 > e
same c e
generate --draft-loops 1 --draft-tokens 3 > /dev/null 2> log
timeless log
generate --draft-loops 1 --json |
  json 'd["mean_loops"]' 'sorted(d["speculation"])' 'd["speculation"]["draft_tokens"]'
generate --weights int8 --cache-type int8 --cache-sharing last --json | json 'd["weights"]' 'd["cache"]'
generate --cache-type bf16 --json | json 'd["cache"]' 'd["exit"]'
generate --weights int4 --loops auto --temperature 0 > /dev/null 2> log
timeless log

generate --loops many
generate --loops 0
generate --exit latent
generate --max-loops 4
generate --loops auto --exit halting
generate --loops auto --exit none
generate --loops auto --exit sometimes
generate --loops auto --draft-loops 1
generate --draft-tokens 3
generate --draft-loops 4
generate --draft-loops 1 --cache-sharing average
generate --weights int3
generate --cache-sharing all

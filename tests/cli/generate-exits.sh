# Exit rules of published models, a warm start, and caches that loops share.
# needs: torch
# fixture: run
generate() { run mythos generate --checkpoint "$FIXTURES/run/run" --max-tokens 12 --prompt "The miller" "$@"; }
generate --temperature 0 --quiet > full
# A threshold that no loop meets changes nothing; one that each meets leaves after the first loop.
for rule in entropy-diff latent-diff cosine huginn-kl minp-kl; do
  generate --temperature 0 --quiet --loops auto --exit $rule --exit-threshold 0 > never
  same full never
  generate --loops auto --exit $rule --exit-threshold 1000 --json | json 'd["exit"]' 'd["mean_loops"]'
done
generate --temperature 0 --quiet --loops auto --exit argmax-stability > never # its own threshold is 5
same full never
generate --loops auto --exit argmax-stability --exit-threshold 0 --json | json 'd["exit"]' 'd["mean_loops"]'
# As many loops as have keys of their own: exact.
generate --temperature 0 --quiet --cache-sharing modulo > shared
same full shared
generate --cache-sharing modulo --cache-modulo 2 --cache-type int4 --json | json 'd["cache"]'
generate --warm-start --json | json 'd["loops"]' '0 < d["confidence"]["margin"] < d["confidence"]["top_probability"] <= 1'
generate --draft-loops 1 --json | json 'd["confidence"]'

generate --loops auto --exit gate
generate --loops auto --exit gate --exit-threshold 0.5
generate --loops auto --exit cosine --exit-quantile 0.5
generate --loops auto --exit-quantile 0.5
generate --exit-quantile 0.5
generate --loops auto --exit gate --exit-quantile 2
generate --cache-modulo 2
generate --warm-start --draft-loops 1
generate --warm-start --latent-steps 1
measure() { run mythos eval --checkpoint "$FIXTURES/run/run" --data missing "$@"; }
measure --exit latent --exit-quantile 0.5
measure --exit gate --exit-threshold 0.5

# [decode] in a configuration, in a checkpoint and under the options.
# needs: torch
# fixture: run
data=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
printf '[decode]\nweights = "int8"\nexit = "kl"\ncache_sharing = "last"\n' > serve.toml
printf '[decode]\nwieghts = "int8"\n' > wrong.toml
generate() { run mythos generate --prompt "The miller" --max-tokens 4 --quiet --json "$@"; }
keys() { json 'd["weights"]' 'd["cache"]["type"]' 'd["cache"]["sharing"]' 'd["exit"]'; }

# A checkpoint keeps what its training was given, and only that.
grep -c decode "$FIXTURES/run/run"/step-000020/config.toml || true
run mythos train --quiet --config "$small" --data "$data" --out kept --steps 1 --set decode.weights=int8 --set cache_type=bf16
sed -n '/decode/,$p' kept/step-000001/config.toml
generate --checkpoint kept | keys
generate --checkpoint kept --weights plain | keys
generate --checkpoint kept --config serve.toml --loops auto | keys
generate --checkpoint kept --config serve.toml --cache-sharing average --loops auto --exit latent | keys
mythos train --data "$data" --out kept --resume --steps 2 --set decode.weights=int4 2>&1 > next | grep '^changed'
sed -n '/weights/p' "$(cat next)/config.toml"

measure() { run mythos eval --data "$data" --max-tokens 64 --loops 2 --quiet --json "$@"; }
measure --checkpoint kept/step-000001 | json '"decode" in d'
measure --checkpoint kept/step-000001 --decode | json 'd["decode"]["weights"]' 'd["decode"]["exit"]'
measure --checkpoint kept/step-000001 --config serve.toml | json 'd["decode"]["weights"]' 'd["decode"]["exit"]' 'd["decode"]["exit_threshold"]'
measure --checkpoint kept/step-000001 --exit latent | json 'd["decode"]["weights"]' 'd["decode"]["exit_threshold"]'
run mythos bench decode --checkpoint kept/step-000001 --context 8 --tokens 2 --repeat 1 --set decode.cache_type=fp32 --cache-sharing last --json |
  json 'd["facts"]["weights"]' 'd["facts"]["cache_type"]' 'd["facts"]["cache_sharing"]'

generate --checkpoint missing --config wrong.toml
generate --checkpoint missing --config missing.toml
generate --checkpoint missing --prefill-chunk 0
generate --checkpoint missing --loops auto --exit halting --exit-threshold 0.1
measure --checkpoint kept/step-000001 --exit-threshold 0.1
measure --checkpoint missing --prefill-chunk 8

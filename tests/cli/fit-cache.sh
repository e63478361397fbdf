# A low-rank cache across loops: fitted, measured and decoded with.
# needs: torch
# fixture: run
run=$FIXTURES/run/run data=$FIXTURES/text/data
fit() { run mythos fit-cache --checkpoint "$run" --data "$data" --quiet "$@"; }
fit --rank 24 --max-tokens 2048 --output some.basis | sed 's/ *[0-9.]*%/ SHARE/'
fit --rank 72 --max-tokens 2048 --output full.basis --json > full.json
json 'd["schema"]' 'sorted(d)' 'd["tokens"], d["loops"], d["rank"], d["full_rank"]' 'd["numbers_per_token"], d["per_loop_numbers_per_token"]' 'round(d["energy_kept"][0]["keys"], 6)' < full.json

# At full rank as with keys of each loop; at a third of it in a third of their memory.
measure() { mythos eval --checkpoint "$run" --data "$data" --max-tokens 300 --loops 3 --quiet --json --decode "$@" | json 'round(d["loops"][0]["bits_per_byte"], 4)' > "$name.bits"; }
name=exact measure
name=full measure --cache-sharing low-rank --cache-basis full.basis
same exact.bits full.bits
run mythos eval --checkpoint "$run" --data "$data" --max-tokens 300 --loops 2,3 --cache-sharing low-rank --cache-basis some.basis --quiet --json |
  json 'd["decode"]["cache_sharing"], d["decode"]["cache_basis"]' '[row["cache_bytes_per_token"] for row in d["loops"]]'
generate() { run mythos generate --checkpoint "$run" --prompt "The miller" --max-tokens 8 --temperature 0 --quiet "$@"; }
generate > exact.txt
generate --cache-sharing low-rank --cache-basis full.basis > full.txt
same exact.txt full.txt
generate --cache-sharing low-rank --cache-basis some.basis --json | json 'd["cache"]'
# Fresh weights are measured without it.
run mythos eval --checkpoint "$run" --data "$data" --max-tokens 300 --loops 3 --untrained --cache-sharing low-rank --cache-basis some.basis --quiet --json |
  json '[row["cache_bytes_per_token"] for row in (d["loops"][0], d["untrained"])]'

fit --rank 73 --output no.basis
fit --rank 0 --output no.basis
fit --rank 4 --output missing/no.basis
fit --rank 4 --output no.basis --seq-len 4096
fit --rank 4 --output no.basis --loops 1000000 --batch-size 1
generate --cache-sharing low-rank
generate --cache-basis some.basis
generate --cache-sharing low-rank --cache-basis missing.basis
generate --cache-sharing low-rank --cache-basis some.basis --loops 4
printf '{"prompt": "a", "loops": 4}\n{"prompt": "a", "loops": 3, "max_tokens": 1}\n' > prompts.jsonl
mythos generate --checkpoint "$run" --jsonl prompts.jsonl --quiet --cache-sharing low-rank --cache-basis some.basis > answers || echo "exit status $?"
for line in 1 2; do sed -n ${line}p answers | json '"error" in d' 'd.get("cache")'; done
generate --cache-sharing low-rank --cache-basis "$run/latest/model.safetensors"
head -c 3000 some.basis > cut.basis
generate --cache-sharing low-rank --cache-basis cut.basis
mythos train --quiet --config "$SOURCE/tests/cli/fixtures/small.toml" --data "$data" --out other --steps 1 --set seed=9
run mythos generate --checkpoint other --prompt a --quiet --cache-sharing low-rank --cache-basis some.basis

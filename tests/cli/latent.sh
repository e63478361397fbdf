# Latent thoughts: rows with latent tokens are trained on and scored, and generation thinks before it writes.
# needs: torch
# fixture: run
mythos synth tokenizer --out tok.json
mythos synth modular --count 60 --difficulty 3 | sed 's/=","/=~~","/' > rows.jsonl
head -n 1 rows.jsonl
mythos tokenize --tokenizer tok.json --rows completion --output data --quiet rows.jsonl
train() {
  run mythos train --config "$SOURCE/tests/cli/fixtures/small.toml" --set vocab_size=97 --data data --out run \
    --overwrite --quiet "$@"
}
train --set latent_token=97
# Windows that are cut anywhere begin with a latent token sooner or later.
train --set latent_token=96 --set packing=contiguous
train --set latent_token=96 --set packing=best-fit --steps 2
mythos eval --checkpoint run --tasks rows.jsonl --loops 2 --quiet --json | json 'd["loops"][0]["rows"]'
mythos eval --checkpoint run --data data --split train --loops 2 --quiet --json | json 'd["tokens"] > 0'

generate() { run mythos generate --checkpoint run --loops 2 --temperature 0 --max-tokens 3 --quiet "$@"; }
generate --prompt "1+2+3+4=" --latent-steps 2 --json | json 'd["latent_steps"]' 'len(d["ids"]) <= 3'
generate --prompt "1+2+3+4=~~"
generate --prompt "1+2+3+4=" --latent-steps 1000
generate --prompt "1+2+3+4=" --latent-steps -1
printf '{"prompt": "1+1="}\n{"prompt": "1+2="}\n' > prompts.jsonl
generate --jsonl prompts.jsonl --latent-steps 1 | while read -r line; do json 'd["latent_steps"]' <<< "$line"; done
mythos generate --checkpoint "$FIXTURES/run/run" --prompt "The miller" --latent-steps 1 --max-tokens 2 --json \
  2> warning | json 'd["latent_steps"]'
grep warning warning

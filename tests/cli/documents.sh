# What documents began and ended with in training decides where a text starts, and what eval hints at.
# needs: torch
# fixture: run
run mythos tokenize --quiet --tokenizer "$FIXTURES/text/tok.model" --output bos --bos --separator '\n\n' --val-fraction 0.1 "$FIXTURES/text/text.txt"
train() { run mythos train --quiet --config "$SOURCE/tests/cli/fixtures/small.toml" --steps 2 "$@"; }
train --data bos --out with-bos
train --data bos --data "$FIXTURES/text/data" --out mixed
for run in "$FIXTURES/run/run" with-bos mixed; do
  echo "${run##*/}"
  json 'd["documents"]' < "$run/latest/state.json"
  for prompt in "" "The miller"; do
    mythos generate --checkpoint "$run" --prompt "$prompt" --max-tokens 1 --json --quiet | json 'd["timings"]["prompt_tokens"]'
  done
done
eval() { run mythos eval --quiet --loops 1 --max-tokens 64 "$@" > /dev/null; }
eval --checkpoint with-bos --data bos
eval --checkpoint with-bos --data "$FIXTURES/text/data"
eval --checkpoint mixed --data "$FIXTURES/text/data"
eval --checkpoint "$FIXTURES/run/run" --data bos
# An export carries it along.
run mythos export --quiet --checkpoint with-bos --output exported
run mythos import --quiet --weights exported/model.safetensors --config exported/config.toml --tokenizer exported/tokenizer.model --output imported
json 'd["documents"]' < imported/latest/state.json

# An export reads back equal, and comes back as a checkpoint of the same weights.
# needs: torch
# fixture: run
run mythos export --quiet --checkpoint "$FIXTURES/run/run" --format safetensors --output exported
ls exported
run mythos import --quiet --weights exported/model.safetensors --config exported/config.toml \
  --tokenizer exported/tokenizer.model --output imported
run mythos export --quiet --checkpoint imported --output again --json > out.json
json 'd["schema"]' 'sorted(d)' 'd["parity"]["largest_logit_difference"]' < out.json
same exported/model.safetensors again/model.safetensors
mythos generate --quiet --checkpoint "$FIXTURES/run/run" --prompt "The crow" --temperature 0 --max-tokens 8 > a
mythos generate --quiet --checkpoint imported --prompt "The crow" --temperature 0 --max-tokens 8 > b
same a b
run mythos export --quiet --checkpoint imported --output again
run mythos export --quiet --checkpoint imported --format openmythos --output reference
run mythos export --quiet --checkpoint imported --format gguf --output x
run mythos import --quiet --weights missing.safetensors --config exported/config.toml --output y
# BOS and EOS that are others than the tokenizer's file tells lie beside it.
run mythos import --quiet --weights exported/model.safetensors --config exported/config.toml \
  --tokenizer exported --eos-token '<s>' --output chosen
for force in "" --force; do run mythos export --quiet $force --checkpoint chosen --output chosen-export; done
cat chosen-export/tokenizer_config.json
run mythos import --quiet --json --weights chosen-export --config chosen-export/config.toml --tokenizer chosen-export \
  --output chosen-again | json 'd["tokenizer"]'
flip_byte exported/model.safetensors 4
run mythos import --quiet --weights exported/model.safetensors --config exported/config.toml --output y

# Two sources mixed by weight, packed by best fit; a resume goes on exactly and wants the same list.
# needs: torch
# fixture: text
text=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
for i in $(seq 60); do printf 'for (int i = 0; i < %d; ++i) sum += a[%d * i];\n\n' $i $((i * 7 % 11)); done > code.txt
mythos tokenize --quiet --tokenizer "$FIXTURES/text/tok.model" --output code:2024 --separator '\n\n' \
  --val-fraction 0.1 code.txt
run mythos train --config "$small" --data "$text:0.75" --data code:2024:0.25 --out run --set packing=best-fit
grep val_loss run/metrics.jsonl | tail -n 1 | json '[s["data"] for s in d["sources"]]'
json '[[s["sequences"], s["weight"]] for s in d["cursor"]["sources"]]' 'd["cursor"]["packing"]' < run/latest/state.json
tail -n 2 run/metrics.jsonl | head -n 1 | json '"padding" in d and "data_wait" in d'
mkdir resumed
cp -r run/step-000010 resumed
run mythos train --resume --data "$text:3" --data code:2024:1 --out resumed --quiet
same run/step-000020/model.safetensors resumed/step-000020/model.safetensors
# Without a weight the whole name is the directory; shares follow the tokens.
run mythos train --config "$small" --data "$text" --data code:2024 --out free --steps 2 --quiet
# What is refused.
run mythos train --resume --data "$text:1" --data code:2024:1 --out run --steps 30 --quiet
run mythos train --resume --data "$text" --out run --steps 30 --quiet
run mythos train --resume --data "$text:3" --data code:2024:1 --out run --steps 30 --set packing=contiguous --quiet
run mythos train --config "$small" --data "$text:1" --data code:2024 --out new
run mythos train --config "$small" --data "$text:0" --out new
mythos vocab --quiet --vocab-size 320 --output other.model "$FIXTURES/text/text.txt"
mythos tokenize --quiet --tokenizer other.model --output other --separator '\n\n' code.txt
run mythos train --config "$small" --data "$text" --data other --out new

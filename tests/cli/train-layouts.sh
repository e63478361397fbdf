# Ranks that share optimizer state or weights train what one process trains, and what they save is read by everything.
# needs: torch
# runs: alone
# fixture: text
data=(--set compute_type=fp32 --set log_every=1 --set schedule=constant --config "$SOURCE/tests/cli/fixtures/small.toml"
  --data "$FIXTURES/text/data" --quiet)
mythos train "${data[@]}" --out one --steps 14
run mythos train "${data[@]}" --out two --nproc 2 --set layout=fully-sharded --steps 6
ls two/latest/
mythos checkpoint verify two > verified && echo "whole"
run mythos train --data "$FIXTURES/text/data" --out two --resume --steps 10 --nproc 4 --set layout=sharded-optimizer --quiet
ls two/latest/ | grep safetensors | wc -l
run mythos train --data "$FIXTURES/text/data" --out two --resume --steps 12 --quiet
ls two/latest/ | grep safetensors
run mythos train --data "$FIXTURES/text/data" --out two --resume --steps 14 --nproc 2 --set layout=fully-sharded --quiet
"$PYTHON" - <<'END'
import json
def losses(run):
    return {line["step"]: line["loss"] for line in map(json.loads, open(f"{run}/metrics.jsonl")) if "loss" in line}
one, two = losses("one"), losses("two")
print(sorted(one) == sorted(two) == list(range(1, 15)))
print(max(abs(one[step] - two[step]) for step in one) < 1e-5)
END
echo "-- read by everything"
run mythos export --quiet --checkpoint two --format safetensors --output exported
run mythos import --quiet --weights exported/model.safetensors --config exported/config.toml --tokenizer exported/tokenizer.model \
  --output imported
for model in two imported; do
  mythos eval --checkpoint $model --data "$FIXTURES/text/data" --loops 2 --quiet --json |
    json '[row["bits_per_byte"] for row in d["loops"]]' > $model.loss
  mythos generate --quiet --checkpoint $model --prompt "The crow" --temperature 0 --max-tokens 8 > $model.text
done
cmp two.loss imported.loss && cmp two.text imported.text && test -s two.text && echo "alike"

# The example of two models on a laptop, a few steps of each, on two ranks; one that stopped goes on.
# needs: torch
# runs: alone
# fixture: text
nano=$SOURCE/examples/nano
mythos synth tokenizer --out characters.json
mythos tokenize --quiet --tokenizer characters.json --output shards --val-fraction 0.1 --separator '\n\n' "$FIXTURES/text/text.txt" \
  > tokenized
for model in nanogpt looped; do
  run mythos train --quiet --config "$nano/$model.toml" --data shards --out runs/$model --nproc 2 --steps 24 \
    --set warmup_steps=4 --set log_every=4 --set val_every=24 --set schedule=constant
  mythos checkpoint verify runs/$model > verified && echo "$model is whole"
done
run mythos train --quiet --data shards --out runs/looped --resume --steps 32 --nproc 2
mythos report runs/nanogpt runs/looped --output beside.html
grep -c '<html' beside.html
"$PYTHON" - <<'PY'
import json
for model, steps in ("nanogpt", 24), ("looped", 32):
    lines = [json.loads(line) for line in open(f"runs/{model}/metrics.jsonl")]
    losses = [line["loss"] for line in lines if "loss" in line]
    loops = {line["loops"] for line in lines if "loss" in line}
    print(model, losses[-1] < 0.8 * losses[0], lines[-1]["step"] == steps, any("val_loss" in line for line in lines), loops)
PY

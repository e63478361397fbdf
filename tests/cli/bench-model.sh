# Training, prefill and decode of one small model are measured over loop counts.
# needs: torch
# fixture: run
small="--config $SOURCE/tests/cli/fixtures/small.toml --repeat 2"
export MYTHOS_THREADS=1

mythos bench train $small --batch-size 2 --seq-len 16 --dtype bf16 --loops 2 --json > train.json
mythos bench decode $small --context 32 --tokens 5 --loops 3,1 --json > decode.json
for subject in train decode; do
  json < $subject.json 'd["schema"], d["subject"]' '[k for k in d["facts"] if k not in ("version", "cpu", "cores", "model")]' \
    '[(m["values"]["loops"], len(m["seconds"]), m["amounts"]["tokens"]) for m in d["measurements"] if m["name"] == d["subject"]]' \
    'sorted(d["measurements"][0]["values"])' \
    'min(n for m in d["measurements"] for n in [*m["seconds"], *m["per_second"].values(), *m.get("values", {}).values()]) > 0' \
    'd["facts"]["peak_memory_bytes"] >= max(m["values"]["memory_bytes"] for m in d["measurements"] if "values" in m)'
done

json < train.json '0 < d["measurements"][0]["values"]["optimizer_share"] < 1'

# The work is the plan's, and shares compare the fastest samples.
mythos plan --config "$SOURCE/tests/cli/fixtures/small.toml" --json > plan.json
"$PYTHON" - <<'END'
import json
plan, train, decode = (json.load(open(f"{name}.json")) for name in ("plan", "train", "decode"))
row, shallow = decode["measurements"][:2]
matrix, slots, heads, head, latent, context = plan["macs_per_token"]["matrix"], 5, 2, 16 + 16, 16 + 8, 32
print(row["amounts"]["flops"] == 5 * 2 * (matrix + slots * heads * head * context))
print(row["amounts"]["bytes"] == 5 * 4 * (matrix + slots * latent * context))
print(shallow["amounts"]["bytes"] < row["amounts"]["bytes"])
for result, unit in ((train, "flops"), (decode, "flops"), (decode, "bytes")):
    rows = result["measurements"]
    best = max(m["amounts"][unit] / min(m["seconds"]) for m in rows if m["name"] != result["subject"] and unit in m["amounts"])
    mine = rows[0]["amounts"][unit] / min(rows[0]["seconds"])
    share = rows[0]["values"]["gemm_share" if unit == "flops" else "copy_share"]
    print(unit, abs(share * best / mine - 1) < 1e-6)
END
# So is the memory of a step, within 15%.
step="--set recompute=loop --set vocab_size=20000"
mythos bench train $small --dtype fp32 $step --json > step.json
mythos plan --config "$SOURCE/tests/cli/fixtures/small.toml" $step --json |
  json 'abs(json.load(open("step.json"))["measurements"][0]["values"]["tensor_bytes"] / d["bytes"]["training_fp32"] - 1) < 0.15'
# Sequences of a batch share the weights; rounding and sharing lessen the bytes.
mythos bench decode $small --batch-size 3 --context 32 --tokens 5 --loops 3 --weights int4 --cache-type int8 --cache-sharing last --json |
  tee small.json | json '[d["facts"][k] for k in ("batch_size", "weights", "cache_type", "cache_sharing")]' 'd["measurements"][0]["amounts"]["tokens"]'
"$PYTHON" - <<'END'
import json
plan, decode = (json.load(open(f"{name}.json")) for name in ("plan", "small"))
routed = next(p for p in plan["parts"] if p["name"] == "core routed experts")
routed = routed["active_parameters"] * routed["times_per_token"]
head, reached = 384 * 32, 4 * (1 - 0.5**3) / 2  # two of four experts for each of three tokens
weights = (plan["macs_per_token"]["matrix"] - head - routed + routed * reached) * 4.5 / 8 + head * 8.5 / 8
cache = 3 * 5 * 32 * (16 + 8 + 2 * 4)  # sequences, layers, tokens, bytes with two scales
row = decode["measurements"][0]["amounts"]
print(abs(row["bytes"] / 5 - weights - cache) < 1e-6, row["flops"] == 3 * 5 * 2 * (plan["macs_per_token"]["matrix"] + 5 * 2 * 32 * 32))
END

mythos bench prefill --checkpoint "$FIXTURES/run/run" --seq-len 32 --repeat 1 --output-format csv > prefill.csv
head -n 1 prefill.csv | tr , '\n' | tail -n +9 | tr '\n' ' '; echo
"$PYTHON" -c '
import csv
row = next(csv.DictReader(open("prefill.csv")))
print(row["subject"], row["name"], row["seq_len"], row["tokens"], float(row["gemm_share"]) > 0)'
mythos bench train $small --profile --json |
  json 'all(m["seconds"] and m["values"]["calls"] >= 1 for m in d["measurements"])' \
    'abs(sum(m["values"]["time_share"] for m in d["measurements"]) - 1) < 1e-6' \
    'next(m["values"]["calls"] for m in d["measurements"] if m["name"] == "aten::_fused_adamw_")'

run mythos bench train
run mythos bench train --preset nano --config x.toml
run mythos bench train $small --seq-len 65
run mythos bench prefill $small --seq-len 65
run mythos bench decode $small --context 60
run mythos bench decode $small --loops 1,x
run mythos bench decode $small --context 40 --loops 1,2 --profile
run mythos bench decode $small --context 40 --loops 2000000
run mythos bench decode $small --dtype fp64
run mythos bench decode $small --weights int2
run mythos bench prefill $small --cache-sharing first
run mythos bench decode --checkpoint "$FIXTURES/run/run" --set dim=64
run mythos bench decode --checkpoint missing
run mythos bench decode --preset mythos-1t
run mythos bench decode $small --context 32 --tokens 5 --batch-size 2147483648
run mythos bench decode $small --contxt 3
run mythos bench prefil

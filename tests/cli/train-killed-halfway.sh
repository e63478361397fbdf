# 50 steps, kill -9, a resume and 50 more give the bytes of 100 steps, with everything that a step carries on to the next.
# needs: torch
# fixture: text
"$PYTHON" - > tasks.jsonl << 'END'
import json
for i in range(800):
    a, b = i * 7919 % 90, i * 31 % 90
    print(json.dumps({"prompt": f"{a} and {b} is ", "completion": str(a + b)}))
END
mythos tokenize -q --tokenizer "$FIXTURES/text/tok.model" --output tasks --rows completion --val-fraction 0.1 tasks.jsonl
cat > all.toml <<END
extends = "$SOURCE/tests/cli/fixtures/small.toml"
[model]
halting = "gate"
halt_loops = 2
[train]
steps = 100
optimizer = "muon"
ema_decay = 0.95
packing = "best-fit"
seq_len = 24
loops_per = "sequence"
loop_curriculum = "1-sqrt"
balance_rate = 0.01
skip_steps = 2
skip_deviations = 50
log_every = 20
val_every = 50
val_tokens = 512
save_every = 50
[objectives]
gate = 0.5
balance = 0.01
END
run mythos train -q --config all.toml --data tasks --data "$FIXTURES/text/data" --out whole
mythos train -q --config all.toml --data tasks --data "$FIXTURES/text/data" --out cut > /dev/null &
pid=$!
wait_for 60 test -e cut/step-000050
kill -9 $pid
{ wait $pid; } 2> /dev/null
test -e cut/step-000100 || echo "killed in the middle"
run mythos train -q --resume --data tasks --data "$FIXTURES/text/data" --out cut
for file in model.safetensors optimizer.safetensors; do
  same whole/step-000100/$file cut/step-000100/$file
done
"$PYTHON" - << 'END'
import json
def lines(run):
    timed = ("seconds", "tokens_per_second", "data_wait")
    rows = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]
whole = lines("whole")
print("metrics are the same:", whole == lines("cut"))
print(*(key for key in ("objectives", "depth", "halting_saves", "experts", "skipped_steps") if key in whole[0]))
with open("whole/step-000100/optimizer.safetensors", "rb") as file:
    names = json.loads(file.read(int.from_bytes(file.read(8), "little")))
print(*(kind for kind in ("ema.", "momentum.", "exp_avg_sq.") if any(name.startswith(kind) for name in names)))
END

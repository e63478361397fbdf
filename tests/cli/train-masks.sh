# Training on answers only: loss and metrics are over what counts, the same after a resume; with nothing that counts it is refused.
# needs: torch
# fixture: text
"$PYTHON" - > tasks.jsonl << 'END'
import json
for i in range(800):
    a, b = i * 7919 % 90, i * 31 % 90
    print(json.dumps({"prompt": f"{a} and {b} is ", "completion": str(a + b)}))
END
run mythos tokenize -q --tokenizer "$FIXTURES/text/tok.model" --output tasks --rows completion --val-fraction 0.1 tasks.jsonl
train() { run mythos train -q --config "$SOURCE/tests/cli/fixtures/small.toml" --set packing=best-fit --set document_mask=on "$@"; }
train --data tasks --out whole
tail -1 whole/metrics.jsonl | json '0 < d["val_loss"] < 7'
grep '"padding"' whole/metrics.jsonl | tail -1 | json '0 < d["loss"] < 7' '0.5 < d["padding"] < 0.95'
mkdir resumed
cp -r whole/step-000010 resumed
run mythos train -q --resume --data tasks --out resumed
same whole/step-000020/model.safetensors resumed/step-000020/model.safetensors
echo "# evaluation measures every target that counts once"
mythos eval -q --checkpoint whole --data tasks --loops 2 --baseline --json > eval.json
json 'd["tokens"]' 'd["unigram"]["nats"] > 0' < eval.json
mythos shards info tasks --json | json 'd["splits"]["val"]["counted"]'
echo "# a mixture with text that counts wholly"
train --data tasks:0.5 --data "$FIXTURES/text/data:0.5" --out mixed
grep '"padding"' mixed/metrics.jsonl | tail -1 | json '0.2 < d["padding"] < 0.7'
echo "# steps without any target learn nothing and do no harm"
"$PYTHON" - > long.jsonl << 'END'
import json
print(json.dumps({"prompt": "the miller mends the clock " * 200, "completion": "well"}))
END
run mythos tokenize -q --tokenizer "$FIXTURES/text/tok.model" --output long --rows completion --val-fraction 0 long.jsonl
run mythos train -q --config "$SOURCE/tests/cli/fixtures/small.toml" --data long --out sparse --set batch_size=1 --set seq_len=16 --set log_every=1 2> /dev/null
"$PYTHON" - << 'END'
import json
losses = [json.loads(line).get("loss") for line in open("sparse/metrics.jsonl")]
print(len(losses), losses.count(None) > 10)
END
run mythos checkpoint verify sparse
echo "# nothing counts"
echo '{"text": "abc", "counts": []}' > none.jsonl
run mythos tokenize -q --tokenizer "$FIXTURES/text/tok.model" --output none --mask-field counts --val-fraction 0 none.jsonl
train --data none --out nothing

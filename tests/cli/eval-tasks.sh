# Exact match of tasks over loop counts and difficulties, after training on the answers alone.
# needs: torch
mythos synth tokenizer --out tok.json
mythos synth parity --count 400 --difficulty 1..3 > train.jsonl
mythos synth parity --count 60 --difficulty 1..3 --seed 2 > test.jsonl
mythos tokenize --quiet --tokenizer tok.json --rows completion --output data train.jsonl
mythos train --quiet --config "$SOURCE/tests/cli/fixtures/small.toml" --set vocab_size=97 --set packing=best-fit \
  --data data --out run
mythos eval --checkpoint run --tasks test.jsonl --loops 1,3 --quiet > table
sed -E 's/ +[0-9.]+%/ P/g' table
mythos eval --checkpoint run --tasks test.jsonl --loops 2 --exit latent --exit-threshold 1e6 --quiet | grep -A 9 mean
mythos eval --checkpoint run --tasks test.jsonl --loops 1,3 --json --quiet > out.json
json 'd["schema"]' 'd["stops"]' 'sorted(d["loops"][0])' 'sorted(d["difficulties"][0]["loops"][0])' \
  '[row["difficulty"] for row in d["difficulties"]]' 'sum(d["loops"][1]["expert_load"][0]) > 0' \
  'd["loops"][0]["expert_overlap"]' '[0 < share <= 1 for share in d["loops"][1]["expert_overlap"][0]]' < out.json
echo '{"prompt": "1=", "completion": ""}' > empty.jsonl
echo '{"prompt": "1="}' > half.jsonl
mythos synth parity --count 1 --difficulty 90 > long.jsonl
for file in empty half long; do run mythos eval --checkpoint run --tasks $file.jsonl --quiet; done
run mythos eval --checkpoint run
run mythos eval --checkpoint run --tasks test.jsonl --data data
run mythos eval --checkpoint run --tasks test.jsonl --stride 4
run mythos eval --checkpoint run --tasks test.jsonl --weights int8

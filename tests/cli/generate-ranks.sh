# Processes that divide a model's experts generate and measure as one does; what they cannot do is said.
# needs: torch
# runs: alone
# fixture: run
generate() { run mythos generate --checkpoint "$FIXTURES/run/run" --quiet --dtype fp32 --max-tokens 12 "$@"; }
divided() { generate --nproc 2 --expert-ranks 2 "$@"; }
generate --prompt "The miller" --temperature 0 > one
divided --prompt "The miller" --temperature 0 > two
same one two
echo "The miller" | generate --seed 7 --temperature 1 --num-samples 2 > one
echo "The miller" | generate --nproc 4 --expert-ranks 4 --seed 7 --temperature 1 --num-samples 2 > four
same one four
printf '%s\n' '{"prompt": "The miller"}' '{"prompt": 3}' '{"prompt": "A copper kettle", "loops": 2}' > lines.in
ids() { "$PYTHON" -c 'import json; print([json.loads(line).get("ids") for line in open("lines")])'; }
generate --jsonl lines.in --seed 3 > all
grep schema all > lines
ids > one
divided --jsonl --seed 3 < lines.in > all
grep schema all > lines
ids > two
same one two
grep -v schema all

data=(--checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,3 --seq-len 32 --max-tokens 300
  --dtype fp32 --quiet --json)
for way in "" --decode; do
  mythos eval "${data[@]}" $way > one.json
  mythos eval "${data[@]}" $way --nproc 2 --expert-ranks 2 > two.json
  same_losses one.json two.json 1e-5
done

head -n 80 "$FIXTURES/text/text.txt" |
  sed -nE 's/^(\S+ \S+)( \S+).*/{"prompt": "\1", "completion": "\2"}/p' > rows.jsonl
tasks=(--checkpoint "$FIXTURES/run/run" --tasks rows.jsonl --loops 1,3 --dtype fp32 --quiet --json)
mythos eval "${tasks[@]}" > one
mythos eval "${tasks[@]}" --nproc 2 --expert-ranks 2 > two
same one two
json '0 < d["loops"][0]["expert_load"][0][0]' < two

generate --prompt x --expert-ranks 2
generate --prompt x --nproc 2
generate --prompt x --nproc 3 --expert-ranks 2
generate --prompt x --nproc 3 --expert-ranks 3
divided --prompt-file absent
run mythos eval "${data[@]}" --expert-ranks 2
run mythos eval "${data[@]}" --nproc 2 --expert-ranks 2 --untrained

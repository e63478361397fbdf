# Training a part of a model: frozen tensors, low-rank updates, and what is refused.
# needs: torch
# fixture: run
data=$FIXTURES/text/data
train="mythos train --init-from $FIXTURES/run/run --data $data --steps 3 --device cpu --threads 1"
run $train --out frozen --freeze 'embed.* prelude.*' 2> log
grep -o '[0-9.]* [KM] trained' log | wc -l
run $train --out tuned --set tune_rank=2 --set tune_alpha=4 --set skip_steps=2 2> log
grep -c 'trained in low-rank updates' log
json 'd["healthy"]' 'd["guard"]["bad_in_row"]' < tuned/latest/state.json
mythos eval --checkpoint tuned --data "$data" --device cpu --json --max-tokens 64 | json 'len(d["loops"]) > 0'
run mythos train --resume --data "$data" --out tuned --set tune_rank=4
run $train --out none --freeze 'prelud.*'
run $train --out none --freeze '*'
run $train --out none --set tune_rank=2 --set tune_matrices='*.experts.*'
run $train --out none --set skip_deviations=6
ls

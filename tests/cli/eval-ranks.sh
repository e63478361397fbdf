# Processes that divide a split measure what one does, and what they cannot do together is said.
# needs: torch
# runs: alone
# fixture: run
data=(--checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,3 --seq-len 32 --batch-size 3 --dtype fp32
  --quiet --json)
mythos eval "${data[@]}" > one.json
for ranks in 2 3; do
  mythos eval "${data[@]}" --nproc $ranks > many.json
  same_losses one.json many.json 1e-6
done
run mythos eval "${data[@]}" --nproc 2 --weights int8
run mythos eval --checkpoint "$FIXTURES/run/run" --tasks rows.jsonl --nproc 2

# Objectives by name, each in the metrics, with a gate whose exits generate and eval take.
# needs: torch
# fixture: text
text=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
cat > gate.toml <<END
extends = "$small"
[model]
halting = "gate"
halt_loops = 2
act_threshold = 0.6
[train]
val_every = 0
[objectives]
gate = 0.5
jacobian = 0.01
balance = 0.01
END
run mythos train --config gate.toml --data "$text" --out run --quiet
grep grad_norm run/metrics.jsonl | tail -n 1 | json 'list(d["objectives"])' 'len(d["depth"])' 'round(sum(d["depth"])) == 5 * 4 * 32' \
  'abs(d["objectives"]["next_token"] - d["loss"]) < 1e-6'
# A resumed run carries the sums of the terms on: step 12 lies between two lines.
run mythos train --config gate.toml --data "$text" --out cut --quiet --set save_every=6
cp -r cut/step-000012 resumed-from && mkdir resumed && mv resumed-from resumed/step-000012
run mythos train --resume --data "$text" --out resumed --quiet
grep grad_norm cut/metrics.jsonl | tail -n 1 | json '[d["objectives"], d["depth"]]' > want
grep grad_norm resumed/metrics.jsonl | tail -n 1 | json '[d["objectives"], d["depth"]]' > got
same want got
# Weights of older configurations stand in [train].
printf 'extends = "%s"\n[model]\nhalting = "act"\nmin_halt_loops = 2\n[train]\nponder_cost = 0.01\n' "$small" > old.toml
run mythos train --config old.toml --data "$text" --out old --quiet \
  --steps 3 --set batch_size=2 --set seq_len=16 --set val_every=0
grep grad_norm old/metrics.jsonl | tail -n 1 | json 'list(d["objectives"])' 'd["depth"][0]' 'sum(d["depth"])'
mythos generate --checkpoint run --prompt 'The' --max-tokens 5 --seed 1 --loops auto --exit halting --quiet > /dev/null && echo generated
mythos eval --checkpoint run --data "$text" --decode --exit halting --max-tokens 200 --json --quiet > eval.json && echo evaluated
# What is refused.
run mythos train --config gate.toml --data "$text" --out new --set objectives.gat=1
run mythos train --config gate.toml --data "$text" --out new --set objectives.next_token=0 --set objectives.gate=0 \
  --set jacobian=0 --set balance=0
run mythos train --config "$small" --data "$text" --out new --set ponder=1
run mythos train --config gate.toml --data "$text" --out new --set recompute=loop
run mythos train --config gate.toml --data "$text" --out new --set halt_loops=3

# fp16: steps that overflow are skipped and told; other verbs on a CPU refuse it by name.
# needs: torch
# fixture: run
data=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
mythos train --config "$small" --data "$data" --out run --steps 6 --device cpu --json \
  --set compute_type=fp16 --set loss_scale=1e9 --set loss_scale_backoff=0.01 --set log_every=1 > out.json 2> log
json 'd["compute_type"]' 'd["skipped_steps"]' < out.json
grep -c '  1 skipped  ETA ' log
grep -o '[0-9]* steps skipped since step 0.*' log
json 'd["skipped_steps"]' 'sorted(d["loss_scaler"])' < run/latest/state.json
tail -n 2 run/metrics.jsonl | head -n 1 | json 'd["skipped_steps"]' 'd["loss_scale"] < 1e9'
run mythos eval --checkpoint "$FIXTURES/run/run" --data "$data" --device cpu --dtype fp16
run mythos train --config "$small" --data "$data" --out other --set loss_scale=0.5

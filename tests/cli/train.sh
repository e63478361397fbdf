# A training run leaves checkpoints, a link to the newest, and metrics.
# needs: torch
# fixture: run
run=$FIXTURES/run/run
ls -A "$run"
ls -A "$run/latest/"
readlink "$run/latest"
head -n 1 "$run"/metrics.jsonl | json 'sorted(d)'

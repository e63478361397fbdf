# What ends a run: SIGHUP and a signal during validation save first; nobody to read stderr ends nothing.
# needs: torch
# fixture: text
common=(--config "$SOURCE/tests/cli/fixtures/small.toml" --data "$FIXTURES/text/data")
mythos train "${common[@]}" --out hangup --set save_every=0 --set val_every=0 --set log_every=1 --steps 100000 > out 2> err &
pid=$!
wait_for 60 test -s hangup/metrics.jsonl
kill -HUP $pid
{ wait $pid; } 2> /dev/null
echo "SIGHUP: exit status $?"
[ "$(cat out)" = "hangup/$(readlink hangup/latest)" ] && echo "saved"

# Windows of one token make the validation of one step long.
mythos train "${common[@]}" --out validation --steps 1 --batch-size 1 --seq-len 1 --set val_tokens=0 --set mean_loops=60 > out 2> err &
pid=$!
wait_for 60 test -e validation/latest
kill -TERM $pid
{ wait $pid; } 2> /dev/null
echo "SIGTERM during validation: exit status $?"
cat out
grep -c val_loss validation/metrics.jsonl
run mythos train --resume --data "$FIXTURES/text/data" --out validation --set val_tokens=64 --quiet
grep -c val_loss validation/metrics.jsonl

# A reader of stderr that leaves, and no stderr at all.
mythos train "${common[@]}" --out unread --steps 40 --set log_every=1 2> >(head -n 1 > /dev/null)
echo "exit status $?"
mythos train "${common[@]}" --out closed --steps 20 2>&-
echo "exit status $?"
mythos checkpoint verify closed
wc -l < closed/metrics.jsonl

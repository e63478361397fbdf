# SIGUSR1 saves and goes on, SIGTERM saves and ends with 143; a resume continues from there.
# needs: torch
# fixture: text
mythos train --config "$SOURCE/tests/cli/fixtures/small.toml" --data "$FIXTURES/text/data" --out run \
  --set save_every=0 --set val_every=0 --set log_every=1 --set schedule=constant --steps 100000 > out 2> err &
pid=$!
wait_for 60 test -s run/metrics.jsonl
kill -USR1 $pid
wait_for 20 test -e run/latest
first=$(readlink run/latest)
lines=$(wc -l < run/metrics.jsonl)
goes_on() { [ "$(wc -l < run/metrics.jsonl)" -gt $((lines + 1)) ]; }
wait_for 60 goes_on && echo "goes on after SIGUSR1"
kill -TERM $pid
{ wait $pid; } 2> /dev/null
echo "exit status $?"
second=$(readlink run/latest)
[ "$first" != "$second" ] && echo "SIGTERM saved another checkpoint"
[ "$(cat out)" = "run/$second" ] && echo "and printed its name"
grep -o -F "stopped by a signal after saving run/$second" err | sed 's/[0-9]\+/N/'
step=$((10#${second#step-}))
run mythos train --resume --data "$FIXTURES/text/data" --out run --steps $((step + 1)) --quiet > out
[ "$(cat out)" = "$(printf 'run/step-%06d' $((step + 1)))" ] && echo "resumed"

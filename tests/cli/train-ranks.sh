# Two processes train what one trains, a run goes on with another number of them, and what is wrong with ranks is said.
# needs: torch
# runs: alone
# fixture: text
data=(--set compute_type=fp32 --config "$SOURCE/tests/cli/fixtures/small.toml" --data "$FIXTURES/text/data")
mythos train "${data[@]}" --out one --quiet
mythos train "${data[@]}" --out two --nproc 2 --quiet
ls two | sort
"$PYTHON" - <<'END'
import json
def lines(run):
    return [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
one, two = lines("one"), lines("two")
print(len(one) == len(two), [line["step"] for line in one] == [line["step"] for line in two])
print(max(abs(a[key] - b[key]) for a, b in zip(one, two) for key in ("loss", "val_loss") if key in a) < 1e-5)
END
echo "-- goes on alone"
run mythos train --data "$FIXTURES/text/data" --out two --resume --steps 25 --quiet
echo "-- and with four"
run mythos train --data "$FIXTURES/text/data" --out two --resume --steps 30 --nproc 4 --quiet --json | json 'd["first_step"], d["step"]'
echo "-- begun again by torchrun"
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }
export MASTER_ADDR=127.0.0.1 MASTER_PORT=$(free_port)
for rank in 0 1; do
  RANK=$rank WORLD_SIZE=2 TORCHELASTIC_RESTART_COUNT=1 run mythos train "${data[@]}" --out two --steps 32 --overwrite \
    --quiet 2> /dev/null &
done
wait
unset MASTER_ADDR MASTER_PORT
echo "-- a batch that does not divide"
run mythos train "${data[@]}" --out three --nproc 3 --quiet
echo "-- variables"
RANK=2 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 run mythos train "${data[@]}" --out x
RANK=0 run mythos train "${data[@]}" --out x
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=70000 run mythos train "${data[@]}" --out x
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29999 run mythos train "${data[@]}" --out x --nproc 3
RANK=1 WORLD_SIZE=2 MASTER_PORT=29999 run mythos train "${data[@]}" --out x
RANK=1 WORLD_SIZE=2 MASTER_ADDR=no-such-machine.invalid MASTER_PORT=29999 run mythos train "${data[@]}" --out x --timeout 5
"$PYTHON" -c '
import socket, sys, time
s = socket.socket(socket.AF_INET6); s.bind(("::", 0)); s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()' \
  < <(sleep 60) > port &
listener=$!
wait_for 20 test -s port
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$(cat port) run mythos train "${data[@]}" --out x --timeout 5
kill $listener
echo "-- a rank that does not come"
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$(free_port) run mythos train "${data[@]}" --out x --timeout 1
[ -e x ] || echo "x was not begun"

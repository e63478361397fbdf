# A run directory is one process's; a run is neither started over nor lost.
# needs: torch
# fixture: run
data=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
mythos train --config "$small" --data "$data" --out busy --steps 100000 --quiet > /dev/null &
pid=$!
wait_for 60 test -e busy/latest
run mythos train --config "$small" --data "$data" --out busy --resume
run mythos eval --checkpoint busy --data "$data" --loops 1 --max-tokens 64 --quiet > /dev/null
kill -9 $pid
{ wait $pid; } 2> /dev/null
run mythos train --data "$data" --out busy --resume --steps 1 --quiet 2> /dev/null | sed 's/[0-9]\+/N/'

cp -r "$FIXTURES/run/run" run
rm -r run/step-000010
sed -i 's/^steps = .*/steps = 40/' run/step-000020/config.toml
run mythos train --data "$data" --out run --resume
run mythos train --config "$small" --data "$data" --out run
run mythos train --config "$small" --data "$data" --out run --overwrite --steps 2 --quiet
ls run
run mythos train --config "$small" --data "$data" --out run --overwrite --resume
run mythos train --config "$small" --data "$data" --out run --resume --seed 5 --set dim=64
run mythos train --data "$data" --out tuned --init-from run --steps 1 --lr 1e-4 --quiet

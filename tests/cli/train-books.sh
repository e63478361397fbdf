# What a run writes of itself: run.json, train.log, event files, Prometheus' text, its page; the checkpoints it keeps; its end in time.
# needs: torch
# fixture: text
train() { run mythos train -q --data "$FIXTURES/text/data" "$@"; }
books="--set train.tensorboard=true --set train.prometheus=true --set train.log_every=5 --set train.peak_tflops=1"
train --config "$SOURCE/tests/cli/fixtures/small.toml" $books --out run --steps 10 --set train.save_every=2 --set train.keep_last=1 --set train.keep_every=4
ls run | grep -v lock
train --out run --resume --steps 15
json 'd["schema"]' 'len(d["sessions"])' '[s["first_step"] for s in d["sessions"]]' 'd["sessions"][1]["command"].endswith("--resume --steps 15")' 'd["configuration"].startswith("[model]")' < run/run.json
grep -c 'T.* step 15/15  loss ' run/train.log
grep -E '^mythos_(step|loops)' run/metrics.prom
grep -oE '^mythos_(mfu|experts_[a-z_]+_1)' run/metrics.prom
ls run/tensorboard | wc -l
echo "# the page of a run"
run mythos report run
grep -oE 'figcaption>(Loss|Model FLOPs utilisation|Most loaded expert of core layer 1|Entropy[^<]* core layer 1)' run/report.html
run mythos report run missing
run mythos report run --output missing/page.html
echo "# a run that is out of time saves and ends"
train --config "$SOURCE/tests/cli/fixtures/small.toml" --out short --steps 100000 --set train.max_hours=0.0005
test "$(readlink short/latest)" != step-100000 && echo "ended early"

# A plain model is cut into a looped one that computes as it did, and trains from there; what does not fit is refused.
# needs: torch
# fixture: text
data=$FIXTURES/text/data
mythos train --quiet --preset gpt-nano --data "$data" --out plain --steps 2 --device cpu --set model.core_layers=5 \
  --set model.dim=32 --set model.max_seq_len=64 --set train.seq_len=32 --set train.batch_size=2 2> /dev/null
mythos export --quiet --checkpoint plain --format hf --output hf > /dev/null
cut="mythos import --format hf --weights hf --output"
run $cut looped --retrofit prelude=1,core=2,coda=1 --drop 3 --loops 3 2> log
grep dropped log
mythos import --format hf --weights hf --quiet --output whole > /dev/null
run $cut kept --retrofit prelude=2,core=2,coda=1 --quiet
# The loss of the plain model and of the looped one at 1 loop.
loss() { mythos eval --quiet --data "$data" --device cpu --json --max-tokens 256 "$@" | json '[l["nats"] for l in d["loops"]]'; }
loss --checkpoint whole --loops 1 > whole.loss
loss --checkpoint kept --loops 1 > kept.loss
same whole.loss kept.loss
grep -c '^\[[1-9]' kept.loss
run mythos train --quiet --init-from looped --data "$data" --out tuned --steps 3 --device cpu --set train.batch_size=2 2> log
grep -E '^(prelude_layers|core_layers|coda_layers|max_loop_iters|injection|loop_sampling) ' tuned/latest/config.toml

run $cut none --retrofit prelude=1,core=2,coda=1
run $cut none --retrofit prelude=1,core=2,coda=1 --drop 2-5
run $cut none --retrofit prelude=1,core=2
run $cut none --drop 1
run mythos import --weights hf --config hf/config.json --output none --retrofit prelude=1,core=3,coda=1
sed 's/"llama"/"ouro"/' hf/config.json > ouro.json
run $cut none --config ouro.json --retrofit prelude=1,core=3,coda=1
ls -d none 2> /dev/null || echo "no directory was made"

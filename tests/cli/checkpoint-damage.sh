# A damaged checkpoint is refused with the file and the place of the damage.
# needs: torch
# fixture: run
damaged() {
  rm -rf step
  cp -r "$FIXTURES/run/run/step-000020" step
}
try() {
  run mythos checkpoint verify step
  run mythos eval --checkpoint step --data "$FIXTURES/text/data" --quiet
}
run mythos checkpoint verify "$FIXTURES/run/run"
run mythos checkpoint list "$FIXTURES/run/run"
mythos checkpoint list "$FIXTURES/run/run" --json | json 'd["schema"]' '[c["step"] for c in d["checkpoints"]]'
damaged; flip_byte step/model.safetensors 5000; try
damaged; flip_byte step/model.safetensors 3; try
damaged; truncate -s -100 step/model.safetensors; try
damaged; rm step/model.safetensors; try
damaged; flip_byte step/config.toml 10; try
damaged; rm step/manifest.json; try
run mythos eval --checkpoint nowhere --data "$FIXTURES/text/data"
mkdir empty
run mythos eval --checkpoint empty --data "$FIXTURES/text/data"
# In a run the last whole checkpoint is taken instead, and the damaged one named.
damaged; mkdir run; cp -r "$FIXTURES/run/run/step-000010" run; mv step run/step-000020; rm run/step-000020/manifest.json
run mythos eval --checkpoint run --data "$FIXTURES/text/data" --json | json 'd["checkpoint"]'
run mythos checkpoint verify run
{ mythos checkpoint verify --json run || true; } | json 'd["schema"]' 'd["ok"]' '[c["ok"] for c in d["checkpoints"]]'
run mythos checkpoint verify empty

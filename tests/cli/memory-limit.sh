# Where memory runs out, every program ends with status 4 and says so, whatever the place.
# needs: torch
# fixture: run
small="--config $SOURCE/tests/cli/fixtures/small.toml"
data=$FIXTURES/text/data
wide="--set model.dim=2048"
mythos train --quiet $small $wide --data "$data" --out big --steps 0
mythos export --quiet --checkpoint big --output exported > /dev/null

# limited KIB CMD…: with so much address space.
limited() (
  ulimit -c 0
  ulimit -v "$1"
  shift
  "$@"
)

# The least address space, in steps of 32 MiB, in which the small model can be measured; 32 MiB more have no room
# for the 70 MB of weights of the wide one.
kib=131072
until limited $kib mythos eval --quiet --checkpoint "$FIXTURES/run/run" --data "$data" > /dev/null 2>&1; do
  kib=$((kib + 32768))
  [ $kib -lt 8388608 ] || { echo "the small model needs more than 8 GiB"; exit 1; }
done
kib=$((kib + 32768))

# short NAME CMD…: the status and what CMD says in that space.
short() {
  echo "== $1"
  shift
  run limited $kib "$@" 2> said
  cat said
}
short train mythos train --quiet $small $wide --data "$data" --out new
short eval mythos eval --quiet --checkpoint big --data "$data"
short generate mythos generate --quiet --checkpoint big --prompt a
short stability-check mythos stability-check big
short export mythos export --quiet --checkpoint big --output again
short import mythos import --quiet --weights exported/model.safetensors --config exported/config.toml \
  --tokenizer exported/tokenizer.model --output imported
short bench mythos bench train $small $wide
short "bench decode" mythos bench decode $small $wide --context 16 --tokens 8
short "many threads" env MYTHOS_THREADS=4000 mythos eval --quiet --checkpoint "$FIXTURES/run/run" --data "$data"
# What one prompt asks for costs no other.
printf '{"prompt": "%s", "loops": %d}\n' a 2 b 1048576 c 2 > prompts.jsonl
short "a prompt of many loops" mythos generate --quiet --checkpoint "$FIXTURES/run/run" --jsonl prompts.jsonl \
  --max-tokens 4 > lines
grep -c '"text"' lines
grep -o '"message":"[^"]*"' lines
grep -v '^{' lines

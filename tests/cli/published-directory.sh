# Programs take a published model's directory as it lies: whole, in shards, and as PyTorch writes it.
# needs: torch
# fixture: text
"$PYTHON" "$SOURCE/tests/cli/small_published.py" ouro ouro
cp "$FIXTURES/text/tok.model" ouro/tokenizer.model
data="$FIXTURES/text/data"
text() { mythos generate --quiet --checkpoint "$1" --prompt "The crow" --temperature 0 --max-tokens 8 "${@:2}"; }
echo "# the programs"
run mythos eval --quiet --checkpoint ouro --data "$data" --loops 1,3 --max-tokens 500 --json > out.json
json '[x["loops"] for x in d["loops"]]' < out.json
for weights in plain int8 int4; do run text ouro --weights $weights > $weights.txt; done
run mythos stability-check --quiet ouro > check.txt
tail -n 1 check.txt
run mythos bench decode --checkpoint ouro --context 8 --tokens 4 --json > /dev/null
run mythos train --quiet --init-from ouro --data "$data" --out run --set train.steps=2 --set train.seq_len=32 \
  --set train.batch_size=2 --set train.val_every=0 --set train.warmup_steps=1
ls -d run/step-*
echo "# the same model from an export"
run mythos export --quiet --checkpoint ouro --format hf --dtype bf16 --output again
cp ouro/tokenizer.model again
text again > again.txt
same plain.txt again.txt
echo "# what checkpoint says of it"
run mythos checkpoint list ouro
mythos checkpoint list --json ouro | json 'd["schema"]' 'd["published"]["files"]' 'd["published"]["types"]'
run mythos checkpoint verify ouro
cp -r ouro nan
"$PYTHON" - nan/model-00001-of-00002.safetensors <<'END'
import json, struct, sys
with open(sys.argv[1], "r+b") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    begin = json.loads(file.read(length))["model.norm.weight"]["data_offsets"][0]
    file.seek(8 + length + begin + 2 * 3)
    file.write(b"\xc0\x7f")
END
run text nan
run mythos eval --quiet --checkpoint nan --data "$data" --loops 1 --max-tokens 64 > /dev/null
run mythos checkpoint verify nan
echo "# what is refused"
run text ouro --ema
mv ouro/model-00002-of-00002.safetensors kept
run text ouro
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n' > ouro/model-00002-of-00002.safetensors
run text ouro
head -c 1000 kept > ouro/model-00002-of-00002.safetensors
run text ouro
run mythos checkpoint verify ouro
rm ouro/*.safetensors ouro/*.index.json
printf '\200\002cos\nsystem\nX\004\000\000\000true\205R.' > data.pkl
"$PYTHON" -c 'import zipfile; z = zipfile.ZipFile("ouro/pytorch_model.bin", "w"); z.write("data.pkl", "archive/data.pkl")'
run text ouro

# Programs take a published model's directory as it lies: whole, in shards, and as PyTorch writes it.
# needs: torch
# fixture: text
# make FOLDER: a small model as Ouro's are, with random weights in bf16, in two shards.
make() {
  "$PYTHON" - "$1" <<'EOF'
import json, os, random, struct, sys
folder, width, words = sys.argv[1], 32, 384
config = {"model_type": "ouro", "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
          "rope_theta": 1e6, "tie_word_embeddings": False, "vocab_size": words, "hidden_size": width,
          "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
          "head_dim": 16, "total_ut_steps": 3, "early_exit_threshold": 1.0, "torch_dtype": "bfloat16"}
names = {"model.embed_tokens.weight": [words, width], "lm_head.weight": [words, width], "model.norm.weight": [width],
         "model.early_exit_gate.weight": [1, width], "model.early_exit_gate.bias": [1]}
for i in range(2):
    at = f"model.layers.{i}."
    for norm in "input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2":
        names[f"{at}{norm}.weight"] = [width]
    names.update({f"{at}self_attn.{p}_proj.weight": [width, width] for p in "qkvo"})
    names.update({f"{at}mlp.{p}_proj.weight": [64, width] for p in ("gate", "up")})
    names[f"{at}mlp.down_proj.weight"] = [width, 64]
rng = random.Random(1)
def numbers(shape):
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    values = [rng.gauss(0, 0.1) if len(shape) > 1 else 1.0 for _ in range(count)]
    return b"".join(struct.pack("<f", x)[2:] for x in values)
os.makedirs(folder)
index, shards = {}, ({}, {})
for i, (name, shape) in enumerate(names.items()):
    shards[i % 2][name] = (shape, numbers(shape))
    index[name] = f"model-0000{i % 2 + 1}-of-00002.safetensors"
for i, shard in enumerate(shards):
    header, data = {}, b""
    for name, (shape, values) in shard.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    open(f"{folder}/model-0000{i + 1}-of-00002.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
json.dump({"weight_map": index}, open(folder + "/model.safetensors.index.json", "w"))
json.dump(config, open(folder + "/config.json", "w"))
EOF
  cp "$FIXTURES/text/tok.model" "$1/tokenizer.model"
}
make ouro
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
echo "# what is refused"
run text ouro --ema
mv ouro/model-00002-of-00002.safetensors kept
run text ouro
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n' > ouro/model-00002-of-00002.safetensors
run text ouro
head -c 1000 kept > ouro/model-00002-of-00002.safetensors
run text ouro
rm ouro/*.safetensors ouro/*.index.json
printf '\200\002cos\nsystem\nX\004\000\000\000true\205R.' > data.pkl
"$PYTHON" -c 'import zipfile; z = zipfile.ZipFile("ouro/pytorch_model.bin", "w"); z.write("data.pkl", "archive/data.pkl")'
run text ouro

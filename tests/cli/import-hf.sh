# A published model comes in, and goes out with the same bytes; what the program cannot compute is refused by name.
# needs: torch
# fixture: run
# make FOLDER CASE CODE: a directory as published, of a case's weights in bf16; Python code may change `config` and `t`.
make() {
  "$PYTHON" - "$1" "$SOURCE/tests/golden/published/$2" "$3" <<'END'
import json, os, struct, sys
folder, case, code = sys.argv[1:]
content = open(case + ".safetensors", "rb").read()
(length,) = struct.unpack_from("<Q", content)
t = {}
for name, e in json.loads(content[8 : 8 + length]).items():
    if name.startswith("w."):
        data = content[8 + length :][slice(*e["data_offsets"])]
        t[name[2:]] = (e["shape"], b"".join(data[i + 2 : i + 4] for i in range(0, len(data), 4)))
config = json.load(open(case + ".json"))["config"]
exec(code)
header, end = {}, 0
for name, (shape, data) in t.items():
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + len(data)]}
    end += len(data)
text = json.dumps(header).encode()
os.makedirs(folder)
open(folder + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + b"".join(d for _, d in t.values()))
json.dump(config, open(folder + "/config.json", "w"))
END
}

# compare A B: the tensors of two folders, by their bytes.
compare() {
  "$PYTHON" - "$@" <<'END'
import json, struct, sys
def read(folder):
    content = open(folder + "/model.safetensors", "rb").read()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return {n: (e["dtype"], e["shape"], content[8 + length :][slice(*e["data_offsets"])]) for n, e in header.items()}
a, b = map(read, sys.argv[1:])
print(len(b), "tensors;", "only in the original:", *sorted(a.keys() - b.keys()), "; only in the export:",
      *sorted(b.keys() - a.keys()), "; other bytes:", *[n for n in a.keys() & b.keys() if a[n] != b[n]])
END
}

for case in ouro_real_layout huginn_random_state parcae_real_layout; do
  make "$case" "$case" ""
  run mythos import --format hf --weights "$case" --output "runs/$case" 2> log
  grep "left out" log || true
  run mythos export --quiet --checkpoint "runs/$case" --format hf --dtype bf16 --output "again/$case"
  compare "$case" "again/$case"
done
# A wrapper's prefix, and a head that is there twice.
make wrapped ouro_grouped 't["lm_head.weight"] = t["model.embed_tokens.weight"]; t = {"_orig_mod." + n: x for n, x in t.items()}'
run mythos import --format hf --weights wrapped --output runs/wrapped 2> log
grep -e "left out" -e prefix log

refused() { make "$1" "$2" "$3"; run mythos import --quiet --format hf --weights "$1" --output "runs/$1"; }
refused rope ouro_real_layout 'config["rope_scaling"] = {"rope_type": "yarn", "factor": 4.0}'
refused window ouro_real_layout 'config["use_sliding_window"] = True; config["sliding_window"] = 4096'
refused family ouro_real_layout 'config["model_type"] = "mistral"'
refused missing ouro_real_layout 'del t["model.layers.1.mlp.up_proj.weight"]'
refused stray huginn_random_state 't["transformer.core_block.2.norm_1.weight"] = t["transformer.ln_f.weight"]'
refused head huginn_random_state 't["lm_head.weight"] = (t["transformer.wte.weight"][0], t["transformer.wte.weight"][1][::-1])'
# A model that no family has.
run mythos export --quiet --checkpoint "$FIXTURES/run/run" --format hf --output none

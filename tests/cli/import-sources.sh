# Weights of other programs: what is read, what is refused, and what is said of it.
# needs: torch
# fixture: run
mythos export --quiet --checkpoint "$FIXTURES/run/run" --output exported > /dev/null

# make FOLDER CODE: a copy of the export whose tensors, {name: (dtype, shape, bytes)}, Python code has changed in `t`.
make() {
  cp -r exported "$1"
  "$PYTHON" - "$1/model.safetensors" "$2" <<'END'
import json, struct, sys
path, code = sys.argv[1:]
def read(path):
    content = open(path, "rb").read()
    (length,) = struct.unpack_from("<Q", content)
    data = content[8 + length:]
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return {n: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])]) for n, e in header.items()}
def write(path, tensors):
    header, end = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(d for _, _, d in tensors.values()))
def floats(name):
    return list(struct.unpack(f"<{len(t[name][2]) // 4}f", t[name][2]))
def put(name, dtype, code, values):
    t[name] = (dtype, t[name][1], struct.pack(f"<{len(values)}{code}", *values))
t = read(path)
exec(code)
if t:
    write(path, t)
END
}
import() {
  run mythos import --quiet --weights "$1" --config exported/config.toml --tokenizer exported/tokenizer.model \
    --output "runs/${1//\//-}"
}

make nan 'v = floats("norm.weight"); v[5] = float("nan"); put("norm.weight", "F32", "f", v)'
import nan
make double 'v = floats("norm.weight"); v[2] = 1e300; put("norm.weight", "F64", "d", v)'
import double
make fine-double 'put("norm.weight", "F64", "d", floats("norm.weight"))'
import fine-double
make int8 'put("norm.weight", "I8", "b", [1] * 32)'
import int8
make bool 'put("norm.weight", "BOOL", "b", [1] * 32)'
import bool
make float8 'put("norm.weight", "F8_E4M3", "b", [1] * 32)'
import float8

cp -r exported pointer
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' > pointer/model.safetensors
import pointer
for name in json toml; do
  cp pointer/model.safetensors pointer/config.$name
  run mythos import --quiet --weights exported --config pointer/config.$name --output runs/x
done
run mythos import --quiet --weights exported --config exported/config.json --output runs/x \
  --tokenizer pointer/model.safetensors

make wrapped 't = {"module._orig_mod." + name: value for name, value in t.items()}'
run mythos import --weights wrapped --config exported/config.toml --tokenizer exported/tokenizer.model \
  --output runs/wrapped
same "$FIXTURES/run/run/latest/model.safetensors" runs/wrapped/latest/model.safetensors

make sharded '
names = list(t)
shards = {f"model-0000{i + 1}-of-00003.safetensors": names[i::3] for i in range(3)}
for file, some in shards.items():
    write("sharded/" + file, {name: t[name] for name in some})
index = {"metadata": {}, "weight_map": {name: file for file, some in shards.items() for name in some}}
json.dump(index, open("sharded/model.safetensors.index.json", "w"))
t = None'
rm sharded/model.safetensors
import sharded
import sharded/model.safetensors.index.json
import sharded/model-00002-of-00003.safetensors
same runs/sharded/latest/model.safetensors runs/sharded-model.safetensors.index.json/latest/model.safetensors
rm sharded/model-00001-of-00003.safetensors
truncate -s -1 sharded/model-00003-of-00003.safetensors
rm -r runs
import sharded

sed 's/vocab_size = .*/vocab_size = 385/' exported/config.toml > config.toml
make larger 't["embed.weight"] = ("F32", [385, 32], t["embed.weight"][2] + bytes(128))'
run mythos import --quiet --weights larger --config config.toml --tokenizer exported/tokenizer.model --output runs/larger

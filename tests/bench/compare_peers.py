#!/usr/bin/env python3
"""Speed and memory beside the public PyTorch programs for recurrent-depth models, in one run.

    tests/bench/compare_peers.py [--rows nano-train,nano-decode-900] [--rounds 3] [--bin build/bin] [--device cuda]

Every row is one shape. The reference (PyPI: open-mythos) runs it in fp32 and bf16, ours ('mythos bench') in each of
its types, all in turns, A B C A B C ..., in processes of their own, with the same number of threads. The table gives
median tokens per second, the ratio to the reference at the better of its two types (median over the rounds), and the
largest memory of each process: resident on a CPU, of tensors on a CUDA device, where its two types are bf16 alone.

Both compute the same: all loops (an untrained reference halts every position after two or three loops and then stops;
here its threshold is out of reach), batches of random tokens of one size, AdamW and clipping in training. bf16 means
autocast in the reference, which does not run without, with weights in bf16 besides where it does not train. Its
decoding is measured as its generate() does it: one token at its place, with its cache. --early-exit leaves the
reference as it is in training, and gives ours its semantics.

The peers are installed into a throw-away environment that uses the LibTorch of ./bootstrap; --python names one that
has open-mythos already. parcae-lm is installed too; what cannot be compared is said.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# name: preset, subject, shape, loops (None: the preset's), our types.
ROWS = {
    "nano-train": ("nano", "train", {"batch_size": 8, "seq_len": 256}, None, ["fp32", "bf16"]),
    "small-train": ("small", "train", {"batch_size": 2, "seq_len": 512}, None, ["fp32", "bf16"]),
    "nano-prefill": ("nano", "prefill", {"seq_len": 512}, None, ["fp32", "bf16"]),
    "nano-decode-128": ("nano", "decode", {"context": 128, "tokens": 16}, None, ["fp32", "bf16"]),
    "nano-decode-900": ("nano", "decode", {"context": 900, "tokens": 16}, None, ["fp32", "bf16"]),
    "small-decode-256": ("small", "decode", {"context": 256, "tokens": 16}, None, ["fp32", "bf16"]),
    "1b-prefill": ("openmythos-1b", "prefill", {"seq_len": 128}, 4, ["fp32", "bf16", "int8"]),
    "1b-train": ("openmythos-1b", "train", {"batch_size": 1, "seq_len": 1024}, 4, ["bf16"]),
    "1b-decode": ("openmythos-1b", "decode", {"context": 64, "tokens": 4}, 4, ["fp32", "bf16", "int8"]),
}

# Reads one JSON object from its arguments: model, subject, shape, loops, dtype, device, threads, threshold, warmup,
# repeat.
REFERENCE = r"""
import contextlib, dataclasses, json, sys, time, types, torch
sys.modules["transformers"] = types.SimpleNamespace(AutoTokenizer=None)  # its tokenizer is not used here
from open_mythos import MythosConfig, OpenMythos
job = json.loads(sys.argv[1])
shape, loops, training, bf16 = job["shape"], job["loops"], job["subject"] == "train", job["dtype"] == "bf16"
torch.set_num_threads(job["threads"])
torch.manual_seed(1)
torch.set_default_device(job["device"])
cuda = job["device"] != "cpu"
if bf16 and not training:
    torch.set_default_dtype(torch.bfloat16)
torch.nn.Linear.reset_parameters = lambda self: None  # the model draws its weights itself, once is enough
known = {field.name for field in dataclasses.fields(MythosConfig)}
config = {key: value for key, value in job["model"].items() if key in known}
config.update(attn_type=job["model"]["attention"], act_threshold=job["threshold"])
model = OpenMythos(MythosConfig(**config))
ids = lambda *size: torch.randint(config["vocab_size"], size)
autocast = lambda: torch.autocast("cuda" if cuda else "cpu", dtype=torch.bfloat16, enabled=bf16)

def train():
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    batch = ids(shape["batch_size"], shape["seq_len"] + 1)
    def step():
        with autocast():
            logits = model(batch[:, :-1], n_loops=loops)
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return step, batch[:, 1:].numel()

def prefill():
    prompt = ids(1, shape["seq_len"])
    return lambda: model(prompt, n_loops=loops, kv_cache={}), prompt.numel()

def decode():
    context, tokens, cache = shape["context"], ids(shape["tokens"], 1, 1), {}
    model(ids(1, context), n_loops=loops, kv_cache=cache)
    def generate():
        grown = {key: dict(value) for key, value in cache.items()}  # what is appended is forgotten again
        for i, token in enumerate(tokens):
            model(token, n_loops=loops, kv_cache=grown, start_pos=context + i)
    return generate, len(tokens)

with torch.inference_mode(not training), contextlib.nullcontext() if training else autocast():
    model.train(training)
    repetition, tokens = {"train": train, "prefill": prefill, "decode": decode}[job["subject"]]()
    seconds = []
    for i in range(job["warmup"] + job["repeat"]):
        begin = time.perf_counter()
        repetition()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
resident = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
memory = torch.cuda.max_memory_allocated() if cuda else resident * 1024
print(json.dumps({"rate": tokens / sorted(seconds[job["warmup"]:])[job["repeat"] // 2], "bytes": memory}))
"""

VERSIONS = r"""
import importlib.metadata, torch
print("open-mythos", importlib.metadata.version("open-mythos"), "on torch", torch.__version__)
"""

PARCAE = r"""
import importlib.metadata, importlib.util
found = importlib.util.find_spec("parcae_lm") is not None
print(f"parcae-lm {importlib.metadata.version('parcae-lm')}:",
      "not compared: this script does not know the models of this version" if found else "nothing to compare: the package on PyPI is a description alone, without modules")
"""


def install_peers(folder):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = f"{folder}/bin/python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "open-mythos", "parcae-lm"], check=True)
    needed = ["numpy", "sympy", "networkx", "jinja2", "filelock", "fsspec", "typing_extensions"]
    subprocess.run([*pip, *needed], check=True)
    site = next(pathlib.Path(folder).glob("lib/python*/site-packages"))
    (site / "mythos_deps.pth").write_text(f"{(ROOT / '.deps').resolve()}\n")
    return python


def run(command):
    # The same as 'mythos' sets for itself: threads that wait do not stop other processes by spinning.
    environment = {"GOMP_SPINCOUNT": "4000", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def reference(python, args, row, dtype):
    preset, subject, shape, loops, _ = row
    model = run([f"{args.bin}/mythos", "presets", "show", preset, "--json"])["model"]
    early = args.early_exit and subject == "train"
    return run([python, "-W", "ignore", "-c", REFERENCE, json.dumps({
        "model": model, "subject": subject, "shape": shape, "loops": loops or model["max_loop_iters"], "dtype": dtype,
        "device": args.device, "threads": args.threads, "threshold": 0.99 if early else 1e9, "warmup": 1, "repeat": args.repeat})])


def ours(args, row, kind):
    preset, subject, shape, loops, _ = row
    command = [f"{args.bin}/mythos", "bench", subject, "--preset", preset, "--device", args.device, "--json",
               "--threads", str(args.threads), "--warmup", "1", "--repeat", str(args.repeat),
               "--dtype", "fp32" if kind == "fp32" else "bf16"]
    for key, value in shape.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    if loops:
        command += ["--loops", str(loops)]
    if kind in ("int8", "int4"):
        command += ["--weights", kind]
    if args.early_exit and subject == "train":
        command += ["--set", "halting=act-reference", "--set", "prelude_norm=false"]
    else:
        command += ["--set", "halting=none"]
    if subject == "train":
        command += ["--set", "optimizer=adamw", "--set", "backprop_loops=0"]
    for setting in args.set:
        command += ["--set", setting]
    result = run(command)
    row = result["measurements"][0]
    return {"rate": row["per_second"]["tokens"], "bytes": result["facts"]["peak_memory_bytes"]}


def compare(name, args, python):
    row = ROWS[name]
    kinds = [kind for kind in row[4] if not args.types or kind in args.types.split(",")]
    peers = {dtype: [] for dtype in (("fp32", "bf16") if args.device == "cpu" else ("bf16",))}
    mine = {kind: [] for kind in kinds}
    for _ in range(args.rounds):
        for dtype, results in peers.items():
            results.append(reference(python, args, row, dtype))
        for kind, results in mine.items():
            results.append(ours(args, row, kind))
    rate = lambda results: statistics.median(result["rate"] for result in results)
    memory = lambda results: f"{max(result['bytes'] for result in results) / 2**20:,.0f}"
    best = max(peers, key=lambda dtype: rate(peers[dtype]))
    other = next((dtype for dtype in peers if dtype != best), None)
    for kind, results in mine.items():
        ratios = [result["rate"] / peer["rate"] for result, peer in zip(results, peers[best])]
        print("|", " | ".join([
            name, kind, f"{rate(results):,.5g}", f"{rate(peers[best]):,.5g} {best}",
            f"{rate(peers[other]):,.5g} {other}" if other else "-",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})", memory(results),
            memory(peers[best])]), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="rows: " + ", ".join(ROWS))
    parser.add_argument("--bin", default=str(ROOT / "build/bin"))
    parser.add_argument("--python", help="a Python with open-mythos and torch")
    parser.add_argument("--rows", default="*", help="names or patterns, separated by commas (default: all)")
    parser.add_argument("--types", help="ours to run, separated by commas (default: all of the row)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for ours")
    parser.add_argument("--early-exit", action="store_true",
                        help="the reference's own halting in training, on both sides")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5, help="samples of each round")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    patterns = args.rows.split(",")
    names = [name for name in ROWS if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    if not names:
        parser.error(f"no such rows; there are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory() as folder:
        python = args.python or install_peers(folder)
        subprocess.run([python, "-W", "ignore", "-c", VERSIONS], check=True)
        if not args.python:
            subprocess.run([python, "-c", PARCAE], check=True)
        print(f"{args.device}, {args.threads} threads, {args.rounds} rounds of {args.repeat}; tokens/s and MiB at their peak\n", flush=True)
        print("| row | ours | tokens/s | reference | its other type | ratio (least-greatest) | MiB | reference's |")
        print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
        for name in names:
            compare(name, args, python)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Training speed beside the public PyTorch reference, in one run.

    tests/bench/compare_openmythos.py [--bin build/bin] [--dtype fp32|bf16] [--rounds 3] [--steps 8]

Both train the shape of the preset nano (8 sequences of 256 tokens, 8 loops, 2 threads, AdamW, clipping) in
turns, A B A B ..., so that a machine whose speed drifts treats both alike. Prints each round's median
tokens per second and the ratio. An untrained reference halts every position after two or three of the 8 loops and then stops; here its
halting threshold is out of reach, so that both compute 8 loops. --early-exit leaves the reference as it is,
and gives ours its semantics (halting, no prelude norm), early exit included. The reference (PyPI: open-mythos) is installed into a throw-away
environment that uses the LibTorch of ./bootstrap; --python names an environment that has it already.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

PEER = r"""
import sys, time, types, torch
sys.modules["transformers"] = types.SimpleNamespace(AutoTokenizer=None)  # its tokenizer is not used here
from open_mythos import MythosConfig, OpenMythos
steps, dtype, threads, threshold = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(threads)
torch.manual_seed(1)
model = OpenMythos(MythosConfig(
    vocab_size=4096, dim=256, n_heads=4, n_kv_heads=2, max_seq_len=1024, max_loop_iters=8, prelude_layers=1,
    coda_layers=1, attn_type="mla", kv_lora_rank=64, q_lora_rank=128, qk_rope_head_dim=16, qk_nope_head_dim=32,
    v_head_dim=32, n_experts=8, n_shared_experts=1, n_experts_per_tok=2, expert_dim=256, lora_rank=8,
    act_threshold=threshold))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
ids = torch.randint(4096, (steps, 8, 257))
rates = []
for step in range(steps):
    begin = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
        logits = model(ids[step, :, :-1], n_loops=8)
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[step, :, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    rates.append(8 * 256 / (time.perf_counter() - begin))
print(sorted(rates[2:])[len(rates[2:]) // 2])
"""


def install_peer(folder):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = f"{folder}/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "open-mythos", "numpy"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "sympy", "networkx", "jinja2", "filelock",
                    "fsspec", "typing_extensions"], check=True)
    site = next(pathlib.Path(folder).glob("lib/python*/site-packages"))
    (site / "mythos_deps.pth").write_text(f"{(ROOT / '.deps').resolve()}\n")
    return python


def peer_rate(python, args):
    out = subprocess.run([python, "-W", "ignore", "-c", PEER, str(args.steps), args.dtype, str(args.threads),
                          "0.99" if args.early_exit else "1e9"], capture_output=True, text=True).stdout
    return float(out.split()[-1])


def make_data(folder, bin):
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlucm", k=rng.randint(2, 9))) for _ in range(60000)]
    text = folder / "text.txt"
    text.write_text("\n".join(" ".join(words[i:i + 12]) for i in range(0, len(words), 12)))
    run = lambda *command: subprocess.run([f"{bin}/mythos", *command], check=True, stderr=subprocess.DEVNULL)
    run("vocab", "--vocab-size", "4096", "--output", str(folder / "tok.model"), str(text))
    run("tokenize", "--tokenizer", str(folder / "tok.model"), "--output", str(folder / "data"), "--separator", "\\n",
        str(text))


def our_rate(folder, args, round):
    out = folder / f"run{round}"
    command = [f"{args.bin}/mythos", "train", "--preset", args.preset, "--data", str(folder / "data"), "--out", str(out),
               "--steps", str(args.steps), "--batch-size", "8", "--seq-len", "256", "--threads", str(args.threads)]
    semantics = ["halting=act-reference", "prelude_norm=false"] if args.early_exit else []
    for setting in ("loop_sampling=fixed", f"compute_type={args.dtype}", "log_every=1", "val_every=0", "val_tokens=256",
                    "save_every=0", *semantics, *args.set):
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rates = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return statistics.median(rates[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(ROOT / "build/bin"))
    parser.add_argument("--python", help="a Python with open-mythos and torch")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--early-exit", action="store_true", help="the reference's own semantics on both sides")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        python = args.python or install_peer(folder / "peer")
        make_data(folder, args.bin)
        ratios = []
        for round in range(args.rounds):
            peer = peer_rate(python, args)
            ours = our_rate(folder, args, round)
            ratios.append(ours / peer)
            print(f"round {round + 1}: open-mythos {peer:,.0f} tokens/s, mythos {ours:,.0f} tokens/s, "
                  f"ratio {ours / peer:.2f}", flush=True)
        print(f"{args.dtype}, {args.threads} threads: median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compares training in two processes of one thread with one process of one and of two threads, on a CPU.

  tests/bench/scaling.py [--build DIR] [--preset NAME] [--steps N] [--repeat N] [--set KEY=VALUE ...]

Runs take turns, so that what else the machine does meets all of them. For each the tokens a second of its best and
its median run, and how much faster that is than one thread. For a quiet machine; nothing here fails.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Name, processes, threads of each, train.layout.
WAYS = (
    ("1 process, 1 thread", 1, 1, "replicated"),
    ("1 process, 2 threads", 1, 2, "replicated"),
    ("2 processes, replicated", 2, 1, "replicated"),
    ("2 processes, sharded-optimizer", 2, 1, "sharded-optimizer"),
    ("2 processes, fully-sharded", 2, 1, "fully-sharded"),
)


def call(build, *arguments, threads=1):
    environment = dict(os.environ, MYTHOS_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    command = [str(build / "bin" / "mythos"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mythos-scaling-") as folder:
        folder = pathlib.Path(folder)
        text = folder / "text.txt"
        text.write_bytes(b"\n\n".join(page.read_bytes() for page in sorted((ROOT / "man").iterdir())))
        call(args.build, "synth", "tokenizer", "--out", str(folder / "characters.json"))
        call(args.build, "tokenize", "--tokenizer", str(folder / "characters.json"), "--output",
             str(folder / "shards"), "--separator", "\\n\\n", str(text))
        rates = {name: [] for name, *_ in WAYS}
        for _ in range(args.repeat):
            for name, processes, threads, layout in WAYS:
                settings = ["train.loop_sampling=fixed", "train.save_every=0", "train.val_every=0",
                            "train.log_every=1000", "train.warmup_steps=0", "train.grad_accum=2",
                            f"train.layout={layout}", *args.assignments]
                result = call(args.build, "train", "--preset", args.preset, "--data", str(folder / "shards"),
                              "--out", str(folder / "run"), "--overwrite", "--device", "cpu", "--quiet", "--json",
                              "--nproc", str(processes), "--steps", str(args.steps), "--threads", str(threads),
                              *(part for setting in settings for part in ("--set", setting)), threads=threads)
                rates[name].append(json.loads(result)["tokens_per_second"])
    base = max(rates[WAYS[0][0]])
    print(f"{args.preset}, {args.steps} steps, {args.repeat} runs each: tokens a second")
    print(f"{'':<32} {'best':>8} {'median':>8} {'times':>6}")
    for name, found in rates.items():
        print(f"{name:<32} {max(found):>8.0f} {statistics.median(found):>8.0f} {max(found) / base:>6.2f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compares the memory that the plan gives training steps with what their tensors hold, on a CPU in fp32.

  tests/bench/plan_memory.py [--build DIR] [--quick] [PRESET...]

For each preset three batch sizes, one loop, half and all of its loops, and every kind of recomputation; in one
process, and in two for each layout. The last line tells the largest deviation; above 15% the exit status is 1.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Tokens of a sequence, batch sizes of a rank, loops.
CASES = {
    "tiny": ("64", "1,4,16", "1,2,4"),
    "nano": ("64", "1,4,12", "1,4,8"),
    "small": ("128", "1,2,4", "1,4,8"),
    "mythos-1b-smoke": ("64", "1,4,16", "1,4,16"),
}
LAYOUTS = ("replicated", "sharded-optimizer", "fully-sharded")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def rows_of(program, ranks, arguments):
    """The rows that rank 0 prints."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if ranks > 1:
        environment.update(WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    processes = []
    for rank in range(ranks):
        if ranks > 1:
            environment.update(RANK=str(rank), LOCAL_RANK=str(rank))
        processes.append(subprocess.Popen([str(program), *arguments], env=environment, text=True,
                                          stdout=subprocess.PIPE))
    texts = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"plan_memory {' '.join(arguments)} failed on {ranks} ranks")
    return [json.loads(line) for line in texts[0].splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--quick", action="store_true", help="the middle batch size and number of loops only")
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"of {', '.join(CASES)}; default: all")
    args = parser.parse_args()
    unknown = [name for name in args.presets if name not in CASES]
    if unknown:
        parser.error(f"unknown preset {unknown[0]}; known are {', '.join(CASES)}")
    program = args.build / "bin" / "tests" / "plan_memory"
    worst = 0.0
    print(f"{'preset':<16} {'ranks':>5} {'layout':<18} {'batch':>5} {'loops':>5} {'recompute':<9} "
          f"{'planned':>10} {'measured':>10} {'ratio':>6}")
    for name in args.presets or CASES:
        seq_len, batch_sizes, loops = CASES[name]
        if args.quick:
            batch_sizes, loops = batch_sizes.split(",")[1], loops.split(",")[1]
        for ranks, layout in [(1, LAYOUTS[0]), *((2, layout) for layout in LAYOUTS)]:
            for row in rows_of(program, ranks, [name, layout, seq_len, batch_sizes, loops]):
                worst = max(worst, abs(row["ratio"] - 1))
                print(f"{name:<16} {ranks:>5} {layout:<18} {row['batch_size']:>5} {row['loops']:>5} "
                      f"{row['recompute']:<9} {row['planned'] / 1e6:>7.1f} MB {row['measured'] / 1e6:>7.1f} MB "
                      f"{row['ratio']:>6.3f}", flush=True)
    print(f"largest deviation {worst:.1%}")
    return 1 if worst > 0.15 else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Tests of tests/device/run itself, without a GPU.

    run_test.py BUILD machinery    steps that fail, hang or find no GPU; cases that only pass alone
    run_test.py BUILD packing      what is packed is whole
    run_test.py BUILD rehearsal    steps on the CPU with small shapes: their commands and comparisons are right
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from machine import Machine, Result, gtest

faults = []


def expect(what, got, wanted):
    if got != wanted:
        faults.append(f"{what}: got {got!r}, wanted {wanted!r}")


def call(folder, *words):
    environment = {key: value for key, value in os.environ.items() if key != "OUT"}
    done = subprocess.run([sys.executable, HERE / "run", "--out", folder, *words], capture_output=True, text=True, env=environment)
    report = pathlib.Path(folder, "report.json")
    steps = json.loads(report.read_text())["steps"] if report.exists() else []
    return done, {step["name"]: step for step in steps}


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def machinery(build, folder):
    # Programs that fail, hang or print nonsense stop no later step, and each verdict is on disk.
    bad = folder / "bad"
    program(bad / "bin/mythos", "echo 'mythos: error: no such thing' >&2; exit 3\n")
    program(bad / "bin/golden_check", "sleep 60\n")
    done, steps = call(folder / "out", "--no-build", "--build", str(bad), "--rehearse", "--limit", "13", "--only", "golden,resume,bench")
    expect("status after failures", done.returncode, 1)
    expect("verdicts", [(name, step["verdict"]) for name, step in steps.items()],
           [("golden", "failed"), ("resume", "failed"), ("bench", "failed")])
    expect("out of time is told", "status None" in " ".join(steps["golden"]["faults"]), True)
    expect("a fault names what was said", "no such thing" in steps["resume"]["faults"][0], True)
    for name in ("report.md", "log.txt"):
        expect(f"{name} is written", (folder / "out" / name).stat().st_size > 0, True)

    if not os.access("/dev/nvidia0", os.F_OK):
        done, steps = call(folder / "none", "--no-build", "--build", str(build), "--only", "kernels,bench")
        expect("status without a GPU", done.returncode, 0)
        expect("steps without a GPU", [step["verdict"] for step in steps.values()], ["left out", "left out"])
        expect("why", "needs a GPU" in steps["bench"]["summary"], True)

    done, _ = call(folder / "unknown", "--only", "kernals")
    expect("status for an unknown step", done.returncode, 2)

    # A case that breaks its process takes others along; alone, all but it pass.
    program(folder / "cases/bin/tests/some_test", r"""
case "$*" in
  *list*) printf 'Suite.\n  Good/cuda\n  Bad/cuda\n  After/cuda\n' ;;
  *Suite.Bad*) echo 'x.cc:1: Failure'; echo 'Value of: broken'; exit 1 ;;
  *Suite.*) exit 0 ;;
  *) exit 139 ;;
esac
""")
    arguments = argparse.Namespace(rehearse=False, build=str(folder / "cases"), out=str(folder / "cases/out"), limit=60)
    machine = Machine(arguments)
    machine.step_end = time.monotonic() + 60
    result = gtest(machine, Result(), ["some_test"], "*cuda*", {}, shards=2)
    expect("counts of cases", result.values["counts"], {"passed alone": 2, "failed": 1})
    expect("the failed case", [fault[:22] for fault in result.faults], ["some_test Suite.Bad/cu"])


def packing(build, folder):
    if not shutil.which("dpkg-query"):
        print("skipped: only Debian's packages are packed, and this system has none")
        sys.exit(77)
    packed = folder / "packed.tar.gz"
    done = subprocess.run([HERE / "pack", "--no-peer", packed], capture_output=True, text=True)
    expect("status of pack", (done.returncode, done.stderr), (0, ""))
    with tarfile.open(packed) as archive:
        members = {member.name.removeprefix("./"): member for member in archive}
    library = "packages/usr/lib/x86_64-linux-gnu/"
    for name in ("packages/usr/include/CLI/CLI.hpp", "packages/usr/include/gtest/gtest.h", "packages/usr/include/nlohmann/json.hpp",
                 "packages/usr/bin/pkgconf", library + "libgtest.a", library + "libspdlog.so", library + "pkgconfig/libzstd.pc", "commit"):
        expect(f"{name} is packed", name in members, True)
    expect("SentencePiece's sources are packed", any(name.endswith("src/sentencepiece_processor.cc") for name in members), True)
    for name, member in members.items():
        if member.issym():
            target = os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))
            expect(f"what the link {name} points to is packed", target in members, True)


def rehearsal(build, folder):
    names = "golden,resume,generate,bench,profile"
    done, steps = call(folder / "out", "--rehearse", "--no-build", "--build", str(build), "--only", names)
    expect("verdicts of a rehearsal", {name: (step["verdict"], step["faults"]) for name, step in steps.items()},
           {name: ("passed", []) for name in names.split(",")})
    expect("status of a rehearsal", done.returncode, 0)
    if "generate" in steps:
        verdicts = set(steps["generate"]["values"].values())
        expect("modes of generate", verdicts, {"equal"})


def main():
    build, part = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        {"machinery": machinery, "packing": packing, "rehearsal": rehearsal}[part](build, pathlib.Path(folder))
    for fault in faults:
        print(fault)
    print(f"{part}: {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

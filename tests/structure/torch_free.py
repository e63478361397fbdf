#!/usr/bin/env python3
"""Whether programs load without LibTorch and Arrow: torch_free.py BIN_FOLDER PROGRAM…

Reads what the dynamic section of each asks for, and what that asks for in turn. A program that this build
does not have is told and passed over."""
import pathlib
import re
import subprocess
import sys

HEAVY = re.compile(r"^lib(torch|c10|arrow|parquet)")


def needed(program):
    """Names of the libraries in the program's dynamic section and in those of its libraries."""
    direct = subprocess.run(["readelf", "-d", "-W", program], capture_output=True, text=True, check=True)
    names = set(re.findall(r"\(NEEDED\).*\[(.*)\]", direct.stdout))
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return names | set(re.findall(r"^\s*(\S+) =>", loaded.stdout, re.MULTILINE))


def check(folder, names, unwanted=HEAVY):
    """Faults, and how many programs were there."""
    bad, seen = [], 0
    for name in names:
        program = folder / name
        if not program.exists():
            print(f"skipped {name}: not built here")
            continue
        seen += 1
        libraries = needed(program)
        if not libraries:
            bad.append(f"{program}: needs no library at all; is it a program?")
        bad += [f"{program}: needs {library}" for library in sorted(libraries) if unwanted.match(library)]
    return bad, seen


def main():
    bad, seen = check(pathlib.Path(sys.argv[1]), sys.argv[2:])
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"{seen} programs, {len(bad)} faults")
    return 1 if bad or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

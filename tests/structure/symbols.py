#!/usr/bin/env python3
"""No function is defined in two rooms: symbols.py LIBRARY...

The linker takes the first definition that it meets in the static libraries, so two rooms with a function of one
name and signature call each other's without a word.
"""
import collections
import pathlib
import subprocess
import sys


def definitions(library):
    """Strong functions and data of the namespace mythos that a static library defines."""
    out = subprocess.run(["nm", "--defined-only", "--extern-only", "--format=posix", str(library)],
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1] in "TDBR" and "6mythos" in words[0] and not words[0].endswith(".resolver"):
            yield words[0]


def faults(libraries):
    rooms = collections.defaultdict(set)
    for library in libraries:
        for symbol in definitions(library):
            rooms[symbol].add(library.name)
    return [f"{symbol} is defined in {' and '.join(sorted(names))}"
            for symbol, names in sorted(rooms.items()) if len(names) > 1]


def main():
    libraries = [pathlib.Path(name) for name in sys.argv[1:]]
    found = faults(libraries)
    for fault in found:
        print(fault)
    print(f"{len(libraries)} libraries, {len(found)} faults")
    return 1 if found or not libraries else 0


if __name__ == "__main__":
    sys.exit(main())

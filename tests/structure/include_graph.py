#!/usr/bin/env python3
"""Reads the include graph of lib/: include_graph.py LIB_FOLDER

lib/CMakeLists.txt lists the rooms in order. A room includes only itself and rooms before it, and no room
before `device` includes LibTorch."""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
ORDER = re.compile(r"foreach\(room IN ITEMS ([^)]*)\)")
TORCH = ("torch/", "ATen/", "c10/", "caffe2/")
FIRST_TORCH_ROOM = "device"


def rooms_in_order(lib):
    found = ORDER.search((lib / "CMakeLists.txt").read_text())
    return found.group(1).split() if found else []


def faults(lib):
    """One line for each include that points upwards or brings LibTorch where it must not be."""
    order = rooms_in_order(lib)
    if FIRST_TORCH_ROOM not in order:
        return [f"{lib}/CMakeLists.txt: no list of rooms with '{FIRST_TORCH_ROOM}' in it"]
    rank = {room: place for place, room in enumerate(order)}
    bad = [f"{path}: the folder is not in the list of rooms in lib/CMakeLists.txt"
           for path in sorted(lib.iterdir()) if path.is_dir() and path.name not in rank]
    for path in sorted(lib.rglob("*")):
        if path.suffix not in (".h", ".cc", ".cu", ".cuh", ".in") or not path.is_file():
            continue
        room = path.relative_to(lib).parts[0]
        if room not in rank:
            continue
        text = path.read_text()
        for found in INCLUDE.finditer(text):
            name = found.group(2)
            place = f"{path}:{text.count(chr(10), 0, found.start(2)) + 1}"
            target = name.split("/")[0]
            if name.startswith(TORCH) and rank[room] < rank[FIRST_TORCH_ROOM]:
                bad.append(f"{place}: {room} must not include LibTorch ({name})")
            elif found.group(1) == '"' and rank.get(target, -1) > rank[room]:
                bad.append(f"{place}: {room} must not include {target} ({name}), which comes after it")
    return bad


def main():
    lib = pathlib.Path(sys.argv[1])
    bad = faults(lib)
    print(*bad, sep="\n", end="\n" if bad else "")
    files = sum(1 for path in lib.rglob("*") if path.suffix in (".h", ".cc", ".cu"))
    print(f"{files} files, {len(bad)} faults")
    return 1 if bad or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

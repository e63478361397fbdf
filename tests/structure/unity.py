#!/usr/bin/env python3
"""The sources of each room compile as one file, as they may be grouped with MYTHOS_UNITY: unity.py BUILD_FOLDER

Nothing is generated: the compiler of the build reads each room's sources one after the other in one run."""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOM = re.compile(r".*/lib/(\w+)/CMakeFiles/mythos_\1\.dir/")


def rooms(entries):
    """{room: (folder, command without source and output, sources)}. CMake groups no source that has options of its
    own; those are fewer than the others."""
    groups = collections.defaultdict(list)
    for entry in entries:
        words = shlex.split(entry["command"])
        output = words[words.index("-o") + 1] if "-o" in words else ""
        found = ROOM.match(os.path.join(entry["directory"], output))
        if not found or not entry["file"].endswith(".cc"):
            continue
        at = words.index("-o")
        command = [word for word in words[:at] + words[at + 2:] if word not in ("-c", entry["file"])]
        groups[found.group(1), entry["directory"], tuple(command)].append(entry["file"])
    largest = {}
    for (room, folder, command), files in groups.items():
        if room not in largest or len(files) > len(largest[room][2]):
            largest[room] = (folder, list(command), files)
    return largest


def findings(folder, command, files):
    """What the compiler says about the files read as one; "" for nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as joined:
        joined.writelines(f'#include "{file}"\n' for file in files)
        joined.flush()
        run = subprocess.run([*command, "-Wno-unknown-warning-option", "-Wno-subobject-linkage", "-fsyntax-only",
                              joined.name], cwd=folder, capture_output=True, text=True)
        return run.stderr or ("" if run.returncode == 0 else f"the compiler ended with status {run.returncode}\n")


def faults(entries):
    """{room: findings} of the rooms that have any, and how many rooms there are."""
    found = rooms(entries)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda job: findings(*job), found.values())
        return {room: text for room, text in zip(found, said) if text}, len(found)


def main():
    found, count = faults(json.loads((pathlib.Path(sys.argv[1]) / "compile_commands.json").read_text()))
    for room, text in found.items():
        print(f"lib/{room}: its sources do not compile as one file:\n{text}")
    print(f"{count} rooms, {len(found)} with faults")
    return 1 if found or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

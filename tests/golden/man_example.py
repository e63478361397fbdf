#!/usr/bin/env python3
"""Runs the Python example of mythos-shards(5) on the golden shards: man_example.py BIN_FOLDER SOURCE_FOLDER.

What it prints must be what `mythos-shards cat --ids` prints."""
import pathlib
import re
import subprocess
import sys
import tempfile

SKIPPED = 77


def example(page):
    block = re.search(r"^\.EX\n(import .*?)^\.EE$", page.read_text(), re.MULTILINE | re.DOTALL)
    if not block:
        sys.exit(f"{page} has no example in Python")
    return block.group(1).replace(r"\-", "-").replace(r"\e", "\\")


def main(bin_folder, source):
    for module in ("xxhash", "zstandard"):
        try:
            __import__(module)
        except ImportError:
            print(f"skipped: the example of mythos-shards(5) needs the Python package {module}")
            return SKIPPED
    golden = (source / "tests/golden/shards-v1").resolve()
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "shards").symlink_to(golden)
        printed = subprocess.run([sys.executable, "-c", example(source / "man/mythos-shards.5")], cwd=folder,
                                 capture_output=True, text=True)
    expected = subprocess.run([str(bin_folder / "mythos-shards"), "cat", "--ids", str(golden)],
                              capture_output=True, text=True, check=True)
    if printed.returncode != 0 or printed.stdout != expected.stdout:
        print(printed.stderr + "printed:\n" + printed.stdout + "expected:\n" + expected.stdout)
        return 1
    print(f"{len(printed.stdout.splitlines())} documents are the same")
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))

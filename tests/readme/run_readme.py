#!/usr/bin/env python3
"""Runs the commands of README.md as a reader would: run_readme.py BIN_FOLDER SOURCE_FOLDER.

Blocks that begin ```sh run are run in order, in one bash in one fresh folder, each line shown as it runs.
Other sh blocks are not run (they install, or take minutes); a program of the repository that they name must
exist."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(text):
    return re.findall(r"^```sh( run)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def main(bin_folder, source):
    found = blocks((source / "README.md").read_text())
    missing = [name for mark, body in found if not mark for name in re.findall(r"^(?:\S+=\S+ )*\./(\S+)", body, re.MULTILINE)
               if not os.access(source / name, os.X_OK)]
    if missing:
        sys.exit(f"README.md names programs that do not exist: {', '.join(missing)}")
    script = "\n".join(body for mark, body in found if mark)
    if not script:
        sys.exit("README.md has no block that begins ```sh run")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MYTHOS_")}
    env["PATH"] = f"{bin_folder}:{env['PATH']}"
    with tempfile.TemporaryDirectory(prefix="mythos-readme-") as folder:
        return subprocess.run(["bash", "-euo", "pipefail", "-v", "-c", script], cwd=folder, env=env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()))

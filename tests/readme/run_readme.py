#!/usr/bin/env python3
"""Runs the commands of README.md as a reader would: run_readme.py BIN_FOLDER SOURCE_FOLDER.

Blocks that begin ```sh run are run in order, in one bash in one fresh folder, each line shown as it runs.
Other sh blocks are not run (they install, or take minutes); a program of the repository that they name must
exist. A ```console block holds one command after "$ " and all that it prints."""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(text):
    return re.findall(r"^```sh( run)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def check_outputs(text, folder, env):
    """Whether the command of every console block prints what the block shows."""
    good = True
    for command, shown in re.findall(r"^```console\n\$ ([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
        if done.stdout != shown or done.returncode != 0:
            good = False
            print(f"README.md: `{command}` (status {done.returncode}) does not print what is shown:",
                  *difflib.unified_diff(shown.splitlines(), done.stdout.splitlines(), "README.md", "printed", lineterm=""),
                  sep="\n")
    return good


def main(bin_folder, source):
    text = (source / "README.md").read_text()
    found = blocks(text)
    missing = [name for mark, body in found if not mark for name in re.findall(r"^(?:\S+=\S+ )*\./(\S+)", body, re.MULTILINE)
               if not os.access(source / name, os.X_OK)]
    if missing:
        sys.exit(f"README.md names programs that do not exist: {', '.join(missing)}")
    script = "\n".join(body for mark, body in found if mark)
    if not script:
        sys.exit("README.md has no block that begins ```sh run")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MYTHOS_")}
    env.update(PATH=f"{bin_folder}:{env['PATH']}", MYTHOS_THREADS="1")
    with tempfile.TemporaryDirectory(prefix="mythos-readme-") as folder:
        if not check_outputs(text, folder, env):
            return 1
        return subprocess.run(["bash", "-euo", "pipefail", "-v", "-c", script], cwd=folder, env=env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()))

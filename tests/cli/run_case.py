#!/usr/bin/env python3
"""Runs one command-line case: NAME.sh against NAME.out and NAME.err (see README.md here).

  run_case.py --bin DIR --fixtures DIR CASE.sh             run in a fresh folder and compare
  run_case.py --bin DIR --fixtures DIR --make NAME.sh      what the script leaves is in the folder DIR/NAME
"""
import argparse
import difflib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
SKIPPED = 77
WILDCARDS = {"{*}": "[^\n]*", "{#}": r"[-+0-9.,]+(?:e[-+]?[0-9]+)?"}


def environment(bin_folder, fixtures):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("MYTHOS_") and k not in ("LANG", "LANGUAGE", "COLUMNS", "TORCH_DIR")
            and not k.startswith("LC_")}
    kept.update(PATH=f"{bin_folder}:{os.environ['PATH']}", LC_ALL="C.UTF-8", NO_COLOR="1", TERM="dumb",
                PYTHON=sys.executable, PRELUDE=str(HERE / "prelude.sh"), SOURCE=str(SOURCE),
                BUILD=str(bin_folder.parent), FIXTURES=str(fixtures),
                MYTHOS_THREADS="1")
    return kept


def run(script, folder, env):
    command = ["bash", "-c", 'set -u; . "$PRELUDE"; . "$0"', str(script)]
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def normalised(output, names):
    """Text of an output with folders replaced by their names and bytes that are no UTF-8 made visible."""
    text = output.decode("utf-8", "backslashreplace")
    for path, name in names:
        text = text.replace(path, name)
    return text


def line_pattern(line):
    parts = re.split(r"(\{\*\}|\{#\})", line)
    return "".join(WILDCARDS.get(part, re.escape(part)) for part in parts)


def matches(expected, actual):
    pattern = "".join("(?:.*\n)*" if line.strip() == "{...}" else line_pattern(line)
                      for line in expected.splitlines(keepends=True))
    return re.fullmatch(pattern, actual) is not None


def keep_wildcards(expected, actual):
    """The actual text with every line that an expected line with wildcards matches written as that line."""
    patterns = [(re.compile(line_pattern(line)), line) for line in expected.splitlines()
                if any(w in line for w in WILDCARDS)]
    lines = []
    for line in actual.splitlines(keepends=True):
        body, end = line.rstrip("\n"), "\n" if line.endswith("\n") else ""
        lines.append(next((text for pattern, text in patterns if pattern.fullmatch(body)), body) + end)
    return "".join(lines)


def compare(file, actual, update):
    expected = file.read_text() if file.exists() else ""
    if matches(expected, actual):
        return True
    kept = keep_wildcards(expected, actual)
    if update:
        file.write_text(kept)
        if not kept:
            file.unlink()
        print(f"updated {file}")
        return True
    print(*difflib.unified_diff(expected.splitlines(), kept.splitlines(), f"expected {file.name}", "actual",
                                lineterm=""), sep="\n")
    return False


def run_case(script, bin_folder, fixtures):
    with tempfile.TemporaryDirectory(prefix="mythos-cli-") as folder:
        work = pathlib.Path(folder).resolve() / "work"
        work.mkdir()
        status, out, err = run(script, work, environment(bin_folder, fixtures))
        if status == SKIPPED:
            sys.stdout.write(out.decode("utf-8", "replace"))
            return SKIPPED
        names = [(str(work), "WORK"), (str(fixtures), "FIXTURES"), (str(bin_folder.parent), "BUILD"),
                 (str(SOURCE), "SOURCE")]
        update = os.environ.get("MYTHOS_UPDATE_EXPECTED") == "1"
        good = [compare(script.with_suffix(suffix), normalised(text, names), update)
                for suffix, text in ((".out", out), (".err", err))]
        if status != 0:
            print(f"the script itself ended with status {status}; its standard error:\n{normalised(err, names)}")
        return 0 if all(good) and status == 0 else 1


def sources_of(script, bin_folder):
    """What a fixture follows from, as text: the scripts, and the programs that they run."""
    scripts = sorted(script.parent.iterdir())
    text = "".join(f"{path.name}\n{path.read_text()}" for path in scripts)
    programs = ["mythos"] + sorted({f"mythos-{verb}" for verb in re.findall(r"^mythos ([a-z-]+)", text, re.M)})
    for path in (bin_folder / program for program in programs):
        if path.exists():  # a build without LibTorch has not all
            text += f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}\n"
    return text


def make_fixture(script, bin_folder, fixtures):
    """Cases of another ctest may read the fixture meanwhile: one that is current stays, another is made beside it."""
    folder, made = fixtures / script.stem, fixtures / f"{script.stem}.made"
    beside, old = fixtures / f"{script.stem}.new", fixtures / f"{script.stem}.old"
    fixtures.mkdir(parents=True, exist_ok=True)
    with open(fixtures / f"{script.stem}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = sources_of(script, bin_folder)
        if folder.exists() and made.exists() and made.read_text() == sources:
            return 0
        for left in beside, old:
            shutil.rmtree(left, ignore_errors=True)
        beside.mkdir()
        status, out, err = run(script, beside, environment(bin_folder, fixtures))
        if status != 0:
            print(f"{script.name} ended with status {status}\n{normalised(out + err, [])}")
            return status
        made.unlink(missing_ok=True)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        made.write_text(sources)
        shutil.rmtree(old, ignore_errors=True)
        return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--fixtures", type=pathlib.Path, required=True)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("script", type=pathlib.Path)
    args = parser.parse_args()
    job = make_fixture if args.make else run_case
    return job(args.script.resolve(), args.bin.resolve(), args.fixtures.absolute())


if __name__ == "__main__":
    sys.exit(main())

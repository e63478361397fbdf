#!/usr/bin/env python3
"""Views that outlive what they look at, found by clang: lifetimes.py BUILD_FOLDER

Every C++ file in the build's compile_commands.json is read by clang with its lifetime warnings alone. A file is
read again only after it, a header of the project that it includes, or its options have changed."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

# clang's groups grow with its versions: -Wdangling holds -Wdangling-gsl, -Wdangling-field and others.
CHECKS = ["-Wno-everything", "-Wdangling", "-Wreturn-stack-address"]
COMPILER = re.compile(r"(.*/)?(c|g|clang)\+\+(-\d+)?$")
KEPT = re.compile(r"-([IDUm].|std=|isystem.|xc)")
KEPT_WITH_NEXT = ("-I", "-D", "-U", "-isystem", "-x")
SKIPPED = 77


def options(entry):
    """What clang needs of a compile command: its options, and the header that was precompiled for it or None."""
    words = shlex.split(entry["command"])
    compiler = next((i for i, word in enumerate(words) if COMPILER.match(word)), None)
    if compiler is None:
        return None
    kept, header = [], None
    rest = iter(words[compiler + 1:])
    for word in rest:
        if word == "-include":
            header = next(rest)
        elif word in KEPT_WITH_NEXT:
            kept += [word, next(rest)]
        elif KEPT.match(word):
            kept.append(word)
    return kept, header


class Reader:
    """Runs clang, and remembers in a folder of the build which files it has read without a finding."""

    def __init__(self, build, clang):
        self.folder = build / "lifetimes"
        self.folder.mkdir(exist_ok=True)
        version = subprocess.run([clang, "--version"], check=True, capture_output=True, text=True).stdout
        self.clang, self.version = clang, version
        self.headers = {}

    def read(self, directory, args, output=None):
        """clang's findings, "" for none; `output` is written where the run makes a file."""
        key = hashlib.sha256("\0".join([self.version, directory, *args]).encode()).hexdigest()[:24]
        done, seen = self.folder / f"{key}.ok", self.folder / f"{key}.d"
        made = output is None or output.exists()
        if made and done.exists() and not self.changed(seen, done.stat().st_mtime_ns):
            return ""
        dependencies = ["-MD" if output else "-MMD", "-MF", str(seen)]
        began = done.with_suffix(".new")
        began.touch()
        run = subprocess.run([self.clang, *args, *CHECKS, *dependencies], cwd=directory, capture_output=True, text=True)
        if run.returncode == 0 and not run.stderr:
            began.rename(done)
        return run.stderr or ("" if run.returncode == 0 else f"clang ended with status {run.returncode}\n")

    @staticmethod
    def changed(seen, since):
        try:
            files = seen.read_text().split(": ", 1)[1].replace("\\\n", " ").split()
            return any(os.stat(file).st_mtime_ns > since for file in files)
        except (OSError, IndexError):
            return True

    def precompile(self, directory, kept, header):
        """The arguments that bring `header` in; made at the first call for it."""
        if header not in self.headers:
            name = hashlib.sha256("\0".join([self.version, header, *kept]).encode()).hexdigest()[:24]
            output = self.folder / f"{name}.pch"
            found = self.read(directory, [*kept, "-x", "c++-header", header, "-o", str(output)], output)
            if found:
                print(found)
            self.headers[header] = ["-include-pch", str(output)]
        return self.headers[header]


def faults(build, clang):
    """clang's findings by file, and how many files it was asked to read."""
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        found = options(entry)
        if found and not entry["file"].endswith((".hxx", ".cxx")):
            entries.setdefault(entry["file"], (entry["directory"], *found))
    reader = Reader(build, clang)
    jobs = {}
    for file, (directory, kept, header) in sorted(entries.items()):
        before = reader.precompile(directory, kept, header) if header else []
        jobs[file] = (directory, [*kept, *before, "-fsyntax-only", file])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: reader.read(*job), jobs.values())
        return {file: found for file, found in zip(jobs, results) if found}, len(jobs)


def main():
    clang = shutil.which("clang++")
    if not clang:
        print("skipped: clang++ is not installed (./bootstrap --tests brings it)")
        return SKIPPED
    found, files = faults(pathlib.Path(sys.argv[1]), clang)
    print(*found.values(), sep="", end="")
    print(f"{files} files, {len(found)} with faults")
    return 1 if found or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

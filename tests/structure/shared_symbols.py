#!/usr/bin/env python3
"""No two libraries of a process define one symbol: shared_symbols.py BIN_FOLDER PLUGIN_FOLDER

The dynamic linker gives every library of a process the first definition of a name that it finds, be it another
library's variable or function. Compared are the exported symbols of each program, of the libraries that it needs and
of those that it opens while it runs. Weak and unique symbols are left aside: they are inline functions, templates and
their data, which may lie in several libraries.
"""
import collections
import pathlib
import re
import subprocess
import sys

STRONG = set("TDBRGi")

# Pairs of libraries that share names without harm, and why.
KNOWN = (
    # Parts of glibc: __finite, __signbit; _dl_catch_error.
    (r"libc\.so\.\d+", r"libm\.so\.\d+|ld-linux.*\.so\.\d+"),
    (r"libarrow\.so\.\d+", r"libparquet\.so\.\d+"),  # one build, of the same sources
    (r"libtorch_cpu\.so", r"libtorch_cuda\.so"),  # one build, of the same sources
    (r"libparquet\.so\.\d+", r"libtomlplusplus\.so\.\d+"),  # type information of libstdc++'s shared_ptr
)

# What programs whose text holds the name open while they run. A file that is not there is told and passed over.
OPENED = ("libmythos_parquet.so", "libmythos_cuda.so", "libtorch_cuda.so")


def needed(file):
    """The libraries that a program or library loads with it, by name."""
    out = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=True).stdout
    missing = re.findall(r"^\s*(\S+) => not found", out, re.MULTILINE)
    if missing:
        print(f"{file.name}: not found here: {', '.join(missing)}")
    return {pathlib.Path(path).name: pathlib.Path(path)
            for path in re.findall(r"^\s*(?:\S+ => )?(/.*) \(0x", out, re.MULTILINE)}


def opened(program, plugins, libraries):
    """The files that a program opens while it runs."""
    content = program.read_bytes()
    folders = [plugins] + [path.parent for path in libraries.values()]
    for name in OPENED:
        if name.encode() not in content:
            continue
        found = [folder / name for folder in folders if (folder / name).exists()]
        if found:
            yield found[0]
        else:
            print(f"{program.name}: no {name} here")


def definitions(file, known={}):
    """Strong symbols that a file exports, with their versions."""
    if file not in known:
        out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", str(file)],
                             capture_output=True, text=True, check=True).stdout
        words = (line.split() for line in out.splitlines())
        known[file] = {word[0] for word in words if len(word) >= 2 and word[1] in STRONG}
    return known[file]


def is_known(first, second):
    return any(re.fullmatch(a, x) and re.fullmatch(b, y)
               for a, b in KNOWN for x, y in ((first, second), (second, first)))


def faults(files):
    """Sentences on the names that two of the files export."""
    owners = collections.defaultdict(list)
    for name, path in sorted(files.items()):
        for symbol in definitions(path.resolve()):
            owners[symbol].append(name)
    shared = collections.defaultdict(list)
    for symbol, names in owners.items():
        for i, first in enumerate(names):
            for second in names[i + 1:]:
                if not is_known(first, second):
                    shared[first, second].append(symbol)
    return [f"{first} and {second} define {len(symbols)} symbols both: {', '.join(sorted(symbols)[:5])}"
            for (first, second), symbols in sorted(shared.items())]


def libraries_of(program, plugins):
    libraries = needed(program)
    for file in list(opened(program, plugins, libraries)):
        libraries.update(needed(file))
        libraries[file.name] = file
    return {program.name: program, **libraries}


def main():
    folder, plugins = map(pathlib.Path, sys.argv[1:])
    programs = [file for file in sorted(folder.iterdir()) if file.is_file()]
    bad = []
    for program in programs:
        bad += [f"{program.name}: {fault}" for fault in faults(libraries_of(program, plugins))]
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"{len(programs)} programs, {len(bad)} faults")
    return 1 if bad or not programs else 0


if __name__ == "__main__":
    sys.exit(main())

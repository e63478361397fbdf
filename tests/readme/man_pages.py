#!/usr/bin/env python3
"""Compares the manual with the programs: man_pages.py BIN_FOLDER SOURCE_FOLDER.

Every program has a page, mythos(1) names it, every long option of its --help is in its page and every option
that its page describes exists. All pages, of formats too, are free of groff warnings."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Every program has these; mythos(1) describes them once.
COMMON = {"--help", "--version", "--quiet", "--verbose"}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def help_text(command):
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} --help ended with status {done.returncode}: {done.stderr}")
    return done.stdout


def help_options(command):
    """Long options that --help describes, those of subcommands included: {"--name", …}."""
    text = help_text(command)
    # A described option begins its line; examples and explanations do not count.
    options = {name for line in re.findall(r"^ +(-[^ ].*)$", text, re.MULTILINE)
               for name in OPTION.findall(re.split(r"  +", line)[0])}
    subcommands = re.search(r"^(?:Subcommands|SUBCOMMANDS):\n((?: .*\n|\n)*)", text, re.MULTILINE)
    for name in re.findall(r"^ {1,4}([a-z][a-z-]*)", subcommands.group(1), re.MULTILINE) if subcommands else []:
        options |= help_options([*command, name])
    return options


def plain(roff):
    return re.sub(r"\\f(?:\[\w*\]|.)", "", roff).replace(r"\-", "-").replace(r"\&", "")


def described_options(roff):
    """Options in the tags of a page's lists: the line after .TP or .TQ."""
    tags = re.findall(r"^\.T[PQ].*\n(.*)$", roff, re.MULTILINE)
    return {name for tag in tags for name in OPTION.findall(plain(tag))}


def check_program(program, man):
    page = man / f"{program.name}.1"
    if not page.exists():
        return [f"{program.name} has no page man/{page.name}"]
    roff = page.read_text()
    faults = []
    if program.name != "mythos" and program.name not in plain((man / "mythos.1").read_text()):
        faults.append(f"man/mythos.1 does not name {program.name}")
    options = help_options([str(program)])
    common = set() if program.name == "mythos" else COMMON
    faults += [f"man/{page.name} lacks {name}" for name in sorted(options - common - set(OPTION.findall(plain(roff))))]
    faults += [f"man/{page.name} describes {name}, which {program.name} --help does not"
               for name in sorted(described_options(roff) - options - COMMON)]
    return faults


def check_warnings(page):
    done = subprocess.run(["groff", "-ww", "-mandoc", "-Tutf8", "-z", "-K", "utf8", str(page)],
                          capture_output=True, text=True)
    return [f"man/{page.name}: {line}" for line in done.stderr.splitlines()]


def main(bin_folder, source):
    man = source / "man"
    programs = sorted(p for p in bin_folder.iterdir()
                      if p.is_file() and os.access(p, os.X_OK) and re.fullmatch(r"mythos(-[a-z-]+)?", p.name))
    faults = [] if programs else [f"no programs in {bin_folder}"]
    for program in programs:
        faults += check_program(program, man)
    if shutil.which("groff"):
        for page in sorted(man.glob("*.[15]")):
            faults += check_warnings(page)
    else:
        print("groff is not installed: the pages' markup was not checked")
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))

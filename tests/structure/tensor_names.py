#!/usr/bin/env python3
"""Tensors are named in lib/arch alone: tensor_names.py SOURCE_FOLDER...

A part declares its tensors in visit() (lib/arch/declaration.h) and all else goes through it, so that a tensor is added
in one place. A name in another source begins a second list, which the next tensor will be missing from."""
import re
import sys

import folder_check

# Sources whose trade is names: the declarations, and the layouts of other programs' checkpoints.
NAMING = ("arch/", "checkpoint/openmythos.cc", "checkpoint/hf_names.cc")
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
PREFIX = r"(?:attn|ffn|experts|shared|prelude|core|coda|recurrent|injection|lora|halt)\."
NAME = re.compile(rf"^\.?(?:{PREFIX}|\d+\.)*(?:{PREFIX}\w*|[\w.]*\.weight|router_bias)$")


def faults(folders):
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".cc", ".h", ".cu")):
            if str(path.relative_to(folder)).startswith(NAMING):
                continue
            for number, line in enumerate(path.read_text().split("\n"), 1):
                for string in STRING.findall(line.split("//")[0]):
                    if NAME.match(string):
                        yield f'{path}:{number}: "{string}" names a tensor; visit() its part instead (lib/arch)'


if __name__ == "__main__":
    sys.exit(folder_check.main(faults))

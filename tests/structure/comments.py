#!/usr/bin/env python3
"""Comments name their subject: comments.py FOLDER...

A comment is quoted alone, in an editor's hint or a review, so it must not begin with words that stand for something
else: "Of", "The same", "One that", "Ditto", "As above"."""
import re
import sys

import folder_check

OPENING = re.compile(r"Of\b|(?:The same|Same)(?=[.;:,]| (?:as|of|from|for|in|over|with|without|by|to|but)\b)|"
                     r"(?:One|Ones) that\b|Those (?:of|that)\b|That of\b|Ditto\b|As above\b|Likewise\b")
COMMENT = re.compile(r"\s*// ?(.*)")


def faults(folders):
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".cc", ".h", ".cu")]
    for path in sorted(paths):
        goes_on = False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            comment = COMMENT.match(line)
            opening = comment and not goes_on and OPENING.match(comment.group(1))
            if opening:
                yield f"{path}:{number}: a comment that begins with '{opening.group()}'; name its subject"
            goes_on = comment is not None


if __name__ == "__main__":
    sys.exit(folder_check.main(faults))

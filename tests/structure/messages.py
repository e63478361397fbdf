#!/usr/bin/env python3
"""Messages are written line by line: messages.py SOURCE_FOLDER...

A line end within the message of fail() or log_...() would be shown as \\n, because names from outside could bring
one as well. The second line is fail()'s third argument."""
import re
import sys

import folder_check

CALL = re.compile(r"\b(?:fail|log_(?:debug|info|warning|error))\(")
# A piece of the code: a raw string, a string, a character, a comment, or any one character.
PIECE = re.compile(r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|//[^\n]*|.', re.DOTALL)
LINE_END = re.compile(r'(?<!\\)(?:\\\\)*\\n')


def call_text(text, begin):
    """The arguments of the call whose parenthesis opens before `begin`."""
    depth, at = 1, begin
    while depth > 0 and at < len(text):
        piece = PIECE.match(text, at).group()
        depth += {"(": 1, ")": -1}.get(piece, 0)
        at += len(piece)
    return text[begin:at]


def faults(folders):
    for path in sorted(path for folder in folders for path in folder.rglob("*.cc")):
        text = path.read_text()
        for call in CALL.finditer(text):
            strings = re.findall(r'"(?:\\.|[^"\\])*"', call_text(text, call.end()))
            if any(LINE_END.search(string) for string in strings):
                line = text.count("\n", 0, call.start()) + 1
                yield f"{path}:{line}: a message with a line end; give the second line as fail()'s third argument"


if __name__ == "__main__":
    sys.exit(folder_check.main(faults))

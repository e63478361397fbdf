#!/usr/bin/env python3
"""Writes unicode_ranges.inc: the character classes that split patterns name, as runs of code points.

    python3 -m venv venv && venv/bin/pip install unicodedata2==16.0.0
    venv/bin/python lib/text/unicode/unicode_ranges.py > lib/text/unicode/unicode_ranges.inc

General categories come from the Unicode Character Database as PyPI's unicodedata2 carries it; what
is new since the oldest database that PCRE2 may bring (14.0, PCRE2 10.40) from the one in Python
3.11. White_Space is not in either: the list below is that of PropList.txt, unchanged since 6.3.
"""
import bisect
import sys
import unicodedata as old
import unicodedata2 as new

from cpp_tables import print_array

NEW, OLD = "16.0.0", "14.0.0"
SPACES = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
          0x202F, 0x205F, 0x3000}
CODE_POINTS = range(0x110000)


def character_class(code):
    category = new.category(chr(code))
    if code in SPACES:
        return "Space"
    if category in ("Lu", "Ll", "Lt", "Lm", "Lo", "Cn"):
        return category
    return {"M": "M", "N": "N"}.get(category[0], "Other")


def kind(code):
    utf8_bytes = 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
    return new.category(chr(code)), utf8_bytes


def class_runs():
    previous = None
    for code in CODE_POINTS:
        current = character_class(code)
        if current != previous:
            yield f"{{0x{code:X},{current}}},"
        previous = current


def stand_ins():
    """Runs of code points with another category in OLD, each with a code point that has the category
    and the length of UTF-8 in both: the nearest before it (mostly of the same script), else the
    first."""
    settled, runs = {}, []
    # U+180E was a space once, and PCRE2's "\s" still takes it for one.
    changed = {code for code in CODE_POINTS if code == 0x180E or
               new.category(chr(code)) not in ("Cn", old.category(chr(code)))}
    for code in CODE_POINTS:
        if code not in changed:
            settled.setdefault(kind(code), []).append(code)
    for code in sorted(changed):
        choice = settled[kind(code)]
        stand_in = choice[max(bisect.bisect(choice, code) - 1, 0)]
        if runs and runs[-1][1:] == [code - 1, stand_in]:
            runs[-1][1] = code
        else:
            runs.append([code, code, stand_in])
    return [f"{{0x{first:X},0x{last:X},0x{stand_in:X}}}," for first, last, stand_in in runs]


def main():
    for database, version in ((new, NEW), (old, OLD)):
        if database.unidata_version != version:
            sys.exit(f"{database.__name__} is of Unicode {database.unidata_version}, need {version}")
    print(f"// Made by unicode_ranges.py from Unicode {NEW}. Do not edit.")
    print_array("constexpr ClassRun kClassRuns[]", class_runs())
    print_array("constexpr StandIn kStandIns[]", stand_ins())


main()

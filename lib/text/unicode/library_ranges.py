#!/usr/bin/env python3
"""Writes library_ranges.inc: what Hugging Face's tokenizers makes of single characters.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 unicodedata2==17.0.0
    venv/bin/python lib/text/unicode/library_ranges.py > lib/text/unicode/library_ranges.inc

The library's parts go by several versions of Unicode, 8.0 to 17.0, so each is asked about every code
point. unicodedata2 only tells which characters a newer Unicode normalises.
"""
import unicodedata2 as unicode
from tokenizers import normalizers, pre_tokenizers

from cpp_tables import print_array

CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def runs_of(codes):
    runs = []
    for code in sorted(codes):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return [f"{{0x{first:X},0x{last:X}}}," for first, last in runs]


def marks():
    strip = normalizers.StripAccents().normalize_str
    return {code for code in CODE_POINTS if strip("a" + chr(code)) == "a"}


def taken_off(**steps):
    """By parts of BertNormalizer. A text that is only marks is left with nothing."""
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    bert = normalizers.BertNormalizer(**{**off, **steps}).normalize_str
    return {code for code in CODE_POINTS if bert("a" + chr(code)) == "a"}


def own_pieces(step):
    return {code for code in CODE_POINTS if len(step.pre_tokenize_str("a" + chr(code))) == 2}


def words():
    step = pre_tokenizers.Whitespace()
    return {code for code in CODE_POINTS
            if [piece for piece, _ in step.pre_tokenize_str("a" + chr(code))] == ["a" + chr(code)]}


def unknown_to_forms():
    """Characters that Unicode normalises and the library leaves alone, and what those are made of."""
    form = normalizers.NFKD().normalize_str
    unknown = set()
    for code in CODE_POINTS:
        # The others' order shows combining classes: U+0334 has class 1, U+0345 class 240.
        texts = (chr(code), f"a{chr(code)}\u0334", f"a\u0345{chr(code)}")
        if any(form(text) != unicode.normalize("NFKD", text) for text in texts):
            unknown.add(code)
    known = set(CODE_POINTS) - unknown
    parts = {ord(part) for code in unknown for part in unicode.normalize("NFD", chr(code))}
    # U+0307 is the only part that other characters have too.
    return unknown | {code for code in parts & known if code != 0x307}


def lower_runs():
    """{first, last, step, distance} of letters with another lower case; U+0130 has two letters there."""
    lower = normalizers.Lowercase().normalize_str
    runs = []
    for code in CODE_POINTS:
        small = lower(chr(code))
        if small == chr(code) or code == 0x130:
            continue
        distance = ord(small) - code
        run = runs[-1] if runs else None
        if run and run[3] == distance and code - run[1] <= 2 and run[2] in (0, code - run[1]):
            run[2] = code - run[1]
            run[1] = code
        else:
            runs.append([code, code, 0, distance])
    return [f"{{0x{first:X},0x{last:X},{max(step, 1)},{distance}}}," for first, last, step, distance in runs]


def main():
    print("// Made by library_ranges.py from tokenizers 0.23.3. Do not edit.")
    print_array("constexpr CodeRange kMarks[]", runs_of(marks()))
    print_array("constexpr CodeRange kNonspacing[]", runs_of(taken_off(strip_accents=True)))
    print_array("constexpr CodeRange kControls[]", runs_of(taken_off(clean_text=True)))
    print_array("constexpr CodeRange kPunctuation[]", runs_of(own_pieces(pre_tokenizers.Punctuation())))
    print_array("constexpr CodeRange kNumbers[]", runs_of(own_pieces(pre_tokenizers.Digits())))
    print_array("constexpr CodeRange kWords[]", runs_of(words()))
    print_array("constexpr CodeRange kUnknownToForms[]", runs_of(unknown_to_forms()))
    print_array("constexpr LowerRun kLowerRuns[]", lower_runs())


main()

#!/usr/bin/env python3
"""Sums up ctest's JUnit files: skipped tests with their reasons, failed tests, then one line of counts."""
import re
import sys
import xml.etree.ElementTree as ElementTree


def skip_reason(output):
    """The reason that a test printed: CLI cases say "skipped: …", GoogleTest prints it before [  SKIPPED ]."""
    said = re.search(r"^skipped: (.*)$", output, re.MULTILINE)
    if said:
        return said.group(1)
    said = re.search(r"Skipped\n(.*?)\n+\[  SKIPPED \]", output, re.DOTALL)
    return " ".join(said.group(1).split()) if said else "no reason given"


def main(files):
    passed, failed, skipped = 0, [], []
    for file in files:
        try:
            cases = ElementTree.parse(file).getroot().findall("testcase")
        except (OSError, ElementTree.ParseError) as error:
            failed.append(f"{file}: no test results ({error})")
            continue
        for case in cases:
            name = f"{case.get('name')} ({file.split('/')[0]})"
            output = case.findtext("system-out") or ""
            why_not = case.find("skipped")
            # ctest writes <skipped> for a test that said so, and for one that it could not start.
            if case.get("status") == "run":
                passed += 1
            elif why_not is not None and why_not.get("message").startswith("SKIP_"):
                skipped.append(f"{name}: {skip_reason(output)}")
            else:
                failed.append(name if why_not is None else f"{name}: {why_not.get('message')}")
    for title, lines in (("Skipped", skipped), ("Failed", failed)):
        if lines:
            print(f"{title}:", *(f"  {line}" for line in lines), sep="\n")
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

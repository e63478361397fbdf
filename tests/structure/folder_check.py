"""What the checks of source folders share."""
import pathlib
import sys


def main(faults):
    """Prints faults(folders) of the folders on the command line, and their number; the exit status."""
    found = list(faults([pathlib.Path(name) for name in sys.argv[1:]]))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} faults")
    return 1 if found else 0

"""Prints tables of C++ for the programs beside it that write .inc files."""


def print_array(declaration, entries):
    print(declaration + " = {")
    line = "   "
    for entry in entries:
        if len(line) + 1 + len(entry) > 120:
            print(line)
            line = "   "
        line += " " + entry
    print(line)
    print("};")

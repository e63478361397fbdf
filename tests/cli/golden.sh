# The compatible model computes what the public reference computes.
# needs: torch
run golden_check "$SOURCE/tests/golden/openmythos"
run golden_check nowhere

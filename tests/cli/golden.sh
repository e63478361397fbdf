# The compatible model computes what the public reference computes.
# needs: torch
golden=$SOURCE/tests/golden/openmythos
run golden_check "$golden" > out
tail -n 1 out
# A number of the reference's that is changed is found.
mkdir changed
cp "$golden"/mla_small.* changed
flip_byte changed/mla_small.safetensors -1
run golden_check changed > out
tail -n 2 out
run golden_check nowhere

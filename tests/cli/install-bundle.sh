# A tree that is installed with its libraries takes nothing but glibc from the machine.
# needs: torch
# fixture: text
for component in programs torch system; do
  cmake --install "$BUILD" --component $component --prefix "$PWD/tree" > install.log 2>&1 || cat install.log
done
mv tree moved
programs() { find moved/libexec moved/bin moved/lib/mythos/libmythos_*.so -type f; }
# What the loader finds outside of the tree, glibc aside.
programs | while read -r file; do LD_LIBRARY_PATH= ldd "$file" 2>&1 | sed "s|^|$file: |"; done > needs
grep 'not found' needs
grep -o '=> /[^ ]*' needs | grep -v "=> $PWD/moved/" | sort -u |
  grep -v -E '/(lib(c|m|mvec|dl|rt|pthread|resolv|util|anl)\.so|ld-linux)'
ls moved/lib/mythos | grep -o -E '^lib(torch_cpu|c10|arrow|gomp|stdc\+\+)\.so' | sort -u
env -i "$PWD/moved/bin/mythos" plan --preset openmythos-1b --json | json 'd["parameters"]'
env -i "$PWD/moved/bin/mythos" train --version | grep LibTorch
env -i "$PWD/moved/bin/mythos" tokenize --quiet --tokenizer "$FIXTURES/text/tok.model" --ids "$SOURCE/tests/cli/small.parquet" | wc -l

# An installed tree works from where it lies, wherever it is moved.
# fixture: text
cmake --install "$BUILD" --prefix "$PWD/prefix" > install.log || { cat install.log; exit 1; }
mv prefix moved
PATH=/usr/bin:/bin
moved/bin/mythos --version | head -n 1
moved/bin/mythos presets list | head -n 2
moved/bin/mythos plan --preset openmythos-1b --json | json 'd["parameters"]'
moved/bin/mythos presets list --json | json 'd["presets"][0]["path"].split("/work/")[-1]'
find moved/bin moved/share/man -type f | LC_ALL=C sort | grep -v -E 'mythos-' | sed 's/moved/PREFIX/'
ls moved/share/bash-completion/completions moved/share/zsh/site-functions
# So is what reads Parquet.
[ ! -e "$BUILD/lib/libmythos_parquet.so" ] ||
  moved/bin/mythos tokenize --quiet --tokenizer "$FIXTURES/text/tok.model" --ids "$SOURCE/tests/cli/small.parquet" > ids 2> errors ||
  cat errors
# The LibTorch half finds its library from the new place too.
[ ! -x "$BUILD/bin/mythos-train" ] || moved/bin/mythos train --version > train-version || echo "train does not start"

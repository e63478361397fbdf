# Shards of another tokenizer are refused, showing both fingerprints.
# needs: torch
# fixture: run
mythos vocab --quiet --vocab-size 320 --output other.model "$FIXTURES/text/text.txt"
mythos tokenize --quiet --tokenizer other.model --output other --separator '\n\n' --val-fraction 0.1 "$FIXTURES/text/text.txt"
run mythos eval --checkpoint "$FIXTURES/run/run" --data other
cp -r "$FIXTURES/run/run" run
run mythos train --resume --data other --out run
run mythos stability-check run --data other

# What train refuses.
# needs: torch
# fixture: run
data=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
run mythos train --config "$small" --data missing --out run
run mythos train --config "$small" --data "$data" --out run --set modle.dim=8
run mythos train --config "$small" --data "$data" --out run --set lr=100
run mythos train --config "$small" --data "$data" --out run --set vocab_size=100
run mythos train --config "$small" --data "$data" --out run --set max_seq_len=1000000 --set seq_len=1000000
run mythos train --data "$data" --out run
run mythos train --resume --data "$data" --out nothing
cp -r "$FIXTURES/run/run" done
run mythos train --config "$small" --data "$data" --out done
run mythos train --config "$small" --data "$data" --out run --device cuda:99
cp -r "$data" broken
flip_byte "$(ls broken/train* | head -n 1)" 100
run mythos train --config "$small" --data broken --out run --quiet
ls

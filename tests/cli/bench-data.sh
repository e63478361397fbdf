# Drawing batches is measured for each packing and order.
# fixture: text
data=$FIXTURES/text/data
run mythos bench data --seq-len 32 --batch-size 4 --tokens 1000 --repeat 2 "$data" | sed -E 's/[0-9.]+ (us|ms|s)/TIME/g; s/  +/  /g'
mythos bench data --seq-len 32 --batch-size 4 --tokens 1000 --repeat 3 --split val --json "$data:3" "$data:1" |
  json 'd["schema"], d["subject"]' 'd["facts"]["directories"], d["facts"]["tokens_per_sample"]' \
    '[len(m["seconds"]) for m in d["measurements"]]' 'd["measurements"][2]["amounts"]'

run mythos bench data
run mythos bench data missing
run mythos bench data "$data:3" "$data"
run mythos bench data --seq-len 0 "$data"
run mythos bench data --seq-len 1000000 "$data"

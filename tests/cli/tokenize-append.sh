# Documents are added to a directory: old files stay, the counts add up, and what does not fit is refused.
# fixture: text
tok=$FIXTURES/text/tok.model
seq 1 300 | sed 's/$/ stones/' > a.txt
seq 301 500 | sed 's/$/ kettles/' > b.txt
tokenize() { mythos tokenize --separator '\n' --val-fraction 0.2 "$@"; }
counts() { mythos shards info --json "$1" | json '[(s["name"], s["documents"]) for s in d["sources"]]' '{k: s["documents"] for k, s in d["splits"].items()}'; }
tokenize --tokenizer "$tok" --output data -q a.txt
tokenize --tokenizer "$tok" --output both -q a.txt b.txt
cp -r data old
tokenize --tokenizer data/tokenizer.model --output data --append --json b.txt | json 'd["added"]["documents"]' 'd["documents"]' 'd["resumed"]'
counts data
counts both
mythos shards verify data
ls data
same data/train-00000.shard old/train-00000.shard
for split in train val; do
  mythos shards cat both --split $split --ids > both.ids
  mythos shards cat data --split $split --ids > data.ids
  same both.ids data.ids
done
tokenize --tokenizer "$tok" --output data --append -q a.txt
counts data
echo "-- refused"
cp -r data before
run tokenize --tokenizer "$tok" --output nowhere --append a.txt
run tokenize --tokenizer "$tok" --output data a.txt
run tokenize --tokenizer "$tok" --output data --append --bos a.txt
run tokenize --tokenizer "$tok" --output data --append /dev/null
run mythos vocab -q --vocab-size 300 --output other.model "$FIXTURES/text/text.txt"
run tokenize --tokenizer other.model --output data --append a.txt
diff -r data before && echo "nothing was changed"
ls -A

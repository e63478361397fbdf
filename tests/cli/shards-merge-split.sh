# Parts are merged to what they were cut from, byte for byte; another share for validation is what tokenize gives.
# fixture: text
tok=$FIXTURES/text/tok.model data=$FIXTURES/text/data
mythos shards split "$data" part --parts 3
mythos shards merge all part-00000 part-00001 part-00002
diff -r -x manifest.json "$data" all && echo "all is the same as the data"
for name in "$data" all; do mythos shards info --json $name | json 'd["splits"]' > $(basename $name).splits; done
same data.splits all.splits
mythos shards merge -q twice "$data" "$data"
mythos shards info --json twice | json '[(s["name"], s["documents"]) for s in d["sources"]]'
mythos shards split "$data" again --val-fraction 0.1
diff -r "$data" again && echo "the same share gives the same"
mythos shards info again | tail -n 2
mythos shards split -q "$data" other --val-fraction 0.3
mythos tokenize -q --tokenizer "$tok" --output fresh --separator '\n\n' --val-fraction 0.3 "$FIXTURES/text/text.txt"
for name in other fresh; do mythos shards cat $name --ids --split val | sort > $name.ids; done
same other.ids fresh.ids
run mythos shards merge all "$data" part-00000
mythos shards merge all "$data" part-00000 --force -q
mythos shards verify all
(ulimit -n 64; mythos shards split -q "$data" many --parts 100; mythos shards merge -q joined many-*)
diff -r -x manifest.json "$data" joined && echo "many parts need few open files"
rm -r many-* joined
echo "-- errors"
mythos vocab -q --vocab-size 300 --output other.model "$FIXTURES/text/text.txt"
mythos tokenize -q --tokenizer other.model --output strange --val-fraction 0 "$FIXTURES/text/text.txt"
run mythos shards merge x "$data" strange
mythos tokenize -q --tokenizer "$tok" --output no-eos --no-eos --val-fraction 0 "$FIXTURES/text/text.txt"
run mythos shards merge x "$data" no-eos
run mythos shards merge x "$data" nowhere
run mythos shards split no-eos x --parts 2
run mythos shards split "$data" x
run mythos shards split "$data" x --parts 1
run mythos shards split "$data" x --parts 2 --val-fraction 0.1
run mythos shards split "$data" part --parts 4
ls -A

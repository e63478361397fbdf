# --json prints one object with its schema, and nothing else on standard output.
# fixture: text
text=$FIXTURES/text/text.txt tok=$FIXTURES/text/tok.model
mythos vocab --quiet --json --vocab-size 384 --output a.model "$text" | json 'd["schema"]' 'sorted(d)'
mythos tokenize --quiet --json --tokenizer "$tok" --output data --separator '\n\n' "$text" | json 'd["schema"]' 'sorted(d)'
mythos shards verify --json data | json 'd["schema"]' 'd["ok"]' 'd["faults"]'
flip_byte data/train-00000.shard 100
run mythos shards verify --json data > verify.json
json 'd["ok"]' 'len(d["faults"])' < <(head -n -1 verify.json); tail -n 1 verify.json

# Documents are parted into training and validation; together they are the text, whatever the input's form.
# fixture: text
tok=$FIXTURES/text/tok.model text=$FIXTURES/text/text.txt
mythos tokenize --quiet --tokenizer "$tok" --output plain --separator '\n\n' --val-fraction 0.1 "$text"
zstd -q "$text" -o text.txt.zst
mythos tokenize --quiet --tokenizer "$tok" --output zst --separator '\n\n' --val-fraction 0.1 text.txt.zst
mythos tokenize --quiet --tokenizer "$tok" --output piped --separator '\n\n' --val-fraction 0.1 - < "$text"
"$PYTHON" -c '
import json, sys
text = open(sys.argv[1]).read()
for document in text.split("\n\n")[:-1] if text.endswith("\n\n") else text.split("\n\n"):
    print(json.dumps({"text": document}))' "$text" > text.jsonl
mythos tokenize --quiet --tokenizer "$tok" --output lines --val-fraction 0.1 text.jsonl
for other in zst piped lines; do
  diff -r -q -x manifest.json plain $other && echo "plain and $other are the same"
done
for name in plain zst piped lines; do
  mythos shards info --json $name | json '[(s["name"], s["documents"]) for s in d["sources"]]'
  mythos shards info --json $name | json 'd["splits"]' > $name.splits
done
for other in zst piped lines; do same plain.splits $other.splits; done

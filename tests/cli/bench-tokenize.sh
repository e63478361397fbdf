# Encoding is measured: each tokenizer's ids and time, in every format.
# fixture: text
text=$FIXTURES/text/text.txt
mythos vocab --quiet --vocab-size 320 --output small.model "$text"
run mythos bench tokenize --tokenizer "$FIXTURES/text/tok.model" --separator '\n\n' --repeat 2 "$text" |
  sed -E 's/[0-9.]+ (us|ms|s)/TIME/g; s/  +/  /g'
mythos bench tokenize --tokenizer small.model --tokenizer "$FIXTURES/text/tok.model" --repeat 3 --threads 2 \
  --separator '\n\n' --json "$text" > out.json
json 'd["schema"], d["subject"]' '[m["name"] for m in d["measurements"]]' \
  '[len(m["seconds"]) for m in d["measurements"]]' 'd["facts"]["threads"], d["facts"]["documents"]' \
  'd["measurements"][4]["amounts"]["tokens"] == d["facts"]["tokens"]' < out.json
# The checksum is of the ids that tokenize prints, also with several threads.
mythos tokenize --tokenizer small.model --separator '\n\n' --ids "$text" > ids.txt
"$PYTHON" - <<'END2'
tokens = sum(len(line.split()) for line in open("ids.txt"))
print("tokens", tokens)
END2
json 'f"tokens {d['"'facts'"']['"'tokens'"']}"' < out.json
one=$(mythos bench tokenize --tokenizer small.model --repeat 1 --warmup 0 --separator '\n\n' --json "$text" | json 'd["facts"]["ids_checksum"]')
[ "$one" = "$(json 'd["facts"]["ids_checksum"]' < out.json)" ] && echo "the same ids with two threads"
mythos bench tokenize --tokenizer small.model --repeat 1 --output-format csv "$text" | cut -d, -f1 | uniq -c | sed 's/^ *//'
mythos bench tokenize --tokenizer small.model --repeat 1 --output-format jsonl "$text" | head -n 1 | json 'd["schema"], d["name"]'
mythos bench tokenize --tokenizer small.model --repeat 1 --output-format markdown "$text" | tail -n 1 | cut -c1-9
mythos bench tokenize --tokenizer small.model --repeat 1 --max-bytes 100 --separator '\n' --json "$text" | json '90 < d["facts"]["bytes"] < 300'

run mythos bench
run mythos bench tokenise
run mythos bench tokenize "$text"
run mythos bench tokenize --tokenizer small.model --json --output-format csv "$text"
run mythos bench tokenize --tokenizer missing.model "$text"
: > empty.txt
run mythos bench tokenize --tokenizer small.model empty.txt

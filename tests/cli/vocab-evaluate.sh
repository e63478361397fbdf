# Tokenizers are compared on a text: tokens, words, scripts, round trip.
# fixture: text
text=$FIXTURES/text/text.txt
mythos vocab --quiet --vocab-size 320 --type unigram --output small.model "$text"
printf 'Größe 42, 日本\xff\n' > mixed.txt
run mythos vocab --evaluate --tokenizer "$FIXTURES/text/tok.model" --tokenizer small.model "$text" mixed.txt
printf '{"text": "one two"}\n{"text": 3}\n{"text": "three\\u00e9"}\n' > rows.jsonl
run mythos vocab --evaluate --tokenizer small.model --json rows.jsonl |
  json 'd["schema"]' 'd["documents"], d["words"], d["bytes"]' 'd["scripts"]' 'd["tokenizers"][0]["round_trip"]'

run mythos vocab --evaluate "$text"
run mythos vocab --evaluate --tokenizer small.model --vocab-size 300 "$text"
run mythos vocab --tokenizer small.model "$text"
run mythos vocab "$text"
: > empty.txt
run mythos vocab --evaluate --tokenizer small.model empty.txt
run mythos vocab --evaluate --tokenizer rows.jsonl "$text"

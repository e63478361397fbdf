# --ids writes one document a line; --decode gives the bytes back, whatever they are.
# fixture: text
tok=$FIXTURES/text/tok.model
round_trip() {
  mythos tokenize --tokenizer "$tok" --ids "$@" > ids && mythos tokenize --tokenizer "$tok" --decode ids > back
}
printf 'The crow counts seven stones.\n\n  Two  spaces, a tab\t, no end' > plain.txt
round_trip plain.txt; same plain.txt back; wc -l < ids
printf 'broken \377\376 \300\200 utf-8 \342\202 and nul \000 byte' > invalid.bin
round_trip invalid.bin; same invalid.bin back
printf '日本語 🙂 naïve' > unicode.txt
round_trip unicode.txt; same unicode.txt back
head -c 20000 "$FIXTURES/text/tok.model" > binary
round_trip binary; same binary back
cat plain.txt | mythos tokenize --tokenizer "$tok" --ids - | mythos tokenize --tokenizer "$tok" --decode - | cmp - plain.txt && echo "pipe round trip"
printf '{"text": "one"}\n{"text": "two\\nlines"}\n' > d.jsonl
mythos tokenize --tokenizer "$tok" --ids d.jsonl | wc -l
mythos tokenize --tokenizer "$tok" --ids --format jsonl - < d.jsonl | wc -l
printf 'a<s>b</s>' > special.txt
round_trip special.txt; same special.txt back
mythos tokenize --tokenizer "$tok" --ids --parse-special special.txt
round_trip --parse-special special.txt 2>&1; same special.txt back
: > empty
round_trip empty; same empty back

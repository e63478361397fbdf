# A separator that does not occur is said, with the file; and one that cuts nothing, as the input is rows.
# fixture: text
tok=$FIXTURES/text/tok.model
printf 'one\n%%\ntwo\n' > a.txt
printf 'one\ntwo\n' > b.txt
cp b.txt c.txt
: > empty.txt
mythos tokenize --tokenizer "$tok" --ids --separator '\n%\n' a.txt
mythos tokenize --tokenizer "$tok" --ids --separator '\n%\n' b.txt
run mythos tokenize -q --tokenizer "$tok" --output data --separator '\n%\n' a.txt b.txt c.txt empty.txt
mythos tokenize --tokenizer "$tok" --ids b.txt | mythos tokenize --tokenizer "$tok" --decode
echo '{"text": "one"}' > d.jsonl
printf 'text\none\n' > e.csv
mythos tokenize --tokenizer "$tok" --ids --separator '%' d.jsonl e.csv
mythos tokenize --tokenizer "$tok" --ids --separator '%' --format jsonl - < d.jsonl
mythos tokenize --tokenizer "$tok" --ids --separator '%' d.jsonl empty.txt

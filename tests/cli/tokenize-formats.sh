# What a file is taken for, by content and name, and what is refused.
# fixture: text
tok=$FIXTURES/text/tok.model
ids() { mythos tokenize --tokenizer "$tok" --ids "$@"; }
texts() { ids "$@" | mythos tokenize --tokenizer "$tok" --decode -; }
mkdir -p corpus/sub
printf '{"text": "rows\\n"}\n{"text": "of JSON\\n"}\n' > corpus/c4.json
gzip -k corpus/c4.json
printf '[{"text": "an\\n"},\n {"text": "array\\n"}]\n' > corpus/sub/array.json
printf '\xef\xbb\xbfid,text\r\n1,"a ""table"", quoted\n"\r\n2,"last\n"\r\n3\r\n' > corpus/sub/t.CSV
printf 'Markdown\n' > corpus/NOTES.MD
echo x | tee corpus/logo.png corpus/sub/a.zip > corpus/LICENSE
echo "# a directory"
texts corpus
echo "# by content"
texts - < corpus/sub/array.json
cat corpus/c4.json.gz | texts
cp corpus/c4.json rows.txt
texts rows.txt
texts --format text rows.txt
echo "# surrogates, scores"
printf '{"text": "a\\ud83d\\n", "x": 1e999}\n{"text": "b\\n", "x": NaN}\n' > odd.jsonl
texts --min-score 'x>=3' odd.jsonl
run ids --min-score 'x>=nan' odd.jsonl
mythos tokenize --tokenizer "$tok" --output data --val-fraction 0 --json --quiet odd.jsonl 2> /dev/null |
  json 'd["documents"], d["lone_surrogates"], d["bad_rows"]'
echo "# compressions"
zstd -q -c corpus/c4.json > frame
printf 'P*M\x18\4\0\0\0\50\0\0\0' | cat - frame > pzstd.jsonl.zst
texts pzstd.jsonl.zst
head -c 1000 /dev/zero | cat corpus/c4.json.gz - corpus/c4.json.gz > padded.jsonl.gz
texts padded.jsonl.gz | wc -l
echo "# said"
texts rows.txt ./rows.txt > twice
ln -s nowhere corpus/z.jsonl
run ids corpus
rm corpus/z.jsonl
echo "# refused"
printf 'PK\3\4' > a.txt
run ids a.txt
printf '\xff\xfea\0' > a.txt
run ids a.txt
printf 'version https://git-lfs.github.com/spec/v1\n' > a.jsonl.gz
run ids a.jsonl.gz
gzip -c corpus/c4.json.gz > a.json.gz
run ids a.json.gz
run ids --field body corpus/sub/t.CSV
run mythos vocab --vocab-size 300 --output v.model a.txt
run ids --format text a.txt

# tiktoken rank files and tokenizer.json: ids, special tokens, shards that carry them, and what is refused.
data=$SOURCE/tests/text/data
ids() { mythos tokenize --tokenizer "$data/$1" --ids "${@:2}" -; }
printf "It's 12345 \xff\xfe<|endoftext|>" > text
for tok in small.tiktoken:o200k_base small.tiktoken:r50k_base bytelevel.tokenizer.json; do
  echo "# $tok"
  ids $tok < text
  ids $tok --parse-special < text
  ids $tok --parse-special < text > parsed
  mythos tokenize --tokenizer "$data/$tok" --decode parsed > back; same text back
  printf 'one\n--\ntwo\n' | mythos tokenize -q --tokenizer "$data/$tok" --separator '\n--\n' --val-fraction 0 --output shards --force -
  ls shards
  mythos shards verify -q shards && mythos shards cat shards
done
echo "# refused"
cp "$data/small.tiktoken" a.tiktoken
refuse() { run mythos tokenize --tokenizer "$1" --ids text; }
refuse a.tiktoken
refuse a.tiktoken:o300k
refuse missing.tiktoken:o200k_base
{ cat a.tiktoken; echo 'YWE= 3'; } > b.tiktoken; refuse b.tiktoken:r50k_base
{ cat a.tiktoken; echo 'YW?= 1000'; } > b.tiktoken; refuse b.tiktoken:r50k_base
{ cat a.tiktoken; echo 'YWE= 99999999'; } > b.tiktoken; refuse b.tiktoken:r50k_base
head -n 200 a.tiktoken > b.tiktoken; refuse b.tiktoken:r50k_base
head -c 2000 "$data/bytelevel.tokenizer.json" > c.json; refuse c.json
sed 's/"normalizer":null/"normalizer":{"type":"ByteLevel"}/' "$data/bytelevel.tokenizer.json" > c.json; refuse c.json
sed 's/"type":"BPE"/"type":"WordPiece"/' "$data/bytelevel.tokenizer.json" > c.json; refuse c.json
refuse c.json:r50k_base
run mythos tokenize --tokenizer a.tiktoken:r50k_base --decode --parse-special text
echo 481 > high; run mythos tokenize --tokenizer a.tiktoken:r50k_base --decode high

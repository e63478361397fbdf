# Parquet through the shared object that is loaded only for it.
# fixture: text
tok=$FIXTURES/text/tok.model
[ -e "$BUILD/lib/libmythos_parquet.so" ] || skip "built without Arrow"
ids() { mythos tokenize --tokenizer "$tok" --ids "$@"; }
texts() { ids "$@" | mythos tokenize --tokenizer "$tok" --decode -; echo; }
cp "$SOURCE/tests/cli/small.parquet" .
texts small.parquet
texts --min-score 'int_score>=4' --dedup small.parquet
texts --field url --limit 1 "$PWD"
ids small.parquet 2> /dev/null > expected
cat small.parquet | ids --format parquet - > piped
same piped expected
ids --format parquet - < small.parquet > redirected
same redirected expected
ids - < small.parquet > told 2> /dev/null
same told expected
mkfifo pipe
cat small.parquet > pipe &
ids pipe > fifo 2> /dev/null
same fifo expected
echo "# refused"
run ids --field txt small.parquet
run ids --field int_score small.parquet
run ids --min-score 'url>=1' small.parquet
run ids --strict small.parquet > ids; cat ids | tail -n 1
run ids --format jsonl - < small.parquet
head -c 500 small.parquet > cut.parquet
run ids cut.parquet
flip_byte small.parquet -5
run ids small.parquet
zstd -q small.parquet
run ids small.parquet.zst
echo "# loaded only for Parquet"
echo text > a.txt
for file in a.txt "$SOURCE/tests/cli/small.parquet"; do
  LD_DEBUG=files LD_DEBUG_OUTPUT="$PWD/loaded" mythos-tokenize --quiet --tokenizer "$tok" --ids "$file" > ids 2> /dev/null
  cat loaded.* | grep -q libarrow && echo "loads Arrow" || echo "does not load Arrow"
done
echo "# without the shared object"
mkdir bare
cp "$BUILD/bin/mythos-tokenize" bare
run bare/mythos-tokenize --tokenizer "$tok" --ids "$SOURCE/tests/cli/small.parquet"

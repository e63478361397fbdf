# Token files of llm.c go in and out; an independent reader and writer agrees, and the way back gives the same bytes.
# fixture: text
tok=$FIXTURES/text/tok.model
files="$PYTHON $SOURCE/tests/cli/token_files.py"
# Token 2 is EOS; the last document is empty.
$files write-llmc a.bin u16 2 65 66 67 2 68 69 2
$files write-llmc b.bin u16 70 2 71
echo "-- documents begin with EOS and go on from file to file"
mythos shards import shards --format llmc --tokenizer "$tok" a.bin b.bin --val a.bin
mythos shards cat shards --ids
mythos shards verify shards
mythos shards info --json shards | json 'd["splits"]["train"]["text_bytes"]'
mythos shards export shards out --format llmc
$files llmc out/train_000000.bin
same a.bin out/val_000000.bin
echo "-- documents end with EOS, u32"
mythos shards export -q shards ends --format llmc --boundary end --dtype u32 --tokens-per-file 4
for file in ends/*; do echo "$file: $($files llmc "$file")"; done
mythos shards import -q again --format llmc --boundary end --tokenizer "$tok" ends/train* --val ends/val*
diff -r shards again && echo "shards and again are the same"
echo "-- another boundary, as in llm.c's files for Llama 3, which begin with BOS"
$files write-llmc bos.bin u32 1 65 66 1 67
mythos shards import -q bos --format llmc --boundary-token 1 --tokenizer "$tok" bos.bin
mythos shards cat bos --ids
mythos shards export -q bos out-bos --format llmc --boundary-token 1 --dtype u32
same bos.bin out-bos/train_000000.bin
echo "-- a boundary inside a document"
mythos shards export bos inside --format llmc --boundary-token 66
echo "-- errors"
truncate -s -1 bos.bin
run mythos shards import x --format llmc --tokenizer "$tok" bos.bin
$files write-llmc large.bin u16 2 5 384
run mythos shards import x --format llmc --tokenizer "$tok" large.bin
head -c 1000 large.bin > short.bin
run mythos shards import x --format llmc --tokenizer "$tok" short.bin
head -c 2000 /dev/zero > zero.bin
run mythos shards import x --format llmc --tokenizer "$tok" zero.bin
run mythos shards import x --format llmc --tokenizer "$tok" missing.bin
run mythos shards import x --format llmc --tokenizer "$tok"
run mythos shards import x --format llmc a.bin
run mythos shards import x --format llmc --tokenizer "$tok" --boundary-token 999 a.bin
run mythos shards import shards --format llmc --tokenizer "$tok" a.bin
run mythos shards export shards out --format llmc
run mythos shards export shards x --format llmc --dtype i32
ls -A | grep -v -e bin$ -e ^work

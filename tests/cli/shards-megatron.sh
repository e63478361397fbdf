# Megatron's .bin and .idx go in and out; an independent reader and writer agrees, and the way back gives the same bytes.
# fixture: text
tok=$FIXTURES/text/tok.model
files="$PYTHON $SOURCE/tests/cli/token_files.py"
echo "-- every document ends with EOS, token 2"
$files write-megatron a 8 "65 66 2" "67 2" "2"
mythos shards import shards --format megatron --tokenizer "$tok" a --val a.idx
mythos shards cat shards --ids
mythos shards verify shards
mythos shards export shards out --format megatron
$files megatron out/train
for part in bin idx; do same a.$part out/train.$part; same a.$part out/val.$part; done
echo "-- as i32"
mythos shards export -q shards wide --format megatron --dtype i32
$files megatron wide/train
mythos shards import -q again --format megatron --tokenizer "$tok" wide/train.bin --val wide/val.bin
diff -r shards again && echo "shards and again are the same"
echo "-- not every document, several sequences in one, every type of integer"
for code in 1 2 3 4 5 8; do
  $files write-megatron b$code $code "65 66|2 67" "68 2"
  mythos shards import -q from$code --format megatron --tokenizer "$tok" b$code
  mythos shards cat from$code --ids
done
mythos shards info from1 | grep EOS
echo "-- errors"
for code in 6 7; do
  $files write-megatron float $code "65 2"
  run mythos shards import x --format megatron --tokenizer "$tok" float
done
$files write-megatron negative 4 "65 2" "-1 2"
run mythos shards import x --format megatron --tokenizer "$tok" negative
$files write-megatron large 4 "65 2" "384 2"
run mythos shards import x --format megatron --tokenizer "$tok" large
truncate -s -1 a.bin
run mythos shards import x --format megatron --tokenizer "$tok" a
truncate -s +5 a.bin
run mythos shards import x --format megatron --tokenizer "$tok" a
truncate -s -1 b8.idx
run mythos shards import x --format megatron --tokenizer "$tok" b8
mv b8.idx b8.gone
run mythos shards import x --format megatron --tokenizer "$tok" b8
run mythos shards import x --format megatron --tokenizer "$tok" --boundary end b1
run mythos shards export shards x --format megatron --dtype u32
ls -A | grep -v -e bin$ -e idx$

# One plain text has a validation split, its tail, which training and eval can use; what is too short is said.
# fixture: text
tok=$FIXTURES/text/tok.model
seq 1 2000 | sed 's/$/ the miller finds a letter/' > book.txt
run mythos tokenize --tokenizer "$tok" --output data book.txt
mythos shards cat data --ids > train.ids
mythos shards cat data --split val > val.txt
mythos shards cat data > train.txt
cat train.txt val.txt | cmp - book.txt && echo "nothing is lost"
head -1 val.txt
for jobs in 1 5; do
  mythos tokenize -q --tokenizer "$tok" --jobs $jobs --output again --force book.txt
  diff -r data again && echo "the same bytes"
done
gzip -k book.txt
mythos tokenize -q --tokenizer "$tok" --output piped - < book.txt.gz
mythos shards cat piped --split val | cmp - val.txt && echo "the same split from a compressed pipe"
echo "-- none is wanted, none is possible, and it is added to"
run mythos tokenize --tokenizer "$tok" --output none --val-fraction 0 book.txt
run mythos tokenize --tokenizer "$tok" --output short - <<< "a line"
run mythos tokenize --tokenizer "$tok" --output none --append --val-fraction 0.001 - <<< "another"
echo "-- parted anew"
run mythos shards split none parted --val-fraction 0.1
mythos shards cat parted > train.txt
mythos shards cat parted --split val > val.txt
head -1 val.txt
cat train.txt val.txt | cmp - <(cat book.txt <(echo another)) && echo "nothing is lost"

# A tokenize that is killed leaves nothing that looks complete; the same command goes on with its work, another is refused.
# fixture: text
tok=$FIXTURES/text/tok.model
for i in 1 2 3 4 5 6 7 8; do sed "s/the/the $i/" "$FIXTURES/text/text.txt"; done > text.txt
options=(--tokenizer "$tok" --separator '\n\n' --jobs 2 --save-seconds 0)
tokenize() { mythos tokenize "${options[@]}" "$@"; }
tokenize --quiet --output whole - < text.txt

mkfifo pipe
mythos tokenize --quiet "${options[@]}" --output data - < pipe &
writer=$!
exec 3> pipe
head -c 400000 text.txt >&3
wait_for 30 grep -q '"read_documents":[1-9]' .data.unfinished/state.json
run tokenize --output data - < text.txt
{ kill -9 $writer; wait $writer; } 2> /dev/null; echo "killed: $?"
exec 3>&-
ls -A
run mythos shards info data

echo "-- others are refused"
run tokenize --output data --val-fraction 0.3 - < text.txt
run tokenize --output data text.txt
sed 's/miller/baker/' text.txt | run tokenize --output data -
ls -A

echo "-- the same goes on"
run tokenize --output data - < text.txt
diff -r whole data && echo "the same as without a stop"
ls -A

echo "-- damage"
cp -r data before
mkdir -p .data.unfinished
echo nonsense > .data.unfinished/state.json
run tokenize --quiet --output data --append text.txt
run tokenize --quiet --output data --append --force text.txt
run mythos shards verify data
ls -A

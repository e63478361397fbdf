# A tokenize that is killed leaves nothing that looks complete, and the next one takes its place.
# fixture: text
tok=$FIXTURES/text/tok.model
mkfifo pipe
mythos tokenize --quiet --tokenizer "$tok" --output data --separator '\n\n' - < pipe &
writer=$!
exec 3> pipe
head -n 200 "$FIXTURES/text/text.txt" >&3
wait_for 10 compgen -G '.data.*'
kill -9 $writer
{ wait $writer; } 2> /dev/null; echo "killed: $?"
exec 3>&-
[ -e data ] || echo "nothing is there"
run mythos shards info data
mythos tokenize --quiet --tokenizer "$tok" --output data --separator '\n\n' "$FIXTURES/text/text.txt"
run mythos shards verify data

# A reader that leaves early is no error, a full output device is.
# fixture: text
# More than a pipe holds.
for i in 1 2 3 4 5 6 7 8 9; do cat "$FIXTURES/text/text.txt"; done > text.txt
mythos tokenize --quiet --tokenizer "$FIXTURES/text/tok.model" --output data --val-fraction 0 text.txt
mythos shards cat data | head -n 1
echo "statuses ${PIPESTATUS[*]}"
full() {
  local status=0
  "$@" > /dev/full || status=$?
  echo "exit status $status"
}
full mythos shards cat "$FIXTURES/text/data"
full mythos plan --preset nano
full mythos presets list --json

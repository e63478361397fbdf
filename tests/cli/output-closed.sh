# A reader that leaves early is no error, a full output device is.
# fixture: text
mythos shards cat "$FIXTURES/text/data" | head -n 1
echo "statuses ${PIPESTATUS[*]}"
full() {
  local status=0
  "$@" > /dev/full || status=$?
  echo "exit status $status"
}
full mythos shards cat "$FIXTURES/text/data"
full mythos plan --preset nano
full mythos presets list --json

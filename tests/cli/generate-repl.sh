# A conversation on a terminal: lines can be edited and called back, have any length, and are kept.
# needs: torch
# fixture: run
export XDG_STATE_HOME="$PWD/state"
"$PYTHON" "$SOURCE/tests/cli/conversation.py" "$FIXTURES/run/run"
stat -c %a state/mythos/history
cut -c 1-40 state/mythos/history
wc -c < state/mythos/history

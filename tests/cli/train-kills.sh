# kill -9 again and again, most of the times in a save: the newest checkpoint is whole each time, and the run goes on from it.
# needs: torch
# fixture: text
# More kills, by hand: the same command with another number.
"$PYTHON" "$SOURCE/tests/cli/kill_saves.py" 12 "$SOURCE/tests/cli/fixtures/small.toml" "$FIXTURES/text/data" 1 |
  sed 's/, [0-9]* of/, N of/'

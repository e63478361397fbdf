# The quick start goes through every step, and a second run goes on from what is there.
# needs: torch
# fixture: text
quickstart() { "$SOURCE/examples/quickstart.sh" --build "$BUILD" --out q --vocab-size 384 --task-steps 4 "$@"; }
run quickstart --steps 4 "$FIXTURES/text/text.txt" > log 2> err
grep '^== ' log
sed -n '/^== Summary/,$p' log | grep -E '^ +(4 loops|unigram|untrained|operations|12 |q/)|^exit' |
  awk '{ print $1 }'
run quickstart --steps 6 "$FIXTURES/text/text.txt" > log 2> err
grep 'there already' log
grep -E '^(resuming|q/run|q/task|exit)' err log
run quickstart "$SOURCE/LICENSE"
run quickstart --step 4
run quickstart missing.txt

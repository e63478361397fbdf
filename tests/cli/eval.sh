# Bits per byte over loop counts, beside the unigram distribution and the untrained model.
# needs: torch
# fixture: run
run mythos eval --checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,2,3,6 --baseline --untrained
mythos eval --checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,3 --baseline --untrained --json --quiet > out.json
json 'd["schema"]' 'sorted(d)' < out.json
run mythos eval --checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,x
run mythos eval --checkpoint "$FIXTURES/run/run" --data missing

# The recurrence is proved and measured; an unstable one ends with status 1.
# needs: torch
# fixture: run
run mythos stability-check "$FIXTURES/run/run" --data "$FIXTURES/text/data" --max-tokens 256
mythos stability-check "$FIXTURES/run/run" --json --quiet > out.json
json 'd["schema"]' 'sorted(d)' < out.json
run mythos stability-check --preset mythos-1t --quiet > large.out; tail -n 3 large.out
run mythos stability-check "$FIXTURES/run/run" --max-rho 0.001 > out; tail -n 3 out
run mythos stability-check

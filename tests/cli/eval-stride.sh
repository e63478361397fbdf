# Windows that overlap beside plain ones: the same tokens, from more context.
# needs: torch
# fixture: run
eval() { run mythos eval --checkpoint "$FIXTURES/run/run" --data "$FIXTURES/text/data" --loops 1,3 "$@"; }
eval --stride 8
eval --stride 8 --quiet --json | json 'd["stride"]' 'sorted(d["loops"][0]["sliding"])' \
  'all(abs(a["nats"] - a["sliding"]["nats"]) > 0.01 for a in d["loops"])'
# The window's own length is no overlap.
eval --stride 32 --quiet --json | json 'all(a["nats"] == a["sliding"]["nats"] for a in d["loops"])'
eval --stride 8 --max-tokens 60 --quiet --json | json 'd["tokens"]' '"%.5f" % d["loops"][1]["sliding"]["loss"]' > plain
eval --stride 8 --max-tokens 60 --decode --quiet --json | json 'd["tokens"]' '"%.5f" % d["loops"][1]["sliding"]["loss"]' > decoded
same plain decoded
eval --stride 33
eval --stride 0

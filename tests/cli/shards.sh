# A shard directory is described, verified and printed.
# fixture: text
data=$FIXTURES/text/data
mythos shards info "$data"
mythos shards info --json "$data" | json 'd["schema"]' 'sorted(d)'
run mythos shards verify "$data"
mythos shards cat "$data" | head -c 200

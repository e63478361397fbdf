# The first documents are shown with a line before each.
# fixture: text
data=$FIXTURES/text/data
mythos shards head "$data" -n 2
mythos shards head "$data" -n 1 --split val --ids
mythos shards head "$data" | grep -c '^=='
mythos shards head "$data" --documents 9999 --split val | grep -c '^=='
mythos shards head "$data" -n 0
run mythos shards head "$data" --split test

# A flipped byte, a missing and a truncated file are found, with file and offset.
# fixture: text
damaged() {
  rm -rf data
  cp -r "$FIXTURES/text/data" data
  file=$(ls data/train* | head -n 1)
}
damaged; flip_byte "$file" 100
run mythos shards verify data
run mythos shards cat data > cat.out; tail -n 1 cat.out
damaged; flip_byte "$file" -1
run mythos shards verify data
damaged; rm "$file"
run mythos shards verify data
run mythos shards info data
damaged; truncate -s -10 "$file"
run mythos shards verify data
run mythos shards info data
damaged; truncate -s 0 "$file"
run mythos shards verify data
damaged; rm data/manifest.json
run mythos shards info data
damaged; echo '{"tokens": ' > data/manifest.json
run mythos shards info data
run mythos shards info nowhere

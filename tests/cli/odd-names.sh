# Names and words from outside cannot command the terminal or look like a message of their own.
# fixture: text
text=$FIXTURES/text/text.txt
odd=$(printf 'red\033[31m\a\302\233\342\200\256\nmythos-tokenize: error: forged')
tok=$FIXTURES/text/tok.model
cp "$text" "$odd.txt"; cp "$tok" "$odd.model"
printf '{"text": "%s \\u001b[31m"}\n{"\\u001b[31mred": 1}\n' one > "$odd.jsonl"

echo "# absent files"
run mythos tokenize --tokenizer "$tok" --ids "absent$odd"
run mythos tokenize --tokenizer "absent$odd" --ids "$text"
run mythos shards info "absent$odd"
run mythos plan --config "absent$odd"
echo "# words of the command line"
run mythos "verb$odd"
run mythos shards "sub$odd" x
run mythos tokenize "--option$odd"
run mythos plan --preset "$odd"
run mythos plan --preset nano --set "model.$odd=1"
run mythos plan --preset nano --set "ffn=$odd"
run mythos tokenize --tokenizer "$tok" --ids --min-score "$odd" "$text"
run mythos tokenize --tokenizer "$tok" --ids --format "$odd" "$text"
echo "# what files hold"
printf '[model]\n"\033[31mx" = 1\n' > bad.toml
run mythos plan --config bad.toml
printf '[model]\ndim = "\\u001b[31mx\\n"\n' > bad.toml
run mythos plan --config bad.toml
run mythos tokenize --tokenizer "$tok" --ids --strict "$odd.jsonl" > /dev/null
run mythos tokenize --tokenizer "$tok" --ids --format jsonl --strict --field text bad.toml
printf '{"model": {"type": "\\u001b[31m"}}' > bad.json
run mythos tokenize --tokenizer bad.json --ids "$text"
echo "# tables and JSON"
run mythos tokenize -q --tokenizer "$odd.model" --output "$odd" "$text"
run mythos shards info "$odd"
run mythos shards info --json "$odd" | json 'd["directory"] == '"'''$odd'''"
run mythos shards info --json "$odd" | grep -c "$(printf '[\033\a]\|\302\233\|\342\200\256')"
run mythos vocab --evaluate --tokenizer "$tok" --tokenizer "$odd.model" "$text" | grep red
run mythos bench tokenize --repeat 1 --warmup 0 --tokenizer "$odd.model" "$text" | grep -c red
raw=$(printf 'raw\377')
run mythos tokenize -q --tokenizer "$tok" --output "$raw" --json "$text" | json 'd["directory"]'
run mythos shards verify --json "$raw" | json 'd["directory"], d["ok"]'

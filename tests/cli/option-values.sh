# Odd values of options end with a sentence and a documented status: numbers, texts and paths.
# fixture: text
mkdir inputs && cp -r "$FIXTURES"/text/{text.txt,tok.model,data} "$SOURCE/tests/cli/fixtures/small.toml" inputs
mythos tokenize --tokenizer inputs/tok.model --ids inputs/text.txt > inputs/ids.txt
mythos shards export -q inputs/data exported --format llmc && mv exported/train_000000.bin inputs/tokens.bin
mkdir inputs/report-run && echo '{"step":1,"loss":2}' > inputs/report-run/metrics.jsonl
run "$PYTHON" "$SOURCE/tests/cli/option_values.py" --bin "$BUILD/bin" --inputs inputs --share 4

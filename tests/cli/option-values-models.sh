# Odd values of options of the programs with models end with a sentence and a documented status.
# needs: torch
# runs: alone
# fixture: run
mkdir inputs && cp -r "$FIXTURES/text/data" "$FIXTURES/run/run" "$SOURCE/tests/cli/fixtures/small.toml" inputs
mythos export --checkpoint inputs/run --output inputs/exported >/dev/null
echo '{"prompt": "the"}' > inputs/prompts.jsonl
run "$PYTHON" "$SOURCE/tests/cli/option_values.py" --bin "$BUILD/bin" --inputs inputs --models --share 1

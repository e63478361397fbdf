# Many prompts in one run: the same texts as one by one, in the order of the lines, at any batch size.
# needs: torch
# fixture: run
generate() { run mythos generate --checkpoint "$FIXTURES/run/run" --max-tokens 8 "$@"; }
texts() { "$PYTHON" -c '
import json, sys
for line in sys.stdin:
    d = json.loads(line)
    print(d["line"], d["id"], d["loops"], d["ids"], d["stop_reason"])'; }
cat > prompts <<'END'
{"prompt": "The miller", "id": "first", "temperature": 0}
{"prompt": "A long prompt that is computed in pieces", "loops": 5, "temperature": 0}

{"prompt": "The sea", "id": {"n": 3}, "max_tokens": 3, "loops": "auto"}
{"prompt": "The sea", "seed": 7}
{"prompt": "The sea"}
END
generate --jsonl prompts --quiet | texts > a
wc -l < a
cut -d ' ' -f 1-3 a | head -n 2
generate --jsonl --batch-size 1 --quiet < prompts | texts > b
same a b
generate --jsonl - --batch-size 2 --unordered --quiet < prompts | texts | sort > c
sort a > d
same c d
generate --jsonl prompts --batch-size 2 > out 2> log
sed -E 's/in [0-9.]+s .*tok.s\)/in TIME/' log >&2
json 'sorted(d)' < <(head -n 1 out)
# One by one: greedy at two depths, and with a seed.
ids() { json 'd["ids"]'; }
generate --prompt "The miller" --temperature 0 --json --quiet | ids > alone
generate --prompt "A long prompt that is computed in pieces" --loops 5 --temperature 0 --json --quiet | ids >> alone
generate --prompt "The sea" --seed 7 --json --quiet | ids >> alone
sed -n '1p;2p;4p' out | while read -r line; do printf '%s\n' "$line" | ids; done > together
same alone together

# A pipe gets its answers before it ends: the second prompt is written once the first answer is there.
mkfifo in
generate --jsonl in --quiet > answers &
exec 4> in
echo '{"prompt": "one"}' >&4
wait_for 60 grep -q '"prompt":"one"' answers
echo '{"prompt": "two"}' >&4
exec 4>&-
wait
wc -l < answers

# What came before a bad line is printed.
{ head -n 2 prompts; echo '{"prompt": "x", "max_token": 3}'; echo '{"prompt": "y"}'; } > bad
generate --jsonl bad | sed 's/^{.*/a result/'
{ echo '{"prompt": "x"}'; echo '{"prompt": '; } | generate --jsonl | sed 's/^{.*/a result/'
"$PYTHON" -c 'import json; print(json.dumps({"prompt": "The miller mends a copper kettle by the river. " * 50}))' > long
generate --jsonl long
generate --jsonl nowhere
generate --jsonl prompts --num-samples 2
generate --jsonl prompts --prompt x
generate --jsonl prompts --draft-loops 1
generate --unordered --prompt x

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
ids_of() { json 'd["ids"]'; }
generate --prompt "The miller" --temperature 0 --json --quiet | ids_of > alone
generate --prompt "A long prompt that is computed in pieces" --loops 5 --temperature 0 --json --quiet | ids_of >> alone
generate --prompt "The sea" --seed 7 --json --quiet | ids_of >> alone
sed -n '1p;2p;4p' out | while read -r line; do printf '%s\n' "$line" | ids_of; done > together
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

# A line that is of no use gets an error in its place, and costs no other line its text.
"$PYTHON" > bad -c '
import json
print("""{"prompt": "x", "id": 1}
{"prompt": "y"
[1]
{"id": 4}
{"prompt": "x", "max_token": 3}
{"prompt": "x", "temperature": 1e999}
{"prompt": "x", "loops": 0}""")
print(json.dumps({"prompt": "The miller mends a copper kettle by the river. " * 50, "id": "long"}))
print("""{"prompt": "x", "id": """ + "[" * 100000 + "]" * 100000 + "}")
print("""{"prompt": \"""" + "x" * (65 << 20) + """\"}""")
print("""{"prompt": "z", "id": 11}""")'
outcomes() { "$PYTHON" -c '
import json, sys
for line in sys.stdin:
    d = json.loads(line)
    print(d["line"], d["id"], d["error"]["message"] if "error" in d else len(d["ids"]))'; }
generate --jsonl bad --quiet > results
outcomes < <(head -n 11 results) | tee together
tail -n 1 results
sed -n 8p results | json 'sorted(d)' 'd["error"]["advice"]'
generate --jsonl bad --quiet --batch-size 1 2> /dev/null | head -n 11 | outcomes > one-by-one
same together one-by-one
generate --jsonl bad --quiet --unordered 2> /dev/null | head -n 11 | outcomes | sort > sorted
sort together > together.sorted
same sorted together.sorted
# The last gets what it gets without such lines before it.
tail -n 1 bad > good
ids() { "$PYTHON" -c '
import json, sys
print(*[d["ids"] for d in map(json.loads, sys.stdin) if "ids" in d])'; }
generate --jsonl good --temperature 0 --quiet | ids > alone
generate --jsonl bad --temperature 0 --quiet 2> /dev/null | sed -n 11p | ids > beside
same alone beside
generate --jsonl nowhere
generate --jsonl prompts --num-samples 2
generate --jsonl prompts --prompt x
generate --jsonl prompts --draft-loops 1
generate --unordered --prompt x

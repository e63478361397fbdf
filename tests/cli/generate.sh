# Text from a prompt, a file or a pipe; temperature 0 and a seed give the same text each time.
# needs: torch
# fixture: run
generate() { run mythos generate --checkpoint "$FIXTURES/run/run" --quiet --max-tokens 8 "$@"; }
generate --prompt "The miller" --temperature 0 > a
generate --prompt "The miller" --temperature 0 > b
same a b
echo "The miller" > prompt
generate --prompt-file prompt --temperature 0 > c
same a c
generate - --temperature 0 < prompt > d
same a d
generate --prompt "The miller" --seed 7 > e
generate --prompt "The miller" --seed 7 > f
same e f
generate --prompt "The miller" --loops 6 --temperature 0 > /dev/null
generate --prompt "The miller" --json | json 'd["schema"]' 'sorted(d)'
generate --prompt-file prompt --num-samples 2 --json | wc -l

"$PYTHON" -c 'print("The miller mends a copper kettle by the river. " * 50)' > long
generate --prompt-file long
: > empty
generate --prompt-file empty
generate - < empty
generate --prompt x --temperature -1
generate --prompt x --loops 0
printf 'bad \377\376 bytes' > invalid
generate --prompt-file invalid --echo --temperature 0 | head -c 12 | cmp - invalid && echo "invalid UTF-8 is kept"

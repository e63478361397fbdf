# Tasks of a known depth: the same bytes for a seed, rows and a tokenizer that fit each other, and mistakes.
for task in p-hop addition modular pointer parity i-gsm; do
  mythos synth $task --count 2 --seed 3
done
mythos synth pointer --to-end --difficulty 3 --symbols 8 --count 1
mythos synth pointer --queries 3 --count 1
mythos synth p-hop --queries 3 --count 1
mythos synth addition --operands 3 --reversed --count 1
mythos synth p-hop --count 50 --out a.jsonl
mythos synth p-hop --count 60 | head -n 50 > b.jsonl
same a.jsonl b.jsonl
mythos synth tokenizer --out tok.json
mythos synth i-gsm --count 20 > words.jsonl
mythos tokenize --tokenizer tok.json --ids words.jsonl --format text | mythos tokenize --tokenizer tok.json --decode > back.jsonl
cmp words.jsonl back.jsonl && echo "every character has a token"
run mythos synth
run mythos synth p-hopp
run mythos synth p-hop --difficulty 4..1
run mythos synth p-hop --difficulty one
run mythos synth p-hop --difficulty 31
run mythos synth p-hop --difficulty 29 --symbols 40
run mythos synth p-hop --queries 5
run mythos synth pointer --queries 2 --to-end
run mythos synth parity --out missing/x.jsonl

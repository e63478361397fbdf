# A damaged input does not cost the work before it: it may be repaired, taken away or left out from the damage on.
# fixture: text
tok=$FIXTURES/text/tok.model
rows() { seq $1 $2 | awk '{ printf "{\"text\": \"%d the miller finds a letter in the mill and reads it twice\"}\n", $1 }'; }
rows 1 5000 > a.jsonl
rows 5001 10000 > b.jsonl
rows 10001 30000 | zstd -q > whole.zst
tokenize() { mythos tokenize --tokenizer "$tok" --val-fraction 0.1 --save-seconds 0 "$@"; }
stop() {
  head -c $(($(stat -c %s whole.zst) * 2 / 3)) whole.zst > c.jsonl.zst
  run tokenize --output data --jobs 2 a.jsonl b.jsonl c.jsonl.zst
  ls -A -d .data.unfinished
}
echo "-- repaired"
stop
cp whole.zst c.jsonl.zst
run tokenize --output data a.jsonl b.jsonl c.jsonl.zst
tokenize -q --output fresh a.jsonl b.jsonl c.jsonl.zst
diff -r data fresh && echo "the same bytes"
rm -r data fresh
echo "-- taken away, and another one behind"
stop
rows 1 50 > d.jsonl
run tokenize --output data a.jsonl b.jsonl d.jsonl
tokenize -q --output fresh a.jsonl b.jsonl d.jsonl
diff -r data fresh && echo "the same bytes"
rm -r data fresh
echo "-- left out from the damage on"
stop
: > empty.zst
cut='[d["resumed"]["documents"] > 9999, d["documents"] > 10000, len(d["damaged_inputs"]), d["damaged_inputs"][0]["name"]]'
run tokenize --output data --skip-damaged --json a.jsonl b.jsonl c.jsonl.zst empty.zst d.jsonl | json "$cut"
for jobs in 1 4; do
  tokenize -q --output fresh --force --jobs $jobs --skip-damaged a.jsonl b.jsonl c.jsonl.zst empty.zst d.jsonl 2> /dev/null
  diff -r data fresh && echo "the same bytes"
done
mythos shards cat data --split train --ids | wc -l | tr -d ' '
run mythos tokenize --tokenizer "$tok" --ids --skip-damaged c.jsonl.zst empty.zst d.jsonl 2> ids.err | tail -1
cat ids.err
run mythos tokenize --tokenizer "$tok" --output x --skip-damaged --strict a.jsonl
for i in $(seq 30); do cp c.jsonl.zst c$i.jsonl.zst; done
run mythos tokenize -q --tokenizer "$tok" --output many --skip-damaged c*.zst 2> many.err
wc -l < many.err | tr -d ' '
tail -2 many.err

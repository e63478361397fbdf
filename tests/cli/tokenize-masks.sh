# Which targets count: prompts with completions, conversations, a field of ranges; shards keep it through every verb.
"$PYTHON" - "$SOURCE/tests/text/data/bytelevel.tokenizer.json" << 'END'
import json, sys
d = json.load(open(sys.argv[1]))
names = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
d["model"]["vocab"].pop("<|endoftext|>", None)
d["added_tokens"] = [dict(d["added_tokens"][0], id=480 + i, content=name) for i, name in enumerate(names)]
json.dump(d, open("tok.json", "w"))
END
make() { run mythos tokenize -q --tokenizer tok.json --eos-token '<|endoftext|>' --val-fraction 0 --output "$@"; }
show() { mythos shards cat "$1" --ids; mythos shards cat "$1" --mask; }
echo "# completions: the completion and the end behind it count"
cat > tasks.jsonl << 'END'
{"prompt": "1+1=", "completion": "2"}
{"prompt": "the dog", "completion": " and the cat"}
END
make tasks --rows completion tasks.jsonl
ls tasks
show tasks
mythos shards info tasks | tail -4
mythos shards info tasks --json | json 'd["splits"]["train"]["counted"]' 'd["splits"]["train"]["files"][0]["mask"]["name"]'
mythos shards verify tasks
grep schema tasks/manifest.json
echo "# messages: the assistant's turns count; names of special tokens in a text are text"
cat > chat.jsonl << 'END'
{"messages": [{"role": "user", "content": "hi<|im_end|>"}, {"role": "assistant", "content": "ho"}]}
END
make chat --rows messages --chat-template chatml chat.jsonl
show chat
mythos shards cat chat
echo
echo "# a field: ranges of bytes"
echo '{"text": "what is it? a dog", "counts": [[11, 17]]}' > ranges.jsonl
make ranges --mask-field counts ranges.jsonl
show ranges
echo "# what is without masks stays of version 1"
echo '{"text": "the cat"}' > plain.jsonl
make plain plain.jsonl
grep schema plain/manifest.json
mythos shards cat plain --mask
echo "# more documents, joined and parted"
make tasks --append --rows completion tasks.jsonl
make plain --append --rows completion tasks.jsonl
run mythos shards merge -q all plain tasks chat
show all
run mythos shards split -q all part --parts 2
mythos shards cat part-00000 --mask
run mythos shards verify part-00001
run mythos shards export all out --format llmc
echo "# damage"
cp -r tasks damaged
printf 'x' | dd of=damaged/train-00000.mask bs=1 seek=40 conv=notrunc status=none
run mythos shards verify damaged
run mythos shards cat damaged --mask
rm damaged/train-00000.mask
run mythos shards info damaged
echo "# masks that do not fit"
echo '{"text": "abc", "counts": [[0, 1], [2, 5]]}' > long.jsonl
make bad --mask-field counts ranges.jsonl long.jsonl
echo '{"text": "abc", "counts": [[2, 1]]}' > order.jsonl
make bad --mask-field counts order.jsonl
echo '{"text": "abc", "counts": "110"}' > form.jsonl
make bad --strict --mask-field counts form.jsonl
echo '{"prompt": "abc"}' > half.jsonl
make bad --strict --rows completion half.jsonl
make bad --rows messages chat.jsonl
make bad --rows messages --chat-template llama3 chat.jsonl
make bad --chat-template chatml chat.jsonl
make bad --rows completion --field body tasks.jsonl
make bad --rows completion --mask-field counts tasks.jsonl
echo text > text.txt
make bad --rows completion text.txt
echo "# nothing counts"
echo '{"text": "abc", "counts": []}' > none.jsonl
make none --mask-field counts none.jsonl

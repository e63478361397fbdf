# Answers in a chat format: of a model that has seen one conversation, with one prompt, many, and on a terminal's lines.
# needs: torch
"$PYTHON" - "$SOURCE/tests/text/data/published_golden.json" <<'END'
import json, sys
json.dump(json.load(open(sys.argv[1]))["tokenizers"]["smollm2"], open("tok.json", "w"))
with open("chat.jsonl", "w") as file:
    for question, answer in (("hi", "ho there"), ("and you", "well, thanks")) * 40:
        print(json.dumps({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question},
                                       {"role": "assistant", "content": answer}]}), file=file)
END
mythos tokenize -q --tokenizer tok.json --output data --rows messages --chat-template chatml chat.jsonl
mythos train -q --config "$SOURCE/tests/cli/fixtures/small.toml" --data data --out run --set model.vocab_size=408 \
  --set train.steps=200 --set train.val_every=0 --set train.save_every=200 --set train.lr=0.01
chat() { run mythos generate --checkpoint run -q --temperature 0 --chat "$@"; }
chat --system "Be kind." --prompt hi
chat --system "Be kind." --prompt "and you" --thinking --echo --max-tokens 1 | head -n 6
echo "# many, with the prompts as they were written; markup in a message is text"
cat > prompts <<'END'
{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "and you"}]}
{"prompt": "hi"}
{"messages": [{"role": "user", "content": "<|im_end|><|im_start|>"}], "max_tokens": 1}
{"messages": [{"role": "assistant", "content": "x"}]}
{"messages": [{"role": "user", "content": "x"}], "prompt": "x"}
END
chat --system "Be kind." --jsonl prompts > out
sed -n '1,2p' out | while read -r line; do printf '%s\n' "$line" | json 'd["text"]' 'd["stop_reason"]' 'd["prompt"]' 'd["timings"]["prompt_tokens"]'; done
sed -n '3p' out | json 'd["prompt"]' 'd["timings"]["prompt_tokens"]'
sed -n '4,5p' out | while read -r line; do printf '%s\n' "$line" | json 'd["error"]["message"]'; done
echo "# what cannot be"
run mythos generate --checkpoint run -q --prompt hi --system "Be kind."
run mythos generate --checkpoint run -q --jsonl prompts --max-tokens 1 > plain
head -n 1 plain | json 'd["error"]["message"]'
chat --prompt hi --chat-template llama3
chat --prompt hi --chat-template chatm
echo '{"before_role": "<|im_start|>", "behind_role": "\n", "end": "<|im_end|>", "trim": true}' > format.json
chat --prompt hi --chat-template format.json
echo "{{ '[INST]' + m.content + '[/INST]' }}" > template.jinja
chat --prompt hi --chat-template template.jinja
echo "# a format in a file"
echo '{"before_role": "<|im_start|>", "behind_role": "\n", "end": "<|im_end|>", "behind_end": "\n", "system": "Be kind."}' > format.json
chat --prompt hi --chat-template format.json

# Imported models do what published directories do: each verb once, and conversations with the same template and stop ids.
# needs: torch
# fixture: text
"$PYTHON" - "$SOURCE/tests/text/data/published_golden.json" <<'END'
import json, sys
json.dump(json.load(open(sys.argv[1]))["tokenizers"]["smollm2"], open("tok.json", "w"))
template = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
            "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
open("chat_template.jinja", "w").write(template)
json.dump({"eos_token": {"content": "<|im_end|>", "special": True}, "add_bos_token": False, "chat_template": template},
          open("tokenizer_config.json", "w"))
json.dump({"eos_token_id": [402, *range(4, 400, 4)], "temperature": 0.7}, open("generation_config.json", "w"))
END
# What a conversation says, as ids and why it ended.
chat() {
  mythos generate --quiet --checkpoint "$1" --chat --prompt "Where is the crow, and who counts the seven stones?" \
    --temperature 0 --max-tokens 24 --json | json 'd["prompt"]' 'd["ids"]' 'd["stop_reason"]'
}
for family in ouro huginn; do
  echo "# $family"
  "$PYTHON" "$SOURCE/tests/cli/small_published.py" $family $family 408
  cp tok.json $family/tokenizer.json
  cp generation_config.json $family
  if [ $family = ouro ]; then files=tokenizer_config.json; else files=chat_template.jinja; fi
  cp $files $family
  mythos tokenize --quiet --tokenizer $family --output $family-data --val-fraction 0.1 "$FIXTURES/text/text.txt"
  run mythos import --quiet --format hf --weights $family --output runs/$family
  run mythos eval --quiet --checkpoint runs/$family --data $family-data --loops 1,3 --max-tokens 256 --json > out.json
  json '[x["loops"] for x in d["loops"]]' < out.json
  run mythos stability-check --quiet runs/$family > check.txt
  tail -n 1 check.txt
  run mythos export --quiet --checkpoint runs/$family --format hf --dtype bf16 --output again/$family
  run mythos train --quiet --init-from runs/$family --data $family-data --out tuned/$family --set train.steps=2 \
    --set train.seq_len=32 --set train.batch_size=2 --set train.val_every=0 --set train.warmup_steps=1
  chat $family > of-directory
  for other in runs again tuned; do chat $other/$family > of-$other; done
  head -n 3 of-directory
  tail -n 1 of-directory
  same of-directory of-runs
  same of-directory of-again
  tail -n 1 of-tuned
  for file in generation_config.json $files; do same $family/$file again/$family/$file; done
  mythos checkpoint verify runs/$family
done
# A tokenizer's EOS that was chosen at the import stands in the file that goes out.
run mythos import --quiet --format hf --weights ouro --tokenizer ouro --eos-token "<|endoftext|>" --output runs/other
run mythos export --quiet --checkpoint runs/other --format hf --dtype bf16 --output again/other
json 'd["eos_token"]' '"chat_template" in d' < again/other/tokenizer_config.json

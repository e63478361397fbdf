# Text of added tokens that are not special comes back from every verb that decodes, long names too.
"$PYTHON" - "$SOURCE/tests/text/data/bytelevel.tokenizer.json" > added.json <<'END'
import json, sys
tokenizer = json.load(open(sys.argv[1]))
for i, name in enumerate(["<an ordinary added token with a long name>", "<b>", "ordinary_token_of_words"]):
    tokenizer["added_tokens"].append({"id": 481 + i, "content": name, "special": False, "normalized": False})
json.dump(tokenizer, sys.stdout)
END
printf 'a<an ordinary added token with a long name>b<b>c ordinary_token_of_words' > added.txt
run mythos tokenize --tokenizer added.json --ids added.txt | tee ids
run mythos tokenize --tokenizer added.json --decode ids > back; same added.txt back
run mythos tokenize -q --tokenizer added.json --val-fraction 0 --output shards added.txt
run mythos shards cat shards > back; same added.txt back
run mythos shards head shards
run mythos vocab --evaluate --tokenizer added.json --json added.txt |
  json 'd["bytes"]' 'd["tokenizers"][0]["round_trip"]' 'd["tokenizers"][0]["tokens"]'

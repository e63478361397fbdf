# BOS and EOS that a file does not tell: by option, by the files beside a tokenizer.json, and carried by shards.
data=$SOURCE/tests/text/data
end='<｜end▁of▁sentence｜>'
printf 'one\n--\ntwo\n' > text
"$PYTHON" - "$data/bytelevel.tokenizer.json" "$end" << 'END'
import json, sys
d = json.load(open(sys.argv[1]))
d["added_tokens"] = [dict(d["added_tokens"][0], id=480 + i, content=name) for i, name in enumerate(["<｜begin▁of▁sentence｜>", sys.argv[2]])]
d["model"]["vocab"].pop("<|endoftext|>", None)
json.dump(d, open("tokenizer.json", "w"))
END
make() { run mythos tokenize -q --output "$1" --separator '\n--\n' --val-fraction 0 "${@:2}" text; }
echo "# by option"
make none --tokenizer tokenizer.json
make named --tokenizer tokenizer.json --bos --bos-token 480 --eos-token "$end"
ls named
mythos shards cat named --ids
mythos shards verify named
make unknown --tokenizer tokenizer.json --eos-token '<｜end▁of▁sentence>'
make letter --tokenizer tokenizer.json --eos-token a
make number --tokenizer tokenizer.json --eos-token 1000
echo "# by a folder with the model's other files"
mkdir model
cp tokenizer.json model
echo '{"eos_token_id": [481, 480]}' > model/generation_config.json
make folder --tokenizer model
ls folder
echo "{\"bos_token\": null, \"eos_token\": {\"content\": \"$end\"}}" > model/tokenizer_config.json
make file --tokenizer model/tokenizer.json
diff -r folder file && echo "folder and file are the same"
echo '{"eos_token": "</s>"}' > model/tokenizer_config.json
make warned --tokenizer model
echo "# what shards carry tells everything; another EOS is another tokenizer"
mythos tokenize --tokenizer named --ids text | mythos tokenize --tokenizer named --decode > back
same text back
make other --tokenizer tokenizer.json --eos-token 480
run mythos shards merge -q merged folder other
make folder --append --tokenizer tokenizer.json --eos-token 480
make folder --append --tokenizer folder && mythos shards info folder | grep tokenizer
echo "# a rank file that is none of the published ones"
make assumed --tokenizer "$data/small.tiktoken:cl100k_base"
make chosen --tokenizer "$data/small.tiktoken:cl100k_base" --eos-token 485
mythos shards cat chosen --ids
mythos shards info chosen | grep tokenizer
echo "# token files"
"$PYTHON" "$SOURCE/tests/cli/token_files.py" write-llmc a.bin u16 481 65 66 481 67
mythos shards import -q imported --format llmc --tokenizer tokenizer.json --eos-token 481 a.bin
mythos shards cat imported --ids
ls imported

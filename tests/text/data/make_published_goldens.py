"""Makes published_golden.json, which published_golden_test.cc compares with: make_published_goldens.py TEXT

Needs the PyPI packages tokenizers and jinja2 (made with 0.23.3 and 3.1.6). TEXT is any English text of some hundred
kilobytes to train on; the tests do not depend on which. The tokenizers are small ones whose normalizers, split patterns,
pre-tokenizers and decoders are those of published looped models and of the models that those are compared with. The chat
templates are written anew, of the forms that such models have; they are rendered as transformers does.
"""
import json
import pathlib
import random
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P, trainers

HERE = pathlib.Path(__file__).parent
VARIED = ["naïve café straße Привет мир 你好世界 こんにちは 😀😃 한국어 e\u0301 12345 67,890.12 \t\t  \r\n"] * 40
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
PARCAE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
          r"|\s+(?!\S)|\s+")
# github.com/seal-rg/recurrent-pretraining, scripts/tokenizer_generation.py: "aeolian".
HUGINN = (r"(\\n(?:e(?:wcommand|wenvironment|wline|wpage|wtheorem)|abla|e|eq|geq|gtr|leq|exists|ocite|oindent|olinebreak"
          r"|onumber|opagebreak|ormalsize|ot(?!(?:ag\b|\b)))\b|\n+|\\n(?!\b)|\p{N}{1,1}|(?:[ \t](?:==|!=|<=|>=|<<|>>|\*\*|//"
          r"|\+=|-=|\*=|/=|%=|&=|\|=|\^=|<<=|>>=|\*\*=|//=|:=|\+\+|--|[\p{L}]+[''ʼ](?:\p{L}+)\b|\\[a-zA-Z]+|\\{|\\}|{|}|\\\["
          r"|\\\]|\[|\]|\(|\)|_+|\||\+|-|\*|—|-|=|\*\*|^|[.,!?;()]|\$\$?|`+|\"+|\#+|\p{N}+(?:st|nd|rd|th)"
          r"|<0x[0-9A-Fa-f]{1,2}>)|[^\r\n\p{L}\p{N}]?\p{L}+|[\p{P}\p{S}])|\s+|\p{So})")
BYTES_ONLY = P.ByteLevel(add_prefix_space=False, use_regex=False)
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def special(name, **options):
    return AddedToken(name, special=True, **{"normalized": False, **options})


def byte_level(lines, pre_tokenizer, specials, normalizer=None, added=(), **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, D.ByteLevel()
    tokenizer.train_from_iterator(lines + VARIED, trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=P.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([special(name) for name in specials])
    tokenizer.add_tokens(list(added))
    return json.loads(tokenizer.to_str())


def split(pattern):
    return P.Sequence([P.Split(Regex(pattern), "isolated"), BYTES_ONLY])


def huginn(lines):
    """As bpeasy writes it: what no match covers is dropped, and the vocabulary has the special tokens too."""
    content = byte_level(lines, P.Sequence([P.Split(Regex(HUGINN), "removed", True), BYTES_ONLY]), [
        "<|begin_text|>", "<|end_text|>", "<|begin_header|>", "<|end_header|>", "<|end_turn|>", "<|pad|>"])
    content["model"].update(continuing_subword_prefix="", end_of_word_suffix="",
                            merges=[" ".join(pair) for pair in content["model"]["merges"]])
    for token in content["added_tokens"]:
        content["model"]["vocab"][token["content"]] = token["id"]
    content["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return content


def sentence_pieces(lines):
    """Nanbeige's and Llama 2's: characters, byte fallback and "▁", with ChatML's tokens."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = P.Metaspace("▁", "always")
    trained.train_from_iterator(lines + VARIED, trainers.BpeTrainer(vocab_size=330, show_progress=False, limit_alphabet=110))
    tokens = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    order = set(tokens)
    merges = [(t[:i], t[i:]) for t in tokens for i in range(1, len(t)) if t[:i] in order and t[i:] in order]
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + tokens
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=merges, unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    tokenizer.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([special(name, normalized=True) for name in ("<unk>", "<s>", "</s>")])
    tokenizer.add_special_tokens([special(name) for name in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")])
    tokenizer.add_tokens([AddedToken("<think>", normalized=True), AddedToken("</think>", normalized=True)])
    return json.loads(tokenizer.to_str())


def unigram(lines):
    """Unigram with byte fallback and Metaspace's scheme "first"."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = P.Metaspace("▁", "always")
    trained.train_from_iterator(lines + VARIED, trainers.UnigramTrainer(
        vocab_size=380, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "<s>", "</s>"]))
    vocab = json.loads(trained.to_str())["model"]["vocab"]
    vocab = [(token, round(score, 3)) for token, score in vocab] + [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    tokenizer.normalizer, tokenizer.pre_tokenizer = N.NFKC(), P.Metaspace("▁", "first")
    tokenizer.decoder = D.Sequence([D.ByteFallback(), D.Metaspace("▁", "first")])
    tokenizer.add_special_tokens([special(name) for name in ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")])
    return json.loads(tokenizer.to_str())


CHATML_TURN = "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
TEMPLATES = {
    # Ouro's and SmolLM2's form: a system message for those who give none.
    "smollm2": ("smollm2", "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
                "{{ '<|im_start|>system\\nYou are a helpful AI assistant, isn\\'t it?<|im_end|>\\n' }}{% endif %}" + CHATML_TURN +
                "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    # Qwen's form, with a branch for tools.
    "qwen": ("qwen2", """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {{- messages[0].content + '\\n\\n# Tools\\n<tools>' }}{{- '</tools><|im_end|>\\n' }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""),
    "thinking": ("qwen2", "{% for message in messages %}" + CHATML_TURN +
                 "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"),
    "sentence_pieces": ("sentence_pieces", "{% for message in messages %}" + CHATML_TURN +
                        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    "unigram": ("unigram", "{% for message in messages %}" + CHATML_TURN +
                "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    "llama3": ("llama3", "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
               "'<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
               "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"),
    # github.com/seal-rg/recurrent-pretraining, scripts/scalable_data_download.py; the role of answers that were given is the
    # name that the model's data have.
    "huginn": ("huginn", "{% for message in messages %}{% set role = 'Huginn' if message['role'] == 'assistant' else "
               "message['role'] %}{% set content = '<|begin_header|>' + role + '<|end_header|>\\n\\n' + "
               "message['content'] | trim + '<|end_turn|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
               "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|begin_header|>Huginn<|end_header|>\\n\\n' }}"
               "{% endif %}")}
BOS = {"llama3": "<|begin_of_text|>", "huginn": "<|begin_text|>"}
CONVERSATIONS = [
    [{"role": "user", "content": "Who are you?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2? "}, {"role": "assistant", "content": "It's 4.\n"},
     {"role": "user", "content": "\n  And 12345 + 你好 😀?"}],
]

TEXTS = ["", " ", "the king", " The  king's 12345 men, 3.14 and 1,000,000: don't they'LL I'VE", "def f(x):\n    return x**2 != 1\n\n\n",
         "\t\t tabs\r\n\r\nand  \n spaces   ", "naïve café e\u0301 ÅÅ ﬁne", "你好世界 こんにちは 한국어 각", "Привет мир שלום नमस्ते",
         "😀 👨‍👩‍👧 🇩🇪 ❤️ ™ ½ Ⅷ ٣٤", "$$x_1 \\neq \\nabla y$$ \\n \\not \\notag \\note {a} [b] (c) `code` \"\"q\"\"",
         " a'b l'été 1st 22nd 3rd_4th <0x0A> <= >= == // ** --", "<|im_start|>user\n<|im_end|> <|endoftext|></s><s><think>\n</think>",
         "<|begin_text|><|begin_header|>x<|end_header|><|eot_id|>", "\u200b\u200d\ufeff\u00a0\u3000\u2028\x85\x1c\x00\x7f", "▁▁ ▁a",
         "ⓐx \u1f16c\U0001f16c \U0001f130b a\u0301\\nable _x_ Ⅷn", "aaaaaaaaaaaaaaaaaaaaaaaaa      bbbbbbb"]


def render(template, messages, bos):
    def refuse(message):
        raise ValueError(message)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True, bos_token=bos)


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines(True)[:4000]
    think = [AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)]
    tokenizers = {
        "smollm2": byte_level(lines, P.Sequence([P.Digits(True), P.ByteLevel(add_prefix_space=False)]), CHATML),
        "parcae": byte_level(lines, split(PARCAE), ["<|bos|>", "<|eos|>", "<|pad|>"], byte_fallback=True),
        "llama3": byte_level(lines, split(LLAMA3), ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
        "qwen2": byte_level(lines, split(LLAMA3.replace("{1,3}", "")), CHATML, N.NFC(), think),
        "huginn": huginn(lines), "sentence_pieces": sentence_pieces(lines), "unigram": unigram(lines)}
    draw = random.Random(19)
    words = sorted({word for text in TEXTS for word in text.split(" ")} | {" ", "  ", "\n", "\t", "7", "'s", "_"})
    texts = TEXTS + ["".join(draw.choice(words) for _ in range(draw.randrange(2, 12))) for _ in range(24)]
    golden = {"texts": texts, "tokenizers": tokenizers, "encodings": {}, "templates": []}
    for name, content in tokenizers.items():
        tokenizer = Tokenizer.from_str(json.dumps(content))
        found = golden["encodings"][name] = {}
        for key, as_text in (("ids", True), ("ids_special", False)):
            tokenizer.encode_special_tokens = as_text
            found[key] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        found["decoded"] = [tokenizer.decode(ids, skip_special_tokens=False) for ids in found["ids"]]
    for name, (base, template) in TEMPLATES.items():
        tokenizer = Tokenizer.from_str(json.dumps(tokenizers[base]))
        rendered = [render(template, messages, BOS.get(base, "")) for messages in CONVERSATIONS]
        golden["templates"].append({"name": name, "tokenizer": base, "template": template, "rendered": rendered, "ids": [
            tokenizer.encode(text, add_special_tokens=False).ids for text in rendered]})
    golden["conversations"] = CONVERSATIONS
    (HERE / "published_golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


main()

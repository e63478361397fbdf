#!/usr/bin/env python3
"""Tokenizer speed beside other programs, in one run.

    tests/bench/compare_tokenizers.py [--bin build/bin] [--only tiktoken,tokenizers,sentencepiece,parquet]

Four comparisons, each in turns (A B A B ...), so that a machine whose speed drifts treats both alike:

tiktoken       o200k on an English and on a mixed-script text, one thread, as one document and by paragraphs
tokenizers     bpe-2000 (a small byte-level tokenizer.json) the same way, beside Hugging Face's library
sentencepiece  our SentencePiece beside the library that it calls, in one process, and the Python package, which
               brings a later version of the library
parquet        "mythos tokenize" of Parquet files into token shards, beside a loop of pyarrow and tiktoken that
               writes 32-bit ids, with --jobs 1 and 2

Every comparison checks that both sides give the same ids, and the script fails when they do not. "first" is the
first encoding in a process, "again" the median of the repetitions after it, which may find caches filled.
The texts: the large test data ($MYTHOS_TEST_DATA or ../shared, folder data), a text generated here, and Parquet files
made of the test data with one word in twenty replaced by an invented one. The peers (PyPI: tiktoken, tokenizers,
sentencepiece, pyarrow, numpy, xxhash) are installed into a throw-away environment; --python names one that has
them already.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ["tiktoken", "tokenizers", "sentencepiece", "pyarrow", "numpy", "xxhash"]

WORDS = {
    "English": "the of and to in a is that for it as was with be by on not he his but at are this have from or had an "
               "they which one you were all her she there would their we him been has when who will no more if out so "
               "said what up its about into than them can only other new some could time these two may then do first "
               "government understanding nevertheless river's don't we'll Through-out Internationalization",
    "Latin": "größer Straße être déjà garçon niño mañana coração não português żółć źródło příliš žluťoučký kůň "
             "smörgåsbord ångström øre hålla İstanbul çığ kötü đường người Việt tiếng háček fjörður þegar ő űr naïve",
    "Russian": "и в не на я быть он с что а по это она этот к но они мы весь который из у который человек время "
               "государство электростанция съешь ещё мягких французских булок её Москва России",
    "Greek": "και το να τον η της με που από για στο δεν είναι θα άνθρωπος κόσμος φιλοσοφία Ελλάδα ἀρχή λόγος",
    "Arabic": "في من على أن إلى التي الذي هذا كان عن مع هو كل بعد قال السلام عليكم الحُرِّيَّةُ مدينة القاهرة",
    "Hebrew": "של את על לא הוא זה עם כי היא אני מה גם שלום ירושלים בְּרֵאשִׁית ספר אנשים עולם",
    "Devanagari": "के में है की से को का और पर यह हैं नहीं एक कि भारत नमस्ते विश्वविद्यालय क्षत्रिय संस्कृति हिन्दी",
    "Thai": "ที่ และ ใน ของ เป็น การ ได้ มี ไม่ ว่า จะ ให้ ประเทศไทย กรุงเทพมหานคร ภาษา ความสุข",
    "Chinese": "的 一 是 不 了 人 我 在 有 他 这 中国 世界 时间 问题 学习 人工智能 图书馆 經濟 發展 𠮷野家 語言",
    "Japanese": "の は です ます こと する コンピューター プログラム 日本語 東京 勉強 ありがとう ございます 食べる ﾊﾝｶｸ っ",
    "Korean": "이 그 는 을 에 의 가 하다 있다 대한민국 서울 안녕하세요 컴퓨터 사람들이 감사합니다 한국어",
    "Emoji": "🙂 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ 🚀 ☃ ✅ 🏳️‍🌈 😂😂",
    "Code": "int main(void) { return 0; } for(i=0;i<n;++i) self.assertEqual(x,y) std::vector<int> => !== // TODO: "
            "#include <stdio.h> def __init__(self): $HOME/.config https://example.org/a?b=c&d=1 0x7fff {} [] \\n",
    "Numbers": "7 42 365 1024 65536 3.14159 1,000,000 2024-05-17 12:30:59 -17 6.02e23 50% ½ ٣٤ ９９",
}
UNSPACED = {"Thai", "Chinese", "Japanese"}


def mixed_text(size):
    """About `size` bytes of paragraphs, each of one kind of words, the same every time."""
    rng = random.Random(4)
    kinds, parts, length = list(WORDS), [], 0
    while length < size:
        kind = rng.choice(kinds)
        words = WORDS[kind].split()
        chosen = rng.choices(words, weights=[1 / (i + 1) for i in range(len(words))], k=rng.randint(10, 120))
        if kind == "English" and rng.random() < 0.5:
            chosen = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 11))) if rng.random() < 0.1 else word
                      for word in chosen]
        text = ""
        for word in chosen:
            ending = rng.random()
            joint = "" if kind in UNSPACED else " "
            text += word + (", " if ending < 0.06 else ".\n" if ending < 0.1 else "\n    " if ending < 0.11 and
                            kind == "Code" else "  " if ending < 0.13 else joint)
        parts.append(text.strip() + rng.choice([".", "!", "?", "...", ""]))
        length += len(parts[-1].encode()) + 2
    return "\n\n".join(parts) + "\n"


# What the environment with the peers runs: compare_tokenizers.py --peer NAME ARGUMENT...

def documents_of(path, paragraphs):
    text = pathlib.Path(path).read_bytes().decode()
    if not paragraphs:
        return [text]
    parts = text.split("\n\n")
    return parts if parts[-1] else parts[:-1]


def ids_checksum(encodings):
    import numpy
    import xxhash
    hash = xxhash.xxh3_64()
    for ids in encodings:
        hash.update(numpy.asarray(ids, dtype="<u4").tobytes())
    return hash.hexdigest()


def load_tiktoken(path):
    """o200k by the library's own definition, with the ranks of a local file."""
    import tiktoken
    from tiktoken_ext import openai_public
    lines = (line.split() for line in pathlib.Path(path).read_bytes().splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks
    return tiktoken.Encoding(**openai_public.o200k_base())


def timed_encode(encode, documents, repeat):
    """Seconds of the first call and of the others, and the ids' checksum."""
    seconds = []
    for _ in range(repeat + 1):
        begin = time.perf_counter()
        encodings = encode(documents)
        seconds.append(time.perf_counter() - begin)
    return {"first": seconds[0], "again": seconds[1:], "checksum": ids_checksum(encodings)}


def peer_tiktoken(tokenizer, path, paragraphs, repeat):
    encoding = load_tiktoken(tokenizer)
    documents = documents_of(path, paragraphs == "1")
    ways = [lambda texts: [encoding.encode_ordinary(text) for text in texts]]
    if len(documents) > 1:
        ways.append(lambda texts: encoding.encode_ordinary_batch(texts, num_threads=1))
    return min((timed_encode(way, documents, int(repeat)) for way in ways), key=lambda way: min(way["again"]))


def peer_tokenizers(tokenizer, path, paragraphs, repeat):
    import tokenizers
    encoder = tokenizers.Tokenizer.from_file(tokenizer)
    documents = documents_of(path, paragraphs == "1")
    # With parallelism off, encode_batch() was the slower of the two.
    return timed_encode(lambda texts: [encoder.encode(text, add_special_tokens=False).ids for text in texts],
                        documents, int(repeat))


def peer_sentencepiece(model, path, paragraphs, repeat):
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    documents = documents_of(path, paragraphs == "1")
    return timed_encode(lambda texts: [processor.encode(text) for text in texts], documents, int(repeat))


def peer_make_parquet(source, folder, megabytes):
    """Copies of the source's rows with one word in twenty replaced, as two files of several row groups."""
    import pyarrow
    import pyarrow.parquet
    rng = random.Random(5)
    texts = [text for file in sorted(pathlib.Path(source).glob("*.parquet"))
             for text in pyarrow.parquet.read_table(file, columns=["text"]).column(0).to_pylist()]
    invented = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(3, 12))) for _ in range(200_000)]
    total, rows = 0, []
    for part in range(2):
        limit = int(megabytes) * 500_000 * (part + 1)
        while total < limit:
            for text in texts:
                words = text.split(" ")
                for _ in range(len(words) // 20):
                    words[rng.randrange(len(words))] = invented[rng.randrange(len(invented))]
                rows.append(" ".join(words))
                total += len(rows[-1].encode())
        table = pyarrow.table({"text": rows, "id": [f"<{part}-{i}>" for i in range(len(rows))]})
        pyarrow.parquet.write_table(table, f"{folder}/part-{part}.parquet", row_group_size=10_000, compression="zstd")
        rows = []
    return {"bytes": total}


def peer_parquet(tokenizer, folder, output, threads):
    """The loop that one would write."""
    import numpy
    import pyarrow.parquet
    begin = time.perf_counter()
    encoding = load_tiktoken(tokenizer)
    with open(output, "wb") as out:
        for file in sorted(pathlib.Path(folder).glob("*.parquet")):
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(columns=["text"], batch_size=1024):
                texts = batch.column(0).to_pylist()
                for ids in encoding.encode_ordinary_batch(texts, num_threads=int(threads)):
                    out.write(numpy.array(ids, dtype=numpy.uint32).tobytes())
    return {"seconds": time.perf_counter() - begin}


def peer_checksum_lines(_path):
    """Of ids in lines on standard input."""
    import numpy
    return {"checksum": ids_checksum(numpy.fromstring(line, dtype=numpy.uint32, sep=" ") for line in sys.stdin)}


def peer_checksum_file(path):
    import numpy
    return {"checksum": ids_checksum([numpy.fromfile(path, dtype="<u4")])}


# The comparisons.

class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.data = pathlib.Path(args.data)
        self.python = args.python or self.install()
        self.mixed = folder / "mixed.txt"
        self.mixed.write_text(mixed_text(1_500_000))
        self.texts = {"English": self.data / "text/tinyshakespeare.txt", "mixed": self.mixed}

    def install(self):
        venv = self.folder / "peers"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/python", "-m", "pip", "install", "--quiet", *PEERS], check=True)
        return str(venv / "bin/python")

    def peer(self, name, *arguments, **options):
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
        command = [self.python, "-W", "ignore", __file__, "--peer", name, *map(str, arguments)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, **options)
        return json.loads(done.stdout)

    def mythos(self, *arguments):
        command = [f"{self.args.bin}/mythos", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ours(self, tokenizer, path, paragraphs):
        separator = ["--separator", "\\n\\n"] if paragraphs else []
        out = json.loads(self.mythos("bench", "tokenize", "--tokenizer", tokenizer, "--format", "text", "--json",
                                     "--repeat", self.args.repeat, *separator, path))
        seconds = {row["name"]: row["seconds"] for row in out["measurements"]}
        return {"first": seconds["encode, first time"][0], "again": seconds["encode"],
                "checksum": out["facts"]["ids_checksum"]}

    def encode(self, name, tokenizer, target):
        """One tokenizer on every text, beside the peer of that name."""
        print(f"\n{name}: {pathlib.Path(tokenizer).name}, one thread, ratio of speeds (target {target})\n"
              f"{'text':<10} {'documents':<11} {'MB/s ' + name:>16} {'MB/s mythos':>12} {'again':>7} {'first':>7}")
        for label, path in self.texts.items():
            for paragraphs in (False, True):
                rounds = []
                for _ in range(self.args.rounds):
                    peer = self.peer(name, tokenizer, path, int(paragraphs), self.args.repeat)
                    ours = self.ours(tokenizer, path, paragraphs)
                    if peer["checksum"] != ours["checksum"]:
                        sys.exit(f"{name}, {label}: the ids differ")
                    rounds.append((statistics.median(peer["again"]), statistics.median(ours["again"]),
                                   peer["first"], ours["first"]))
                megabytes = path.stat().st_size / 1e6
                median = [statistics.median(column) for column in zip(*rounds)]
                again = statistics.median(peer / ours for peer, ours, _, _ in rounds)
                first = statistics.median(peer / ours for _, _, peer, ours in rounds)
                print(f"{label:<10} {'paragraphs' if paragraphs else 'whole':<11} {megabytes / median[0]:>16.1f} "
                      f"{megabytes / median[1]:>12.1f} {again:>7.2f} {first:>7.2f}", flush=True)

    def tiktoken(self):
        self.encode("tiktoken", self.data / "tokenizers/o200k_base.tiktoken", ">= 1.5, aim 3")

    def tokenizers(self):
        self.encode("tokenizers", self.data / "tokenizers/bpe-2000.tokenizer.json", ">= 3")

    def sentencepiece(self):
        print("\nsentencepiece: time of ours / time of the library, in one process (target <= 1.10)\n"
              f"{'model':<10} {'text':<10} {'documents':<11} {'MB/s library':>16} {'MB/s mythos':>12} {'ratio':>7} "
              f"{'MB/s Python':>12}")
        for kind in ("bpe", "unigram"):
            model = self.folder / f"{kind}.model"
            self.mythos("vocab", "--type", kind, "--vocab-size", 8000, "--output", model, *self.texts.values())
            for label, path in self.texts.items():
                for paragraphs in (True, False):
                    separator = ["--separator", "\\n\\n"] if paragraphs else []
                    done = subprocess.run(
                        [f"{self.args.bin}/tests/sentencepiece_overhead", model, path, "--json", "--repeat",
                         str(self.args.repeat), *separator], capture_output=True, text=True)
                    if done.returncode != 0:
                        sys.exit(f"sentencepiece, {kind}, {label}: the ids differ\n{done.stderr}")
                    out = json.loads(done.stdout)
                    rates = [row["per_second"]["bytes"] / 1e6 for row in out["measurements"]]
                    binding = self.peer("sentencepiece", model, path, int(paragraphs), self.args.repeat)["again"]
                    print(f"{kind:<10} {label:<10} {'paragraphs' if paragraphs else 'whole':<11} {rates[0]:>16.1f} "
                          f"{rates[1]:>12.1f} {float(out['facts']['time_ratio']):>7.2f} "
                          f"{path.stat().st_size / 1e6 / statistics.median(binding):>12.1f}", flush=True)

    def tokenize_parquet(self, tokenizer, inputs, jobs):
        """Seconds and peak memory of one run into self.folder/shards."""
        command = [f"{self.args.bin}/mythos", "tokenize", "--quiet", "--tokenizer", str(tokenizer), "--output",
                   str(self.folder / "shards"), "--force", "--val-fraction", "0", "--no-eos", "--jobs", str(jobs),
                   str(inputs)]
        begin = time.perf_counter()
        _, status, usage = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
        if status != 0:
            sys.exit("mythos tokenize failed")
        return time.perf_counter() - begin, usage.ru_maxrss * 1024

    def parquet(self):
        tokenizer = self.data / "tokenizers/o200k_base.tiktoken"
        inputs, ids = self.folder / "parquet", self.folder / "ids.bin"
        inputs.mkdir()
        size = self.peer("make_parquet", self.data / "parquet", inputs, self.args.parquet_mb)["bytes"] / 1e6
        print(f"\nparquet: {size:.0f} MB of text, end to end, ratio of speeds (target >= 2 on two cores)\n"
              f"{'jobs':<6} {'MB/s loop':>12} {'MB/s mythos':>12} {'ratio':>7} {'peak MB':>9}")
        for jobs in (1, 2):
            rounds, peak = [], 0
            for round in range(self.args.rounds):
                theirs = self.peer("parquet", tokenizer, inputs, ids, jobs)["seconds"]
                ours, memory = self.tokenize_parquet(tokenizer, inputs, jobs)
                rounds.append((theirs, ours))
                peak = max(peak, memory)
                if round == 0:
                    self.same_ids(ids)
            median = [statistics.median(column) for column in zip(*rounds)]
            print(f"{jobs:<6} {size / median[0]:>12.1f} {size / median[1]:>12.1f} "
                  f"{statistics.median(theirs / ours for theirs, ours in rounds):>7.2f} {peak / 1e6:>9.0f}", flush=True)

    def same_ids(self, ids):
        command = [f"{self.args.bin}/mythos", "shards", "cat", str(self.folder / "shards"), "--ids"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as cat:
            ours = self.peer("checksum_lines", "-", stdin=cat.stdout)
        if ours != self.peer("checksum_file", ids):
            sys.exit("parquet: the ids differ")


def main():
    if sys.argv[1:2] == ["--peer"]:
        print(json.dumps(globals()["peer_" + sys.argv[2]](*sys.argv[3:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(ROOT / "build/bin"))
    parser.add_argument("--python", help="a Python that has the peers")
    parser.add_argument("--data", default=os.path.join(os.environ.get("MYTHOS_TEST_DATA", ROOT.parent / "shared"), "data"))
    parser.add_argument("--only", default="tiktoken,tokenizers,sentencepiece,parquet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions in each process and round")
    parser.add_argument("--parquet-mb", type=int, default=300, help="text in the Parquet files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(args, pathlib.Path(name))
        for comparison in args.only.split(","):
            getattr(bench, comparison)()


if __name__ == "__main__":
    main()

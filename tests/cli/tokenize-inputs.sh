# Text and JSON lines under every compression, directories, patterns, and what is left out.
# fixture: text
tok=$FIXTURES/text/tok.model
ids() { mythos tokenize --tokenizer "$tok" --ids "$@"; }
texts() { ids "$@" | mythos tokenize --tokenizer "$tok" --decode -; }
mkdir -p corpus/more corpus/.hidden empty
printf 'first\n' > corpus/a.txt
printf '{"text": "second\\n", "s": 3, "meta": {"body": "inner\\n"}}\n{"text": "third\\n", "s": 2}\n' > corpus/more/b.jsonl
"$PYTHON" - <<'END'
import gzip, lzma
rows = open("corpus/more/b.jsonl", "rb").read()
gzip.open("c.jsonl.gz", "wb").write(rows)
lzma.open("c.jsonl.xz", "wb").write(rows)
END
zstd -q -o c.jsonl.zst corpus/more/b.jsonl
printf 'hidden\n' | tee corpus/.secret.txt corpus/.hidden/x.txt > corpus/README
echo "# directory, pattern, compression"
texts corpus
texts 'corpus/*/b.json?'
ids corpus/more/b.jsonl > expected
for suffix in gz xz zst; do ids "c.jsonl.$suffix" > "$suffix"; same "$suffix" expected; done
ids --format jsonl - < c.jsonl.gz > piped
same piped expected
echo "# pointer, score, sample, duplicates, limit"
texts --field /meta/body corpus/more/b.jsonl
texts --min-score 's>=3' corpus/more/b.jsonl
seq 100 | ids --separator '\n' --sample 0.1 - | wc -l | json '2 < d < 25'
texts --dedup corpus/a.txt corpus corpus/more
texts --limit 2 corpus
mythos tokenize --tokenizer "$tok" --output data --val-fraction 0 --json --dedup --format jsonl --min-score 's>=2.5' corpus/more/b.jsonl c.jsonl.zst |
  json '[(name, d[name]) for name in ("documents", "bad_rows", "lone_surrogates", "low_scores", "unsampled", "duplicates")]'
echo "# refused"
run ids empty
run ids 'corpus/*.tex'
run ids --min-score 's>3' corpus/more/b.jsonl
run ids --min-score 's>=3' corpus
run ids --field /a~2 corpus/more/b.jsonl
run ids --sample 2 corpus
run ids --format xml corpus
head -c 40 c.jsonl.gz > cut.jsonl.gz
run ids cut.jsonl.gz
printf 'x' > f.bz2
run ids f.bz2
printf '{"text": "a"}\n{"text": \n' > bad.jsonl
run ids --strict bad.jsonl
run ids --field txt bad.jsonl

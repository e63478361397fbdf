# The example of the 3B model goes from Parquet to a trained model in its small form, on two ranks, and on after a stop.
# needs: torch
# runs: alone
mkdir parquet
PYTHONPATH="$SOURCE/.deps" "$PYTHON" - 2> why <<'PY' || skip "no pyarrow for $("$PYTHON" --version), which writes the Parquet file: $(tail -n 1 why)"
import os, pathlib, re
import pyarrow, pyarrow.parquet
# Paragraphs of the manual, most of them of a good score.
texts = []
for page in sorted(pathlib.Path(os.environ["SOURCE"], "man").iterdir()):
    for paragraph in re.split(r"\n\.(?:PP|TP|SH .*|SS .*)\n", page.read_text()):
        text = re.sub(r"^\.\S+ ?|\\f.|\\", "", paragraph, flags=re.MULTILINE).strip()
        if len(text) > 40:
            texts.append(text)
table = pyarrow.table({"text": texts, "int_score": [3 + i % 3 if i % 10 else 1 for i in range(len(texts))]})
pyarrow.parquet.write_table(table, "parquet/part-0.parquet", compression="zstd")
PY
example() { "$SOURCE/examples/fineweb-edu-3b/run.sh" --smoke parquet out > "$1" 2> "$1.err" || { echo "failed"; cat "$1.err"; }; }
example first
ls out out/run/latest/
mythos checkpoint verify out/run > verified && echo "whole"
cp out/run/metrics.jsonl first.jsonl
grep -E '^[124] ' first | awk '{ print $1, ($4 > 0 && $4 < 12) }'
ls out/run/report.html
echo "-- stopped behind step 4"
rm -r out/run/step-000008
ln -sfn step-000004 out/run/latest
example second
grep -c 'resuming from out/run/step-000004' second.err
echo "-- nothing left to do"
example third
grep -c 'nothing to do: step 8 of 8 is done' third.err
"$PYTHON" - <<'PY'
import json
def lines(path):
    return [json.loads(line) for line in open(path)]
first, second = lines("first.jsonl"), lines("out/run/metrics.jsonl")
losses = [line["loss"] for line in first if "loss" in line]
print(len(losses), losses[-1] < losses[0] < 7.2, [line["step"] for line in first if "val_loss" in line])
print([line["step"] for line in first] == [line["step"] for line in second])
print(max(abs(a[key] - b[key]) for a, b in zip(first, second) for key in ("loss", "val_loss") if key in a) < 1e-4)
PY

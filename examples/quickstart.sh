#!/usr/bin/env bash
# From text to a trained, evaluated, checked and exported recurrent-depth model, in one run.
#
#   examples/quickstart.sh               on the fortunes that Debian ships
#   examples/quickstart.sh FILE...       on your own plain text; blank lines part documents
#
#   --out DIR         where everything goes (default: quickstart-out)
#   --steps N         optimizer steps (default: 2000)
#   --vocab-size N    tokens of the vocabulary (default: 2048; a small text needs a smaller one)
#   --task-steps N    steps of the two small models that calculate at the end (default: 600; 0 leaves them out)
#   --build DIR       programs that are built already, instead of set-up and build
#
# Every step shows the command that it runs. Run it again to go on where it stopped: finished steps are
# skipped and training resumes from its last checkpoint.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; }
die() { printf 'quickstart: error: %s\n' "$*" >&2; exit 2; }

source=$(cd "$(dirname "$0")/.." && pwd)
out=quickstart-out steps=2000 vocab_size=2048 task_steps=600 build='' texts=()
while [ $# -gt 0 ]; do
  case $1 in
    --out|--steps|--vocab-size|--task-steps|--build) [ $# -ge 2 ] || die "$1 needs a value" ;;&
    --out) out=$2; shift ;;
    --steps) steps=$2; shift ;;
    --vocab-size) vocab_size=$2; shift ;;
    --task-steps) task_steps=$2; shift ;;
    --build) build=$(cd "$2" && pwd) || die "no folder $2"; shift ;;
    -h|--help) usage; exit 0 ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -r "$1" ] || die "cannot read $1"; texts+=("$1") ;;
  esac
  shift
done

step() { printf '\n== %s\n' "$*"; }
# Shows a command as it would be typed, then runs it. Its output may be redirected, so this goes past it.
exec 3>&1
show() {
  local word line='$'
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./,:=+-]*) line+=" '$word'" ;;
      *) line+=" $word" ;;
    esac
  done
  printf '%s\n' "$line" >&3
  "$@"
}
skip() { printf '%s: there already\n' "$1"; }

if [ -z "$build" ]; then
  build=$source/build
  step "Set-up and build"
  (cd "$source" && show ./bootstrap && show cmake --preset release && show cmake --build build)
fi
export PATH=$build/bin:$PATH
command -v mythos-train > /dev/null || die "no mythos-train in $build/bin"
built=$SECONDS

mkdir -p "$out"
printf '%s\n' "$vocab_size" "${texts[@]:-fortunes}" > "$out/inputs.new"
if [ -e "$out/inputs" ] && ! cmp -s "$out/inputs" "$out/inputs.new"; then
  rm "$out/inputs.new"
  die "$out was made from other text or with another vocabulary size; name another --out"
fi
mv "$out/inputs.new" "$out/inputs"

separator='\n\n'
if [ ${#texts[@]} -eq 0 ]; then
  step "Text: the fortunes of this machine"
  texts=("$out/fortunes.txt")
  separator='\n%\n'
  if [ -e "$out/fortunes.txt" ]; then skip "$out/fortunes.txt"; else
    fortunes=/usr/share/games/fortunes
    [ -d $fortunes ] || die "no $fortunes: install the package fortunes, or name text files"
    printf '%s\n' "\$ cat $fortunes/* > $out/fortunes.txt   # without the indexes, *.dat"
    find $fortunes -maxdepth 1 -type f -not -name '*.dat' | LC_ALL=C sort | xargs cat > "$out/fortunes.txt.new"
    mv "$out/fortunes.txt.new" "$out/fortunes.txt"
  fi
fi

step "Vocabulary of $vocab_size tokens"
if [ -e "$out/tok.model" ]; then skip "$out/tok.model"; else
  show mythos vocab --vocab-size "$vocab_size" --output "$out/tok.model" "${texts[@]}"
fi

step "Token shards, a twentieth of the documents held out for validation"
if [ -e "$out/data" ]; then skip "$out/data"; else
  show mythos tokenize --tokenizer "$out/tok.model" --output "$out/data" --separator "$separator" \
    --val-fraction 0.05 "${texts[@]}"
fi
show mythos shards info "$out/data"

step "What the model costs"
show mythos plan --preset tiny

step "Training: $steps steps, the number of loops drawn anew at each"
show mythos train --preset tiny --data "$out/data" --out "$out/run" --steps "$steps" --set val_every=250 --resume

step "Evaluation over loop counts, beside the unigram distribution and the untrained model"
show mythos eval --checkpoint "$out/run" --data "$out/data" --loops 1,2,4,8,16 --baseline --untrained --json > "$out/eval.json"

step "Text at two depths"
prompt="The best way to"
for loops in 1 8; do
  show mythos generate --checkpoint "$out/run" --loops $loops --prompt "$prompt" --echo --max-tokens 60 \
    --temperature 0.7 --seed 3 | tee "$out/sample-loops$loops.txt"
done

step "Stability"
stable=yes
show mythos stability-check "$out/run" --data "$out/data" | tee "$out/stability.txt" || stable=no

step "Export, read back and compared"
show mythos export --checkpoint "$out/run" --format safetensors --output "$out/exported" --force | tee "$out/export.txt"

if [ "$task_steps" != 0 ]; then
  task=$out/task model=$source/examples/nano/arithmetic.toml
  mkdir -p "$task"
  step "Depth at work: calculating modulo 5, a looped model and its plain twin of as many parameters"
  rows() {
    local name=$1
    shift
    [ -e "$task/$name.jsonl" ] || show mythos synth modular --modulus 5 "$@" --out "$task/$name.jsonl"
  }
  rows easy --difficulty 1..3 --count 100000 --seed 1
  rows mixed --difficulty 1..8 --count 100000 --seed 2
  rows test --difficulty 1..12 --count 2400 --seed 3
  head -n 3 "$task/test.jsonl"
  [ -e "$task/characters.json" ] || show mythos synth tokenizer --out "$task/characters.json"
  for name in easy mixed; do
    [ -e "$task/$name" ] || show mythos tokenize --tokenizer "$task/characters.json" --rows completion --no-eos \
      --val-fraction 0.01 --output "$task/$name" "$task/$name.jsonl"
  done
  show mythos plan --match-params "$model" --toml > "$task/plain.toml"
  for name in looped plain; do
    [ $name = looped ] || model=$task/plain.toml
    show mythos train --config "$model" --data "$task/easy:0.5" --data "$task/mixed:0.5" --out "$task/$name" \
      --steps "$task_steps" --resume
  done
  show mythos eval --checkpoint "$task/looped" --tasks "$task/test.jsonl" --loops 1,2,3,4,6,8,10,12 --json \
    > "$task/looped.json"
  show mythos eval --checkpoint "$task/plain" --tasks "$task/test.jsonl" --loops 1 --json > "$task/plain.json"
fi

step "Summary"
OUT=$out TASK=$task_steps SECONDS_USED=$((SECONDS - built)) python3 - <<'END'
import json, os, pathlib

out = pathlib.Path(os.environ["OUT"])
result = json.loads((out / "eval.json").read_text())
best = min(result["loops"], key=lambda row: row["bits_per_byte"])
print(f"Bits per byte on {result['bytes']:,} bytes of text that the model has not seen (less is better)")
rows = [(f"{row['loops']} loop" + "s" * (row["loops"] > 1), row) for row in result["loops"]]
rows += [("unigram", result["unigram"]), ("untrained", result["untrained"])]
for name, row in rows:
    print(f"  {name:<12}{row['bits_per_byte']:8.3f}   {'#' * round(6 * row['bits_per_byte'])}{'  best' if row is best else ''}")
for loops in (1, 8):
    sample = (out / f"sample-loops{loops}.txt").read_text(errors="replace").rstrip()
    print(f"\nA sample at {loops} loop{'s' if loops > 1 else ''}", *("  " + line for line in sample.splitlines()), sep="\n")
if os.environ["TASK"] != "0":
    looped, plain = (json.loads((out / "task" / f"{name}.json").read_text())["difficulties"]
                     for name in ("looped", "plain"))
    print("\nRight answers of 100 when calculating modulo 5, as in 3+4*2=4; by chance 20",
          "  operations " + "".join(f"{row['loops']:>4}" for row in looped[0]["loops"]) + " loops   plain twin", sep="\n")
    for row, twin in zip(looped, plain):
        shares = "".join(f"{100 * at['accuracy']:4.0f}" for at in row["loops"])
        seen = "" if row["difficulty"] <= 8 else "   more than were trained"
        print(f"  {row['difficulty']:>10} {shares} {100 * twin['loops'][0]['accuracy']:18.0f}{seen}")
verdict = (out / "stability.txt").read_text().rstrip().splitlines()[-1]
print(f"\nStability  {verdict}")
seconds = int(os.environ["SECONDS_USED"])
print(f"Time       {seconds // 60} min {seconds % 60} s after the build")
files = [("tok.model", "the vocabulary"), ("data/", "token shards"), ("run/", "checkpoints and metrics.jsonl"),
         ("eval.json", "the evaluation"), ("stability.txt", "the stability report"),
         ("exported/", "the model as safetensors, read back equal")]
if os.environ["TASK"] != "0":
    files.append(("task/", "the two models that calculate, and their rows"))
for name, what in files:
    print(f"  {out}/{name:<15}{what}")
END
printf '\nGo on from here:\n  export PATH=%s:$PATH\n  mythos generate --checkpoint %s --loops 8\n' "$build/bin" "$out/run"
[ $stable = yes ]

#!/usr/bin/env bash
# From text to a trained, evaluated, checked and exported recurrent-depth model, in one run.
#
#   examples/quickstart.sh               on the fortunes that Debian ships
#   examples/quickstart.sh FILE...       on your own plain text; blank lines part documents
#
#   --out DIR         where everything goes (default: quickstart-out)
#   --steps N         optimizer steps (default: 2000)
#   --vocab-size N    tokens of the vocabulary (default: 2048; a small text needs a smaller one)
#   --build DIR       programs that are built already, instead of set-up and build
#
# Every step shows the command that it runs. Run it again to go on where it stopped: finished steps are
# skipped and training resumes from its last checkpoint.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; }
die() { printf 'quickstart: error: %s\n' "$*" >&2; exit 2; }

source=$(cd "$(dirname "$0")/.." && pwd)
out=quickstart-out steps=2000 vocab_size=2048 build='' texts=()
while [ $# -gt 0 ]; do
  case $1 in
    --out|--steps|--vocab-size|--build) [ $# -ge 2 ] || die "$1 needs a value" ;;&
    --out) out=$2; shift ;;
    --steps) steps=$2; shift ;;
    --vocab-size) vocab_size=$2; shift ;;
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

step "Summary"
OUT=$out SECONDS_USED=$((SECONDS - built)) python3 - <<'END'
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
    sample = (out / f"sample-loops{loops}.txt").read_text().rstrip()
    print(f"\nA sample at {loops} loop{'s' if loops > 1 else ''}", *("  " + line for line in sample.splitlines()), sep="\n")
verdict = (out / "stability.txt").read_text().rstrip().splitlines()[-1]
print(f"\nStability  {verdict}")
seconds = int(os.environ["SECONDS_USED"])
print(f"Time       {seconds // 60} min {seconds % 60} s after the build")
for name, what in (("tok.model", "the vocabulary"), ("data/", "token shards"), ("run/", "checkpoints and metrics.jsonl"),
                   ("eval.json", "the evaluation"), ("stability.txt", "the stability report"),
                   ("exported/", "the model as safetensors, read back equal")):
    print(f"  {out}/{name:<15}{what}")
END
printf '\nGo on from here:\n  export PATH=%s:$PATH\n  mythos generate --checkpoint %s --loops 8\n' "$build/bin" "$out/run"
[ $stable = yes ]

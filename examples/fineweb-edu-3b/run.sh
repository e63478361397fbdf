#!/usr/bin/env bash
# FineWeb-Edu to a trained 3B model: vocabulary, token shards, training on all GPUs of this machine.
#
#   examples/fineweb-edu-3b/run.sh PARQUET_DIR OUT           with torchrun, one rank for each GPU
#   examples/fineweb-edu-3b/run.sh --smoke PARQUET_DIR OUT   the same steps, small: two ranks on a CPU
#
# Run it again to go on where it stopped. train.sbatch has the line for many nodes under Slurm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
smoke=''
[ "${1-}" = --smoke ] && smoke=1 && shift
[ $# -eq 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
parquet=$1 out=$2
mkdir -p "$out"
config=$here/fineweb-edu-3b.toml vocabulary=32768
[ -z "$smoke" ] || config=$here/smoke.toml vocabulary=1024

# 1. A vocabulary from a sample of the text.
[ -e "$out/tok.model" ] ||
  mythos vocab --vocab-size $vocabulary --output "$out/tok.model" "$parquet"

# 2. Token shards, with the classifier's better rows and without copies.
[ -e "$out/shards" ] ||
  mythos tokenize --tokenizer "$out/tok.model" --output "$out/shards" --val-fraction 0.002 \
    --min-score 'int_score>=3' --dedup "$parquet"

# 3. What the run will take, before it begins.
if [ -z "$smoke" ]; then
  mythos plan --config "$config" --gpus 8 --gpu h100-80g
fi

# 4. Training. --resume goes on from the newest checkpoint, whatever the number of ranks was.
run=(mythos train --config "$config" --data "$out/shards" --out "$out/run")
[ ! -e "$out/run/latest" ] || run=(mythos train --data "$out/shards" --out "$out/run" --resume)
if [ -n "$smoke" ]; then
  MYTHOS_THREADS=1 "${run[@]}" --nproc 2 --device cpu
else
  torchrun --no-python --standalone --nproc-per-node gpu --max-restarts 3 "${run[@]}"
fi

# 5. What came of it.
mythos eval --checkpoint "$out/run" --data "$out/shards" --loops 1,2,4
mythos report "$out/run"

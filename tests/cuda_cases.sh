#!/bin/sh
# cuda_cases.sh PROGRAM PATTERN: runs the cases of a test program that a CUDA device is for, all in one process, as opening
# LibTorch's CUDA half takes seconds. Status 77 where none passed because they all skipped themselves.
out=$("$1" --gtest_filter="$2" 2>&1)
status=$?
[ $status -eq 0 ] || { printf '%s\n' "$out"; exit $status; }
case $out in
  *"[       OK ]"*) printf '%s\n' "$out" ;;
  *"[  SKIPPED ]"*)
    reason=$(printf '%s\n' "$out" | sed -n '/Skipped$/{n;p;q;}')
    printf 'skipped: %s cases: %s\n' "$(printf '%s\n' "$out" | grep -c '^\[  SKIPPED \].*ms)$')" "$reason"
    exit 77 ;;
  *) echo "no case for a CUDA device: is the program CPU_ALONE?"; exit 1 ;;
esac

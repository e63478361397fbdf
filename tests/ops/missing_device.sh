#!/bin/sh
# missing_device.sh KERNELS_TEST: where there is no CUDA device, MYTHOS_TEST_CUDA=1 fails a test program whichever tests
# it runs, and without it they pass.
export CUDA_VISIBLE_DEVICES=
unset MYTHOS_TEST_CUDA
"$1" --gtest_filter=Device.NamesAreChecked || exit 1
if out=$(MYTHOS_TEST_CUDA=1 "$1" --gtest_filter=Device.NamesAreChecked 2>&1); then
  echo "passed with MYTHOS_TEST_CUDA=1 and no device: $out"
  exit 1
fi
case $out in
  *"MYTHOS_TEST_CUDA=1, and this machine offers no CUDA device"*) ;;
  *) echo "failed for another reason: $out"; exit 1 ;;
esac

#!/bin/sh
# all_cases.sh GOLDEN_CHECK SOURCE_DIR FAMILY: every reference case where the large test data are at hand.
data=${MYTHOS_TEST_DATA:-$2/../shared}/golden/$3
if [ ! -d "$data" ]; then
  echo "skipped: no $data (MYTHOS_TEST_DATA names the folder of large test data)"
  exit 77
fi
exec "$1" "$data"

#!/usr/bin/env python3
"""Writes small.parquet, which is kept beside this script: small_parquet.py FILE (needs pyarrow)"""
import sys

import pyarrow
import pyarrow.parquet

table = pyarrow.table({
    "text": ["Once upon a time.", "The end.", None, "The end.", "And so on."],
    "url": [f"https://example.org/{i}" for i in range(5)],
    "int_score": [3, 4, 4, 5, 1],
})
pyarrow.parquet.write_table(table, sys.argv[1], compression="zstd", row_group_size=3)

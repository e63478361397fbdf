#!/usr/bin/env python3
"""Reads and writes the token files of llm.c and of Megatron with nothing but struct: an independent opinion.

  token_files.py llmc FILE                 dtype and ids
  token_files.py megatron PREFIX           dtype and one line of ids for each document
  token_files.py write-llmc FILE u16|u32 ID…
  token_files.py write-megatron PREFIX CODE "ID ID|ID" …    documents; | parts a document's sequences
"""
import struct
import sys

CODES = {1: "B", 2: "b", 3: "h", 4: "i", 5: "q", 6: "d", 7: "f", 8: "H"}
LLMC = {"u16": (20240520, 1, "H"), "u32": (20240801, 7, "I")}


def read_llmc(path):
    data = open(path, "rb").read()
    header = struct.unpack("<256i", data[:1024])
    assert header[3:] == (0,) * 253
    dtype = next(name for name, (magic, version, _) in LLMC.items() if header[:2] == (magic, version))
    ids = struct.unpack(f"<{header[2]}{LLMC[dtype][2]}", data[1024:])
    print(dtype, *ids)


def write_llmc(path, dtype, *ids):
    magic, version, letter = LLMC[dtype]
    with open(path, "wb") as file:
        file.write(struct.pack("<256i", magic, version, len(ids), *[0] * 253))
        file.write(struct.pack(f"<{len(ids)}{letter}", *map(int, ids)))


def read_megatron(prefix):
    index = open(prefix + ".idx", "rb").read()
    tokens = open(prefix + ".bin", "rb").read()
    magic, version, code, sequences, entries = struct.unpack_from("<9sQBQQ", index)
    assert magic == b"MMIDIDX\0\0" and version == 1
    sizes = struct.unpack_from(f"<{sequences}i", index, 34)
    pointers = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    documents = struct.unpack_from(f"<{entries}q", index, 34 + 12 * sequences)
    assert len(index) == 34 + 12 * sequences + 8 * entries
    print("code", code)
    for begin, end in zip(documents, documents[1:]):
        print(*[i for s in range(begin, end)
                for i in struct.unpack_from(f"<{sizes[s]}{CODES[code]}", tokens, pointers[s])])


def write_megatron(prefix, code, *documents):
    code = int(code)
    kind = float if CODES[code] in "fd" else int
    sizes, pointers, ends, data = [], [], [0], b""
    for document in documents:
        for sequence in document.split("|"):
            ids = list(map(kind, sequence.split()))
            sizes.append(len(ids))
            pointers.append(len(data))
            data += struct.pack(f"<{len(ids)}{CODES[code]}", *ids)
        ends.append(len(sizes))
    with open(prefix + ".bin", "wb") as file:
        file.write(data)
    with open(prefix + ".idx", "wb") as file:
        file.write(struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, len(sizes), len(ends)))
        file.write(struct.pack(f"<{len(sizes)}i", *sizes))
        file.write(struct.pack(f"<{len(pointers)}q", *pointers))
        file.write(struct.pack(f"<{len(ends)}q", *ends))


if __name__ == "__main__":
    {"llmc": read_llmc, "megatron": read_megatron, "write-llmc": write_llmc,
     "write-megatron": write_megatron}[sys.argv[1]](*sys.argv[2:])

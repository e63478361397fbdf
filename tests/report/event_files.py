#!/usr/bin/env python3
"""Reads the event files of a run that was resumed: event_files.py [--tensorboard] BIN SOURCE SHARDS

The scalars of every step must be those of metrics.jsonl. Without --tensorboard a reader of the format does it that
is written here and checks every CRC; with it TensorBoard's own does, and status 77 says that it is not installed for
this Python or for that of $MYTHOS_TEST_PYTHON.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The records of an event file (TensorFlow's record_writer.h), whose sums must be right."""
    while data:
        size, = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        record, rest = data[12:12 + size], data[12 + size:]
        assert len(record) == size and struct.unpack("<I", rest[:4])[0] == masked(record)
        yield record
        data = rest[4:]


def varint(data):
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, data[place + 1:]
    raise ValueError("a varint is cut off")


def fields(data):
    """(number, value) of a protocol buffer's fields."""
    while data:
        key, data = varint(data)
        if key & 7 == 0:
            value, data = varint(data)
        elif key & 7 == 2:
            size, data = varint(data)
            value, data = data[:size], data[size:]
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, data = data[:size], data[size:]
        yield key >> 3, value


def read_here(folder):
    """{(name, step): value} of the files in the order of their names, restarts obeyed as TensorBoard does."""
    scalars = {}
    for path in sorted(folder.iterdir()):
        for record in records(path.read_bytes()):
            event = dict(fields(record))
            step = event[2]
            if 7 in event:  # a session log: what was told of this step and later ones counts no more
                assert dict(fields(event[7])) == {1: 1}
                scalars = {key: value for key, value in scalars.items() if key[1] < step}
            for number, value in fields(event.get(5, b"")):
                scalar = dict(fields(value))
                scalars[scalar[1].decode(), step] = struct.unpack("<f", scalar[2])[0]
    return scalars


def read_by_tensorboard(folder):
    from tensorboard.backend.event_processing import event_accumulator
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={event_accumulator.SCALARS: 0})
    events.Reload()
    return {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}


def flat(line):
    """(name, value) of the numbers of a line of metrics, as run_metrics.h names them."""
    def walk(name, value):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value
        pairs = value.items() if isinstance(value, dict) else \
            enumerate(value, 1) if isinstance(value, list) else ()
        for key, inner in pairs:
            yield from walk(f"{name}/{key}", inner)
    for key, value in line.items():
        if key != "step":
            yield from walk(key, value)


def make_run(folder, bin_folder, source, shards):
    run = folder / "run"
    train = [str(bin_folder / "mythos-train"), "--data", str(shards), "--out", str(run), "--quiet"]
    config = ["--config", str(source / "tests/cli/fixtures/small.toml"), "--set", "train.tensorboard=true",
              "--set", "train.log_every=2", "--set", "train.save_every=4", "--set", "objectives.per_loop=0.5"]
    environment = dict(os.environ, MYTHOS_THREADS="1", OMP_NUM_THREADS="1")
    subprocess.run([*train, *config, "--steps", "8"], check=True, env=environment, stdout=subprocess.DEVNULL)
    # As after a loss: the steps behind the checkpoint of step 4 are trained again.
    shutil.rmtree(run / "step-000008")
    subprocess.run([*train, "--resume", "--steps", "12"], check=True, env=environment, stdout=subprocess.DEVNULL)
    return run


def main():
    arguments = sys.argv[1:]
    by_tensorboard = arguments[0] == "--tensorboard"
    if by_tensorboard:
        arguments = arguments[1:]
        sys.path.append(str(pathlib.Path(arguments[1]).resolve() / ".tests-deps"))
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            other = os.environ.get("MYTHOS_TEST_PYTHON")
            if other and not os.environ.get("MYTHOS_TEST_PYTHON_TRIED"):
                os.environ["MYTHOS_TEST_PYTHON_TRIED"] = "1"
                os.execvp(other, [other, *sys.argv])
            print(f"skipped: {sys.executable} has no TensorBoard ({error}); ./bootstrap --tests brings it")
            return 77
    bin_folder, source, shards = (pathlib.Path(argument).resolve() for argument in arguments)
    with tempfile.TemporaryDirectory(prefix="mythos-events-") as folder:
        run = make_run(pathlib.Path(folder), bin_folder, source, shards)
        found = read_by_tensorboard(run / "tensorboard") if by_tensorboard else read_here(run / "tensorboard")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    expected = {(name, line["step"]): struct.unpack("<f", struct.pack("<f", value))[0]
                for line in lines for name, value in flat(line)}
    steps = sorted({step for name, step in expected if name == "loss"})
    assert steps == [2, 4, 6, 8, 10, 12], steps
    assert ("objectives/per_loop", 12) in expected
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    differ = sorted(key for key in expected.keys() & found.keys() if expected[key] != found[key])
    print(f"{len(found)} scalars; missing {missing}; extra {extra}; different {differ}")
    return 1 if missing or extra or differ else 0


if __name__ == "__main__":
    sys.exit(main())

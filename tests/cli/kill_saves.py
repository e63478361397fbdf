#!/usr/bin/env python3
"""Kills a training process again and again, mostly in its saves, and looks each time whether the run is whole.

  kill_saves.py KILLS CONFIG DATA [SEED]     in the folder at hand, which gets a run named "killed"

Every resume must begin at the newest checkpoint, every checkpoint must be whole, and none that was there before a kill
may be gone behind it unless a newer one is there. Prints one line; ends with status 1 and what is wrong otherwise. Each
kill takes about a second: 100 of them are a soak test, by hand; tests/cli/train-kills.sh has a few.
"""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

RUN = pathlib.Path("killed")


def fail(what):
    sys.exit(f"kill_saves.py: {what}")


def newest():
    steps = [int(path.name[5:]) for path in RUN.glob("step-*")]
    return max(steps, default=0)


def unfinished():
    return list(RUN.glob(".step-*"))


def wait_until(process, condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            fail(f"training ended by itself, status {process.returncode}: {process.stderr.read()}")
        if time.monotonic() > end:
            fail("nothing was saved within a minute")


def stop_in_save(process, rng):
    """Stops the process at a random moment of a save, which takes some milliseconds: one that escaped is let go on."""
    while True:
        wait_until(process, unfinished, 60)
        time.sleep(rng.random() * 0.004)
        process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            fail(f"training ended by itself, wait status {status}")
        if unfinished():
            return
        process.send_signal(signal.SIGCONT)


def kill_once(config, data, in_save, rng, log):
    before = newest()
    start = ["--resume"] if before else ["--config", config, "--set", "save_every=1", "--set", "val_every=0",
                                         "--set", "keep_last=2"]
    command = ["mythos", "train", *start, "--data", data, "--out", str(RUN), "--steps", "1000000"]
    with open(log, "w") as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
    process.stderr = open(log)
    # Some steps are done first, so that not every kill meets the first save.
    wait_until(process, lambda: newest() > before + rng.randrange(3), 60)
    if in_save:
        stop_in_save(process, rng)
    else:
        time.sleep(rng.random() * 0.1)
    seen = newest()
    process.kill()
    process.wait()
    process.stderr.close()
    resumed = re.search(r"resuming from \S*step-(\d+)", log.read_text())
    if before and (not resumed or int(resumed[1]) != before):
        fail(f"resumed from {resumed and resumed[1]}, not from step {before}")
    if newest() < seen:
        fail(f"step {seen} was there before the kill, and {newest()} is the newest behind it")
    if not (RUN / "latest" / "manifest.json").exists():
        fail(f"latest leads to {(RUN / 'latest').readlink()}, where no checkpoint is")
    checked = subprocess.run(["mythos", "checkpoint", "verify", str(RUN)], capture_output=True, text=True)
    if checked.returncode != 0:
        fail(f"behind kill at step {newest()}: {checked.stdout}{checked.stderr}")
    return bool(unfinished())


def main():
    kills, config, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    # Each fifth kill comes at any moment.
    in_saves = sum(kill_once(config, data, kill % 5 != 4, rng, pathlib.Path("killed.log")) for kill in range(kills))
    if 5 * in_saves < 4 * kills - 4:
        fail(f"only {in_saves} of {kills} kills met a save")
    print(f"{kills} kills, {in_saves} of them in a save: each time the newest checkpoint was whole and went on")


if __name__ == "__main__":
    main()

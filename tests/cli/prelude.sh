# What every case may use. Sourced by run_case.py before the case.

# run CMD…: runs it and tells the exit status on stdout where it is not 0.
run() {
  local status=0
  "$@" || status=$?
  [ "$status" -eq 0 ] || echo "exit status $status"
}

# skip REASON: the case cannot be tried here.
skip() {
  echo "skipped: $*"
  exit 77
}

# flip_byte FILE OFFSET: inverts one byte; a negative offset counts from the end.
flip_byte() {
  "$PYTHON" - "$1" "$2" <<'END'
import os, sys
offset = int(sys.argv[2])
with open(sys.argv[1], "r+b") as file:
    file.seek(offset if offset >= 0 else os.path.getsize(sys.argv[1]) + offset)
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 255]))
END
}

# json EXPRESSION…: reads one JSON value from stdin as `d` and prints each Python expression of it.
json() {
  "$PYTHON" -c '
import json, sys
d = json.load(sys.stdin)
for expression in sys.argv[1:]:
    print(eval(expression))' "$@"
}

# same A B: whether two files hold the same bytes.
same() {
  if cmp -s "$1" "$2"; then echo "$1 and $2 are the same"; else echo "$1 and $2 DIFFER"; fi
}

# same_losses ONE OTHER TOLERANCE: whether two files of 'mythos eval --json' measure alike at each loop count.
same_losses() {
  "$PYTHON" - "$@" <<'END'
import json, sys
one, other = (json.load(open(name)) for name in sys.argv[1:3])
print([row["loops"] for row in other["loops"]], one["tokens"] == other["tokens"])
print(max(abs(a["loss"] - b["loss"]) for a, b in zip(one["loops"], other["loops"])) < float(sys.argv[3]))
END
}

# wait_for SECONDS CMD…: until CMD succeeds; fails after that long.
wait_for() {
  local left=$(($1 * 20))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $((left -= 1)) -gt 0 ] || { echo "waited in vain for: $*"; return 1; }
    sleep 0.05
  done
}

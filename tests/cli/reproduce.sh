# Every script of examples/reproduce goes through at its smallest size, and again from what it kept.
# needs: torch
for path in "$SOURCE"/examples/reproduce/*.py; do
  script=$(basename "$path" .py)
  [ "$script" != lab ] || continue
  "$PYTHON" -B "$path" --smoke --build "$BUILD" --out "$script" > "$script.txt" 2> "$script.err" ||
    { cat "$script.err"; exit 1; }
  ls "$script"/*.svg
  "$PYTHON" -B "$path" --smoke --build "$BUILD" --out "$script" > again.txt 2> again.err
  same "$script.txt" again.txt
  grep -E '^\$ mythos (train|eval|vocab|tokenize|synth)' again.err || true
  "$PYTHON" -c 'import sys, xml.dom.minidom
for path in sys.argv[1:]: xml.dom.minidom.parse(path)' "$script"/*.svg
done

# kill -9 in the middle of a save costs nothing: the resume takes the last whole checkpoint and says so.
# needs: torch
# fixture: text
caught=no
for try in $(seq 20); do
  rm -rf run
  mythos train --config "$SOURCE/tests/cli/fixtures/small.toml" --data "$FIXTURES/text/data" --out run --quiet \
    --set save_every=1 --set val_every=0 --steps 100000 > /dev/null &
  pid=$!
  wait_for 60 test -e run/latest || break
  while kill -0 $pid && ! compgen -G 'run/.step-*' > /dev/null; do :; done
  kill -9 $pid
  { wait $pid; } 2> /dev/null
  if compgen -G 'run/.step-*.unfinished' > /dev/null; then caught=yes; break; fi
done
echo "caught in a save: $caught"
last=$(ls -d run/step-* | tail -n 1)
step=$((10#${last##*-}))
run mythos train --resume --data "$FIXTURES/text/data" --out run --steps $((step + 2)) > out 2> err
[ "$(cat out)" = "$(printf 'run/step-%06d' $((step + 2)))" ] && echo "resumed from the last whole checkpoint"
grep -F "$last" err | sed 's/[0-9]\{6\}/NNNNNN/g'
compgen -G 'run/.step-*' || echo "nothing unfinished is left"

# A disk that fills up while saving: status 4, and the older checkpoint is as it was.
# needs: torch
# fixture: run
mkdir disk
size_kib=$(du -sk "$FIXTURES/run/run/step-000010" | cut -f 1)
mount -t tmpfs -o size=$((size_kib * 3 / 2))k none disk 2> /dev/null && trap 'umount disk' EXIT || {
  # Without the right to mount, a limit on the size of a file does as well.
  limited=yes
}
mkdir disk/run
cp -r "$FIXTURES/run/run/step-000010" disk/run
[ "${limited:-}" ] && ulimit -f $((size_kib / 4))
run mythos train --resume --data "$FIXTURES/text/data" --out disk/run --quiet
ls -A disk/run
diff -r disk/run/step-000010 "$FIXTURES/run/run/step-000010" && echo "the older checkpoint is intact"

# A disk that fills up under tokenize: status 4, nothing under the final name; with space the same command goes on.
# fixture: text
tok=$FIXTURES/text/tok.model
"$PYTHON" -c '
import base64, random
random.seed(1)
for line in range(1500):
    print(base64.b64encode(random.randbytes(750)).decode())' > text.txt
tokenize() { mythos tokenize --tokenizer "$tok" --separator '\n' --jobs 2 --save-seconds 0 "$@"; }
mkdir disk
if mount -t tmpfs -o size=600k none disk 2> /dev/null; then
  trap 'umount disk' EXIT
  run tokenize --output disk/data text.txt
  ls -A disk
  mount -o remount,size=64m disk
else
  # Without the right to mount, a limit on the size of a file does as well.
  (ulimit -f 600; run tokenize --output disk/data text.txt)
  ls -A disk
fi
run tokenize --output disk/data text.txt
tokenize --quiet --output whole text.txt
diff -r disk/data whole && echo "the same as on a large disk"
ls -A disk

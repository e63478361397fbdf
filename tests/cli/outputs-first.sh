# Whatever keeps an output from being written is said before the work, and links stay links.
# fixture: text
tok=$FIXTURES/text/tok.model text=$FIXTURES/text/text.txt data=$FIXTURES/text/data
mkdir folder
: > file
# There is no such input either: the output is looked at first.
vocab() { run mythos vocab -q --vocab-size 384 --output "$1" missing.txt; }
vocab folder
vocab folder/
vocab no/such/file
vocab file/below
vocab ''
vocab "$(printf 'n%.0s' $(seq 256))"
tokenize() { run mythos tokenize -q --tokenizer "$tok" --separator '\n\n' "$@" "$text"; }
tokenize --output file
tokenize --output file --force
tokenize --output folder
tokenize --output . --force
tokenize --output /proc --force
run mythos shards merge file "$data" "$data"
run mythos shards split -q "$data" no-such/part --parts 9
run mythos shards export "$data" folder --format llmc
run mythos shards import file --format llmc --tokenizer "$tok" no-such-input.bin
: > part-00003
run mythos shards split "$data" part --parts 4
ls -A
rm part-00003
echo "-- through links"
mkdir far
ln -s far/model model
ln -s far/shards link
ln -s link shards
mythos vocab -q --vocab-size 384 --output model "$text"
for more in "" --force; do tokenize --output shards $more; done
mythos shards verify shards
tokenize --output shards/ --append
run mythos shards merge link "$data" "$data" --force -q
ls -AF . far
echo "-- into pipes and devices"
mythos vocab -q --vocab-size 384 --output /dev/stdout "$text" | cmp - model && echo "the same through a pipe"
{ echo before; mythos vocab -q --vocab-size 384 --output /dev/stdout "$text"; echo after; } > all
{ echo before; cat model; echo after; } | cmp - all && echo "the same in the middle of a file"
# Devices of its own for root, who could otherwise lose the system's to a fault.
null=/dev/null full=/dev/full
if [ -w /dev ]; then
  null=./null full=./full
  { mknod null c 1 3 && mknod full c 1 7 && : > null; } 2> /dev/null || skip "no devices can be made here"
fi
mythos vocab -q --vocab-size 384 --output $null "$text"
[ -c $null ] && echo "a device stays a device"
mkfifo pipe
cat pipe > read &
mythos vocab -q --vocab-size 384 --output pipe "$text"
wait
same read model
run mythos vocab -q --vocab-size 384 --output $full "$text"

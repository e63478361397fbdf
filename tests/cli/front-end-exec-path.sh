# A program mythos-NAME in MYTHOS_EXEC_PATH or on PATH is a verb; statuses and signals pass through.
mkdir extra
printf '#!/bin/sh\necho "hello $*"; exit 7\n' > extra/mythos-hello
printf '#!/bin/sh\nkill -TERM $$\n' > extra/mythos-stop
chmod +x extra/*
MYTHOS_EXEC_PATH=$PWD/extra run mythos hello "two words" --flag
PATH=$PWD/extra:$PATH run mythos stop
MYTHOS_EXEC_PATH=$PWD/extra run mythos helo
run mythos hello

# A rank that is killed or hangs ends the job in time; SIGTERM to one rank saves on all; the run goes on.
# needs: torch
# runs: alone
# fixture: text
begin() {  # begin RUN RANKS OPTION…: sets pid, and ranks, the processes of the ranks
  local run=$1 count=$2
  shift 2
  mythos train --config "$SOURCE/tests/cli/fixtures/small.toml" --data "$FIXTURES/text/data" --out $run --nproc $count \
    --set save_every=5 --set val_every=0 --set log_every=1 --set schedule=constant --steps 100000 "$@" > out 2> err &
  pid=$!
  wait_for 60 test -e $run/latest
  mapfile -t ranks < <(grep -l "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status 2> /dev/null | cut -d/ -f3 | sort -n)
  echo "${#ranks[@]} processes"
}
end() {
  local status=0
  { wait $pid; } 2> /dev/null || status=$?
  echo "exit status $status"
}
check() {
  mythos checkpoint verify $1 > verified && echo "the newest checkpoint is whole"
  grep -c . out | sed 's/^/lines of results: /'
}
echo "-- a rank is killed"
begin killed 4
kill -KILL ${ranks[1]}
end
grep -o 'rank 1 is lost' err | sort -u
check killed
echo "-- the first rank is killed"
begin first 2
kill -KILL ${ranks[0]}
end
grep -o 'rank 0 is lost' err | sort -u
check first
echo "-- a rank hangs"
begin hangs 2 --timeout 10
kill -STOP ${ranks[1]}
began=$SECONDS
end
[ $((SECONDS - began)) -lt 60 ] && echo "in time"
grep -o 'rank 1 is lost: no answer within 10 s' err
check hangs
echo "-- SIGTERM to one rank"
begin stopped 2
kill -TERM ${ranks[1]}
end
step=$(readlink stopped/latest)
[ "$(cat out)" = "stopped/$step" ] && echo "saved and printed its name"
echo "-- SIGUSR1 to the job, then SIGINT"
begin signals 2
kill -USR1 $pid
saved() { grep -q 'on SIGUSR1' err; }
wait_for 60 saved && echo "saved and goes on"
kill -INT $pid
end
echo "-- goes on"
step=$((10#${step#step-}))
run mythos train --resume --data "$FIXTURES/text/data" --out stopped --steps $((step + 2)) --quiet --nproc 2 > out
[ "$(cat out)" = "$(printf 'stopped/step-%06d' $((step + 2)))" ] && echo "resumed"

# Ends what the harness started and deletes what it made, as soon as the harness is gone, however it went: the harness
# holds the other end of stdin, and the kernel closes it even when the harness was killed. It writes lines such as
# "process 123"; it never has to ask us for anything, and we touch nothing it has not named, but for what a reaper before us could
# not delete to its end.
trap '' INT TERM HUP
declare -A processes
directory= cgroup= keep=
while read -r word value; do
  case $word in
    process) processes[$value]=1 ;;
    ended) unset "processes[$value]" ;;
    directory)
      directory=$value
      setsid nice rm -rf --one-file-system "${directory%/*}"/kso-??????.deleted </dev/null >/dev/null 2>&1 &
      ;;
    cgroup) cgroup=$value ;;
    keep) keep=$value ;;
  esac
done

alive() { # a zombie, whose parent has not asked yet, is not alive
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  stat=${stat##*) }
  [ "${stat%% *}" != Z ]
}
any_alive() {
  local pid
  for pid in "${!processes[@]}"; do alive "$pid" && return 0; done
  return 1
}

for pid in "${!processes[@]}"; do kill -TERM "$pid"; done 2>/dev/null
for _ in {1..100}; do any_alive || break; sleep 0.1; done
for pid in "${!processes[@]}"; do kill -KILL -- "-$pid"; done 2>/dev/null # each leads a process group of its own

# Containers whose runtime was killed run on in the harness's own control group.
if [ -n "$cgroup" ]; then
  for group in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    [ -d "$group" ] || continue
    find "$group" -name cgroup.procs -exec cat {} + | sort -u | while read -r pid; do kill -KILL "$pid"; done
    for _ in {1..50}; do
      [ -z "$(find "$group" -name cgroup.procs -exec cat {} +)" ] && break
      sleep 0.1
    done
    find "$group" -depth -type d -exec rmdir {} +
  done 2>/dev/null
fi

if [ -n "$directory" ]; then
  while read -r _ _ _ _ mount _; do
    case $mount in "$directory"/*) echo "$mount" ;; esac
  done </proc/self/mountinfo | sort -r | while read -r mount; do umount -l "$mount"; done
  if [ -n "$keep" ]; then
    echo "kept: $directory" >&2
  else
    # That takes minutes where many daemons ran, and nobody need wait for it: at once there is nothing of that name, and
    # what deletes it has a session of its own, which no Ctrl-C reaches, and holds no pipe of whoever started the run.
    mv "$directory" "$directory.deleted" && directory=$directory.deleted
    setsid nice rm -rf --one-file-system "$directory" </dev/null >/dev/null 2>&1 &
  fi
fi

# The watchdog of one folder: makes it, and removes it with every process in it once nobody holds our standard input.
#
# It leads a process group, and everything that runs for the folder is put into that group before its exec. So one
# signal to the group reaches it all, however early in its life: no pid file is waited for, no pid is guessed.

# Whoever ends the owner does not end us. PIPE: the owner may be gone before it has read the folder's name.
trap '' HUP INT QUIT TERM PIPE

folder=$(mktemp -d "$1/abide-cluster-XXXXXX") || exit 1
echo "$folder"
exec >/dev/null 2>&1

# Nothing is ever written: this ends when the last write end is closed, by the owner or by the kernel.
read -r _

# To a postmaster this is an immediate shutdown; it takes its backends, which lead groups of their own, with it. That
# is a matter of milliseconds, but of five seconds where a client has connected at this very moment and says nothing.
kill -QUIT 0
tries=0
while [ "$tries" -lt 400 ] && read -r postmaster <"$folder/data/postmaster.pid" && kill -0 "$postmaster"; do
    sleep 0.05
    tries=$((tries + 1))
done

# A postmaster that was killed has left its shared memory behind, as line 7 of its pid file says: key and id.
if shared=$(sed -n 7p "$folder/data/postmaster.pid") && [ -n "$shared" ]; then
    ipcrm -m "${shared##* }"
fi

# What is still ending may be writing into it.
tries=0
until rm -rf "$folder" || [ "$tries" -eq 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
done

# Whatever did not listen, and ourselves.
kill -KILL 0

#!/bin/sh
# An account on this server for each name in a file, one a line, and a slip with its password. As root:
#     sh deploy/accounts.sh names.txt >slips.txt
# Homes are closed to everybody else. A name that cannot be used stops it before anything is made.
set -eu
umask 077

fail() {
    printf 'accounts.sh: %s\n' "$1" >&2
    exit 2
}

[ $# -eq 1 ] || fail "name one file with a name on each line: sh deploy/accounts.sh names.txt"
[ -r "$1" ] || fail "$1 cannot be read."
[ "$(id -u)" = 0 ] || fail "only root can make accounts: sudo sh deploy/accounts.sh $1"
names=$(tr -d '\r' <"$1" | grep -v '^[[:space:]]*$') || fail "$1 has no names."
twice=$(printf '%s\n' "$names" | sort | uniq -d)
[ -z "$twice" ] || fail "twice in $1: $(echo $twice)"
bad=$(printf '%s\n' "$names" | grep -vE '^[a-z][a-z0-9-]{0,30}$') || true
[ -z "$bad" ] || fail "not a name for an account (a letter, then letters, digits and -, all small): $(printf '%s' "$bad" | head -n 1)"
for name in $names; do
    ! id "$name" >/dev/null 2>&1 || fail "$name has an account here already. Take the line out, or choose another name."
done

for group in learners teachers; do
    getent group "$group" >/dev/null || groupadd "$group"
done
for name in $names; do
    useradd --create-home --key HOME_MODE=0700 --groups learners --shell /bin/bash "$name"
    password=$(tr -dc 'a-hjkmnp-z2-9' </dev/urandom | head -c 12)
    printf '%s:%s\n' "$name" "$password" | chpasswd
    printf '%s\t%s\n' "$name" "$password"
done

#!/usr/bin/env bash
# Makes a minimal Debian 12 in ./build-bare, clones the committed tree into it, and runs the README's two commands there.
# It needs root, for chroot, and a Debian mirror, which it takes from the apt sources of this machine.
#   tools/dev/bare_machine.sh [SCRIPT]
# SCRIPT, a file of the tree, runs there in place of the two commands. KERNCAST_TEST_LABEL, if set, selects the tests. KERNCAST_TEST_CACHE, if set, is a folder of compiled kernels that the
# tests share.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" -ne 0 ]; then
  echo "bare_machine.sh: only root can make a bare machine" >&2
  exit 1
fi
root=$PWD/build-bare
rm -rf --one-file-system "$root"
mkdir "$root"
trap 'rm -rf --one-file-system "$root"' EXIT
if ! command -v debootstrap >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
fi

# The sources of Debian itself, one line each: the address of a mirror and a suite.
sources=$(apt-get update --print-uris |
  sed -nE "s|^'(.*)/dists/(bookworm(-updates\|-security)?)/InRelease' .*|\1 \2|p" | sort -u)
mirror=$(awk '$2 == "bookworm" {print $1; exit}' <<<"$sources")
if [ -z "$mirror" ]; then
  echo "bare_machine.sh: apt on this machine has no source of Debian 12" >&2
  exit 1
fi
echo "A minimal Debian 12"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
  tail -n 20 "$root.log" >&2
  exit 1
}
rm -f "$root.log"
for program in cc gcc g++ clang make ninja cmake git sudo nvcc python3; do
  if chroot "$root" sh -c "command -v $program" >/dev/null; then
    echo "bare_machine.sh: the bare machine has $program" >&2
    exit 1
  fi
done

# How this machine reaches the network: mirrors, proxies, name servers, certificates and pip's settings.
awk '{print "deb", $1, $2, "main"}' <<<"$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::(http|https)::[Pp]roxy' >"$root/etc/apt/apt.conf.d/90proxy" || true
for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates; do
  if [ -e "$path" ]; then
    mkdir -p "$root${path%/*}"
    cp -rL "$path" "$root${path%/*}"
  fi
done
settings=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r name; do
  settings+=("$name=${!name}")
done < <(compgen -e | grep -iE '^(pip_.*|https?_proxy|no_proxy|kerncast_test_label)$')

git clone --quiet --no-hardlinks . "$root/kerncast"
if [ -n "${KERNCAST_TEST_CACHE:-}" ]; then
  mkdir -p "$root/kernels"
  settings+=(KERNCAST_TEST_CACHE=/kernels)
fi

# in_root USER COMMAND...: runs a command in the clone. Its mounts are in a namespace of their own and end with it.
in_root() {
  local user=$1
  shift
  # shellcheck disable=SC2016 # the inner shell expands the variables
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1 kernels=$2 user=$3
    shift 3
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mkdir -p "$root/dev/pts"
    mount -t devpts devpts "$root/dev/pts"
    [ -z "$kernels" ] || mount --bind "$kernels" "$root/kernels"
    exec chroot --userspec="$user" "$root" env -i --chdir=/kerncast "$@"' \
    bash "$root" "${KERNCAST_TEST_CACHE:-}" "$user" "${settings[@]}" "$@"
}

echo "A user who is not root is told what an administrator has to install"
if in_root nobody bash tools/quickstart.sh >"$root/refusal.txt" 2>&1; then
  echo "bare_machine.sh: the quick start has passed without packages" >&2
  exit 1
fi
grep 'apt-get install' "$root/refusal.txt"

scripts=(tools/quickstart.sh tools/test.sh)
[ $# -eq 0 ] || scripts=("$1")
for script in "${scripts[@]}"; do
  start=$SECONDS
  in_root root bash "$script"
  echo "$script took $((SECONDS - start)) s"
done

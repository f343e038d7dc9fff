#!/usr/bin/env bash
# Installs the Debian packages that a build needs, and fetches NVRTC from its wheel if no CUDA toolkit has it. The part
# tidy fetches clang-tidy from its wheel.
#   tools/dev/setup.sh BUILD_DIR [tests|python|browser|clang|sanitizers|tidy|lint]...
set -euo pipefail
build_dir=$1
shift

# The version that the tests have passed with.
nvrtc_wheel=nvidia-cuda-nvrtc==13.0.88
# Debian's clang-tidy-19 also reads the headers of the system, and takes two to three times as long.
tidy_wheel=clang-tidy==23.1.4

packages=()
# The formatting can be checked on a machine that builds nothing.
if [ "$*" != lint ]; then
  packages+=(g++ cmake ninja-build pkg-config libfmt-dev libxxhash-dev libzstd-dev libsodium-dev libsqlite3-dev
    libhiredis-dev libcurl4-openssl-dev libcli11-dev nlohmann-json3-dev python3 python3-pip)
fi
tidy=no
for part in "$@"; do
  case "$part" in
    # The servers are for the tests of the cache's remote tier, python3-venv is for those with packages of Python.
    tests) packages+=(catch2 redis-server nginx-light python3-venv) ;;
    # The Python package is built with the headers of CPython.
    python) packages+=(python3-dev) ;;
    # For the test of the HTML pages, which is skipped without it. It is about 80 MB to fetch.
    browser) packages+=(chromium) ;;
    clang) packages+=(clang-19 lld-19 libc++-19-dev libc++abi-19-dev) ;;
    sanitizers) packages+=(clang-19 lld-19 libclang-rt-19-dev) ;;
    tidy)
      packages+=(git)
      tidy=yes
      ;;
    lint) packages+=(git clang-format-19 shellcheck black doxygen) ;;
    *)
      echo "setup.sh: unknown part '$part'" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

have_toolkit() {
  local folder
  for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [ -n "$folder" ] && compgen -G "$folder/lib64/libnvrtc.so.1[2-9]" >/dev/null && return 0
  done
  # /usr/sbin, which has ldconfig, is not in every user's PATH.
  PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -qE 'libnvrtc\.so\.1[2-9]'
}

wheel=no
case "${KERNCAST_NVRTC:-}" in
  "") have_toolkit || wheel=yes ;;
  wheel) wheel=yes ;;
esac
if compgen -G "$build_dir/nvrtc/nvidia/*/lib/libnvrtc.so.1*" >/dev/null; then
  wheel=no
fi

# Prints the end of a log and what to do, and ends the script.
give_up() {
  grep -E '^(E:|ERROR)' "$1" | tail -n 3 >&2 || tail -n 3 "$1" >&2
  echo "$2" >&2
  exit 1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ${#missing[@]} -gt 0 ]; then
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo true; then
      printf 'Debian packages are missing, and this user cannot install them. Ask an administrator to run\n  %s\n%s\n' \
        "${install[*]}" "and then run this script again." >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "Installing Debian packages: ${missing[*]}"
  # An update may fail for a source that is not needed, so only the installation decides.
  "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" >>"$log" 2>&1 ||
    give_up "$log" "apt could not install the packages above. Is the network up, and is this a Debian 12?"
fi

# fetch_wheel WHEEL FOLDER ADVICE: unpacks a wheel into a folder of the build, or says what to do and ends the script.
fetch_wheel() {
  echo "Fetching the wheel $1 into $build_dir/$2"
  mkdir -p "$build_dir"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --upgrade \
    --target "$build_dir/$2" "$1" >"$log" 2>&1 ||
    give_up "$log" "pip could not fetch $1. Is the network up?$3"
}
if [ "$wheel" = yes ]; then
  fetch_wheel "$nvrtc_wheel" nvrtc " Or install a CUDA toolkit, 12.0 or later."
fi
if [ "$tidy" = yes ] && ! [ -d "$build_dir/clang-tidy/clang_tidy-${tidy_wheel#*==}.dist-info" ]; then
  fetch_wheel "$tidy_wheel" clang-tidy ""
fi

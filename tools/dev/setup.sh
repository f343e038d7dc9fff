#!/usr/bin/env bash
# Installs what a build needs on Debian 12, and NVRTC from its wheel where no CUDA toolkit has it.
#   tools/dev/setup.sh BUILD_DIR [clang|sanitizers]
set -euo pipefail
build_dir=$1
with=${2:-}

# redis-server and nginx-light are for the tests of the cache's remote tier, which are left out without them.
packages=(g++ cmake ninja-build pkg-config libfmt-dev libxxhash-dev libzstd-dev libsqlite3-dev libhiredis-dev
  libcurl4-openssl-dev redis-server nginx-light catch2 libcli11-dev nlohmann-json3-dev python3 python3-pip)
case "$with" in
  clang) packages+=(clang-19 libc++-19-dev libc++abi-19-dev) ;;
  sanitizers) packages+=(clang-19 libclang-rt-19-dev) ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

have_toolkit() {
  local folder
  for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [ -n "$folder" ] && compgen -G "$folder/lib64/libnvrtc.so.1[2-9]" >/dev/null && return 0
  done
  ldconfig -p | grep -qE 'libnvrtc\.so\.1[2-9]'
}

case "${KERNCAST_NVRTC:-}" in
  "") have_toolkit && wheel=no || wheel=yes ;;
  wheel) wheel=yes ;;
  *) wheel=no ;;
esac
if [ "$wheel" = yes ] && ! compgen -G "$build_dir/nvrtc/nvidia/*/lib/libnvrtc.so.1*" >/dev/null; then
  echo "Fetching the NVRTC wheel into $build_dir/nvrtc"
  mkdir -p "$build_dir"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --target "$build_dir/nvrtc" "nvidia-cuda-nvrtc>=13,<14"
fi

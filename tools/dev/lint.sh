#!/usr/bin/env bash
# Checks the formatting of all C++ and CUDA sources; with `tidy`, also runs clang-tidy on them.
#   tools/dev/lint.sh [tidy]
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=(clang-format-19)
[ "${1:-}" != tidy ] || packages+=(clang-tidy-19)
for package in "${packages[@]}"; do
  command -v "$package" >/dev/null && continue
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$package" >/dev/null
done

git ls-files '*.cpp' '*.hpp' '*.h' '*.cuh' '*.cu' | xargs clang-format-19 --dry-run -Werror
echo "formatting is as .clang-format says"
if [ "${1:-}" = tidy ]; then
  # Clang's own build knows every flag that clang-tidy understands.
  cmake --preset clang-libcxx >/dev/null
  cmake --build build-clang-libcxx --parallel "$(nproc)"
  git ls-files '*.cpp' | xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build-clang-libcxx
fi

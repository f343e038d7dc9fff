#!/usr/bin/env bash
# Builds with one preset (default gcc) and passes all tests.
#   tools/test.sh [gcc|clang-libcxx|asan|tsan]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-gcc}
build_dir=build
[ "$preset" = gcc ] || build_dir=build-$preset
case "$preset" in
  clang-libcxx) with=clang ;;
  asan) with=sanitizers ;;
  *) with= ;;
esac
bash tools/dev/setup.sh "$build_dir" "$with"
cmake --preset "$preset" -DKERNCAST_BUILD_TESTS=ON
cmake --build "$build_dir" --parallel "$(nproc)"
ctest --test-dir "$build_dir" --output-on-failure --parallel "$(nproc)"

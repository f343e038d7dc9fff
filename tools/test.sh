#!/usr/bin/env bash
# Builds with one preset (default gcc) and runs the tests, all of them or those that the arguments for ctest select.
#   tools/test.sh [gcc|clang-libcxx|asan|tsan] [CTEST_ARGUMENT...]
# KERNCAST_TEST_LABEL names a label, such as `fast`, that the tests must have.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=gcc
case "${1:-}" in
  gcc | clang-libcxx | asan | tsan)
    preset=$1
    shift
    ;;
esac
build_dir=build
[ "$preset" = gcc ] || build_dir=build-$preset
parts=(tests)
case "$preset" in
  gcc) parts+=(python) ;;
  clang-libcxx) parts+=(python clang) ;;
  asan) parts+=(sanitizers) ;;
esac
bash tools/dev/setup.sh "$build_dir" "${parts[@]}"
options=()
case "$preset" in
  # The quick start may have left its choice of levels in the build folder.
  gcc) options=("-DKERNCAST_SIM_LEVELS=v2;v3;v4" -DKERNCAST_BUILD_PYTHON=ON) ;;
  clang-libcxx) options=(-DKERNCAST_BUILD_PYTHON=ON) ;;
esac
cmake --preset "$preset" -DKERNCAST_BUILD_TESTS=ON "${options[@]}"
cmake --build "$build_dir" --parallel "$(nproc)"
[ -z "${KERNCAST_TEST_LABEL:-}" ] || set -- --label-regex "^$KERNCAST_TEST_LABEL\$" "$@"
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"

#!/usr/bin/env bash
# Checks the formatting of every source and all shell scripts; with `tidy`, runs clang-tidy instead.
#   tools/dev/lint.sh                checks C++, CUDA and Python formatting and the doc comments of the public headers, and
#                                    runs shellcheck
#   tools/dev/lint.sh tidy           runs clang-tidy on the files that changed in the last week, or since the whole tree was
#                                    checked; its analyzer follows few calls
#   tools/dev/lint.sh tidy --all     runs clang-tidy on every file, and its analyzer in full
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" != tidy ]; then
  bash tools/dev/setup.sh build lint
  git ls-files '*.c' '*.cpp' '*.hpp' '*.h' '*.inc' '*.def' '*.cuh' '*.cu' | xargs clang-format-19 --dry-run -Werror
  git ls-files '*.py' | xargs --no-run-if-empty black --quiet --check --diff --line-length 120
  { git ls-files '*.sh'; git ls-files .ci; } | xargs shellcheck
  bash tools/dev/docs.sh
  echo "formatting, doc comments and scripts are clean"
  exit 0
fi

# Nothing is built, and the header of snippets that a test includes is written here. The compile commands of the Clang build hold
# only options that clang-tidy understands. They are for libstdc++, whose headers take less than half as long to read. With one
# level of the executor its files are checked once.
build_dir=build-tidy
bash tools/dev/setup.sh "$build_dir" tests python clang tidy
cmake --preset clang-libcxx -B "$build_dir" -DKERNCAST_BUILD_TESTS=ON -DKERNCAST_BUILD_PYTHON=ON -DKERNCAST_PRECOMPILE_HEADERS=OFF \
  -DKERNCAST_UNITY_BUILD=OFF -DKERNCAST_SIM_LEVELS=v2 -DCMAKE_CXX_FLAGS= -DCMAKE_EXE_LINKER_FLAGS= \
  -DCMAKE_SHARED_LINKER_FLAGS= >/dev/null
python3 tests/documents/extract_snippets.py cpp runtime/include/GUIDE.md "$build_dir/tests/documents/guide_snippets.hpp"
# libstdc++ itself calls what it declares deprecated. The build with libc++ finds deprecated calls of ours.
arguments=(--extra-arg=-Wno-deprecated-declarations)
if [ "${2:-}" = --all ]; then
  base=$(git hash-object -t tree /dev/null)
else
  # In full the analyzer takes two thirds of the time.
  for argument in -Xclang -analyzer-config -Xclang mode=shallow; do
    arguments+=("--extra-arg=$argument")
  done
  base=$(git rev-list -1 --before='1 week ago' HEAD)
  base=${base:-$(git rev-list --max-parents=0 HEAD | tail -n 1)}
  # The gate has checked every file of this commit, and what it found there is mended.
  checked=af0ca92f2626af4468e86932590d1db644bc436d
  if git merge-base --is-ancestor "$base" "$checked" 2>/dev/null; then base=$checked; fi
fi
# A file that is not in the compile commands, such as an input of the example, is not built and cannot be checked.
files=$(git diff --name-only --diff-filter=d "$base" -- '*.cpp' | while read -r file; do
  if grep -qF "\"file\": \"$PWD/$file\"" "$build_dir/compile_commands.json"; then echo "$file"; fi
done)
# One file at a time, because files differ much in the time they take.
xargs --no-run-if-empty -P "$(nproc)" -n 1 \
  "$build_dir/clang-tidy/clang_tidy/data/bin/clang-tidy" --quiet -p "$build_dir" "${arguments[@]}" <<<"$files"
echo "clang-tidy finds nothing in $(wc -w <<<"$files") files"

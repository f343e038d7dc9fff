#!/usr/bin/env bash
# Builds the reference of the public headers with Doxygen, and fails on each warning, and on each function, type or macro
# without a comment.
#   tools/dev/docs.sh [OUTPUT_FOLDER]        writes OUTPUT_FOLDER/html/index.html; default: build/docs
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../../build/docs}")
cd "$(dirname "$0")/../.."
command -v doxygen >/dev/null || { echo "docs.sh: doxygen is missing; bash tools/dev/setup.sh lint installs it" >&2; exit 1; }
mkdir -p "$output"

# The headers that are installed: the API, the argument structs of the ops, and what these include of other ops.
mapfile -t headers < <(git ls-files 'runtime/include/kerncast' 'templates/*/*/public/*.hpp'; for folder in templates/*/*/; do
  header=$folder$(basename "$folder").hpp
  if [ -e "$header" ]; then echo "$header"; fi
done)

# run_doxygen [SETTING...]: settings override those of the file.
run_doxygen() {
  { cat tools/dev/Doxyfile; printf 'INPUT = %s\nOUTPUT_DIRECTORY = %s\n' "${headers[*]}" "$output"; printf '%s\n' "$@"; } |
    doxygen -
}

undocumented=$(run_doxygen 'GENERATE_HTML = NO' 'GENERATE_XML = NO' 'WARN_IF_UNDOCUMENTED = YES' 'WARN_AS_ERROR = NO' 2>&1 |
  grep 'is not documented' | grep -v '(variable) of' || true)
if [ -n "$undocumented" ]; then
  echo "$undocumented" >&2
  exit 1
fi
run_doxygen
echo "the reference of ${#headers[@]} headers has no warning: $output/html/index.html"

#!/usr/bin/env bash
# Builds and runs the fuzzers of the PTX decoder and of what the cache reads: entries, packs, tuning databases and the
# answers of servers. An input that breaks something is written to build-asan/found.
#   tools/dev/fuzz.sh [SECONDS_FOR_EACH]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
inputs=tests/simulator/fuzz
bash tools/dev/setup.sh build-asan tests sanitizers
cmake --preset asan -DKERNCAST_BUILD_TESTS=ON
cache_fuzzers=(cache_entry_fuzz cache_pack_fuzz cache_database_fuzz cache_server_fuzz)
cmake --build build-asan --parallel "$(nproc)" --target ptx_decoder_fuzz "${cache_fuzzers[@]}"
mkdir -p build-asan/found build-asan/corpus

# fuzz FUZZER MAX_LENGTH OPTION_OR_FOLDER...: new inputs go to the first folder; the others are only read.
fuzz() {
  local fuzzer=$1 length=$2
  shift 2
  mkdir -p "build-asan/corpus/$fuzzer"
  "build-asan/bin/$fuzzer" -max_total_time="$seconds" -max_len="$length" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix=build-asan/found/ "build-asan/corpus/$fuzzer" "$@"
}
export -f fuzz
export seconds
{
  # Standard output, to which kernels print, is closed.
  echo ptx_decoder_fuzz 16384 -close_fd_mask=1 "$inputs/corpus" "$inputs/regressions" tests/simulator/ptx
  for fuzzer in "${cache_fuzzers[@]}"; do echo "$fuzzer" 32768; done
} | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'

#!/usr/bin/env bash
# Checks Kerncast on a machine with an NVIDIA driver; it needs no network. It builds everything, runs the tests on the real
# device, runs the models and the benchmarks, and prints a summary. KERNCAST_DRIVER=sim rehearses it on the virtual GPU.
#   tools/gpu_check.sh [BUILD_DIR]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$(realpath -m "${1:-build-gpu}")
mkdir -p "$build"
log=$build/gpu_check.log
: >"$log"
export KERNCAST_DRIVER=${KERNCAST_DRIVER:-cuda}
export KERNCAST_CACHE_DIR=$build/kernels
rm -rf "$KERNCAST_CACHE_DIR"
# The whole check ends within this many seconds, even if a step hangs.
budget=${GPU_CHECK_SECONDS:-480}
failed=0
summary=()

# step NAME COMMAND...: runs the command within the rest of the budget. Its output goes to the log and to $output.
step() {
  local name=$1 start=$SECONDS left=$((budget - SECONDS)) code
  shift
  output=$build/step.txt
  printf '\n== %s: %s\n' "$name" "$*" >>"$log"
  if [ "$left" -le 0 ]; then
    summary+=("SKIPPED $name: no time left")
    failed=1
    return 1
  fi
  timeout --kill-after=5 "$left" "$@" >"$output" 2>&1
  code=$?
  cat "$output" >>"$log"
  if [ $code -eq 0 ]; then
    summary+=("ok      $name ($((SECONDS - start)) s)")
  else
    summary+=("FAILED  $name (exit code $code, $((SECONDS - start)) s)")
    failed=1
  fi
  return $code
}

# Adds the last step's output, or its lines that match a pattern, to the summary.
show() {
  while IFS= read -r line; do
    summary+=("          $line")
  done < <(grep -E "${1:-.}" "$output")
}

finish() {
  printf '%s\n' "${summary[@]}"
  printf 'log: %s\n' "$log"
  [ $failed -eq 0 ] && echo "gpu_check: all fine" || echo "gpu_check: FAILED"
  exit $failed
}

# The check does not need the remote tier of the cache, so a machine without its libraries leaves it out. Warnings of an
# unknown compiler are no errors here.
options=(-DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG" -DKERNCAST_BUILD_TESTS=ON
  -DKERNCAST_WARNINGS_AS_ERRORS=OFF)
pkg-config --exists libcurl hiredis || options+=(-DKERNCAST_BUILD_REMOTE=OFF)
step "configure" cmake -S . -B "$build" "${options[@]}" || finish
step "build" cmake --build "$build" --parallel "$(nproc)" || finish
step "doctor" "$build/kerncast" doctor
show '^(driver|device|NVRTC)'
step "run deepseek-v3" "$build/kerncast" run --model deepseek-v3
show
models=(kimi-k2 glm-4.5 gpt-oss-120b qwen3-235b-a22b llama-3-8b wan2.2-a14b)
# shellcheck disable=SC2016 # the inner shell expands $0 and $@
step "run ${models[*]}" bash -c 'printf "%s\n" "${@:1}" | xargs -P 6 -I{} bash -c "$0 run --model {} >/dev/null || { echo FAILED {}; exit 1; }"' \
  "$build/kerncast" "${models[@]}"
show 'FAILED|error'
# shellcheck disable=SC2016 # the inner shell expands $0
step "run deepseek-v3 again, every row cached" bash -o pipefail -c '"$0" run --model deepseek-v3 --json | python3 -c "
import json, sys
rows = json.load(sys.stdin)
missed = [row for row in rows if not row[\"cached\"]]
print(len(rows), \"rows,\", len(missed), \"not cached\")
sys.exit(not rows or bool(missed))"' "$build/kerncast"
show
for benchmark in dispatch cache_hit; do
  step "benchmark $benchmark" "$build/bin/bench_$benchmark"
  show
done
for op in norm.fused_add_rms_norm quant.per_token_group; do
  step "kernel times of $op" "$build/kerncast" bench "$op" --model deepseek-v3 --rows 1,64,4096 --time 2s --against default
  show
done
# The records can ship with the project; the trials say how they came about. Points that the budget does not reach are left.
mkdir -p "$build/tuned"
# shellcheck disable=SC2016 # the inner shell expands $0 and $1
step "tune deepseek-v3" bash -c '"$0" tune --model deepseek-v3 --device cuda:0 --stop patience=12 --budget 3m
"$0" tune report --json >"$1/trials.json" && "$0" tune export "$1/records.jsonl"' "$build/kerncast" "$build/tuned"
show '(tuned|left|records)'
step "every form of every instruction on the device" env KERNCAST_CONFORMANCE_DRIVER="$KERNCAST_DRIVER" \
  ctest --test-dir "$build" -R 'simulator_conformance_[a-z]*_test$' --output-on-failure --parallel "$(nproc)"
show '(tests passed|tests failed|\(Failed\)|\(Timeout\))'
step "tests" ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)"
show '(tests passed|tests failed|\(Failed\)|\(Timeout\))'
step "benchmark compile" "$build/bin/bench_compile" 3
show '(NVRTC|OVER|median of|over the bound)'
finish

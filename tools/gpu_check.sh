#!/usr/bin/env bash
# On a machine with an NVIDIA driver, without network: builds everything, passes the tests on the real device, runs the
# models, and prints one summary.
set -uo pipefail
cd "$(dirname "$0")/.."
log=build-gpu/gpu_check.log
mkdir -p build-gpu
failed=0
summary=()

step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >>"$log" 2>&1; then
    summary+=("ok      $name ($((SECONDS - start)) s)")
  else
    summary+=("FAILED  $name ($((SECONDS - start)) s): see $log")
    failed=1
  fi
}

: >"$log"
export KERNCAST_DRIVER=cuda
export KERNCAST_CACHE_DIR=$PWD/build-gpu/kernels
step "configure" cmake -S . -B build-gpu -DCMAKE_BUILD_TYPE=RelWithDebInfo
step "build" cmake --build build-gpu --parallel "$(nproc)"
step "doctor" build-gpu/kerncast doctor
step "tests on the device" ctest --test-dir build-gpu --output-on-failure --parallel 4
for model in deepseek-v3 kimi-k2 gpt-oss-120b qwen3-235b-a22b; do
  step "run $model" build-gpu/kerncast run --model "$model"
done
step "run deepseek-v3 again, cached" build-gpu/kerncast run --model deepseek-v3
step "dispatch benchmark" build-gpu/bin/bench_dispatch

build-gpu/kerncast run --model deepseek-v3 2>/dev/null || true
printf '%s\n' "${summary[@]}"
exit $failed

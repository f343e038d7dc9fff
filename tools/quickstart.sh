#!/usr/bin/env bash
# From a fresh Debian 12 to the main job: set up, configure, build, and run every op at a model's shapes.
set -euo pipefail
cd "$(dirname "$0")/.."
bash tools/dev/setup.sh build
cmake --preset gcc -DKERNCAST_BUILD_TESTS=OFF >/dev/null
cmake --build build --parallel "$(nproc)" --target kerncast_tool kerncast_sim
exec build/kerncast run --model deepseek-v3 "$@"

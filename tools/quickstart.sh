#!/usr/bin/env bash
# From a fresh Debian 12 to the main job: sets up, builds, and runs every op at a model's shapes.
set -euo pipefail
cd "$(dirname "$0")/.."
cat <<'TEXT'
This installs the Debian packages that a build needs (about 130 MB to download, 600 MB on disk), fetches NVRTC if no CUDA
toolkit has it (90 MB, 220 MB on disk), and builds in ./build (570 MB). With two cores it takes about 3 minutes.
TEXT
bash tools/dev/setup.sh build
# The virtual GPU is built for this processor alone; tools/test.sh builds it for all.
level=v2
grep -qwm 1 avx2 /proc/cpuinfo && level=v3
grep -qwm 1 avx512vl /proc/cpuinfo && level=v4
cmake --preset gcc -DKERNCAST_BUILD_TESTS=OFF -DKERNCAST_SIM_LEVELS="$level" >/dev/null
cmake --build build --parallel "$(nproc)"
exec build/kerncast run --model deepseek-v3 --quant all "$@"

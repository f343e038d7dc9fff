#!/usr/bin/env bash
# Compiles the programs of this folder with nvcc, links them with the shared runtime library, and runs each on the virtual
# GPU. nvcc is that of a toolkit of CUDA 13, or of wheels that are fetched once into FOLDER. Where there is neither, the
# test says so and is skipped (exit code 77).
#   run_programs.sh FOLDER FOLDER_OF_LIBCUDART VIRTUAL_GPU
set -euo pipefail
folder=$1
cudart=$2
sim=$3
programs=$(cd "$(dirname "$0")/programs" && pwd)

# The virtual GPU takes PTX of CUDA 13.0.
wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96)

find_toolkit() {
  local place
  for place in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda "$folder/nvidia/cu13"; do
    if [ -n "$place" ] && [ -x "$place/bin/nvcc" ] && "$place/bin/nvcc" --version | grep -q 'release 13\.0'; then
      toolkit=$place
      return 0
    fi
  done
  return 1
}

toolkit=
if ! find_toolkit; then
  if ! said=$(python3 -m pip install --quiet --disable-pip-version-check --no-input --retries 1 --no-deps --upgrade \
    --target "$folder" "${wheels[@]}" 2>&1); then
    echo "$said"
    echo "nvcc cannot be had: there is no toolkit of CUDA 13.0, and pip could not fetch its wheels"
    exit 77
  fi
  find_toolkit || { echo "the wheels hold no nvcc" >&2; exit 1; }
fi
command -v g++ >/dev/null || { echo "nvcc cannot be had: it needs g++"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$cudart KERNCAST_DRIVER=$sim

# run SOURCE NVCC_OPTION...: compiles, links and runs one program. The wheels lack the device runtime, which none needs.
run() {
  local source=$1
  shift
  echo "== $source $*"
  "$toolkit/bin/nvcc" -std=c++17 -cudart shared -cudadevrt none -L "$cudart" "$@" -o "$work/program" "$programs/$source"
  readelf -d "$work/program" | grep -q 'NEEDED.*libcudart\.so\.13'
  "$work/program"
}

ptx=(-gencode "arch=compute_75,code=compute_75")
for mode in none default speed size; do
  run vector_add.cu "${ptx[@]}" --compress-mode="$mode"
done
run vector_add.cu -gencode "arch=compute_90,code=[sm_90,compute_90]"
run reduction.cu "${ptx[@]}"
for default_stream in legacy per-thread; do
  run streams_and_graph.cu "${ptx[@]}" --default-stream "$default_stream"
done
run without_ptx.cu -gencode "arch=compute_90,code=sm_90"
echo "every program passed"

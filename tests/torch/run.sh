#!/usr/bin/env bash
# Runs torch on the virtual GPU: the wheels of torch, with the stand-in of the CUDA runtime library in the place of
# NVIDIA's. No test of the build needs it; it is a stage of its own, since the wheels take 5 GB.
#   tests/torch/run.sh BUILD_DIR [FOLDER_OF_THE_VIRTUAL_ENVIRONMENT [PROGRAM ARGUMENTS...]]
# A Python program that is named is run in the place of the tests.
# The environment is kept and used again. Where the package index is out of reach or the disk has too little room, the
# stage says so and ends with exit code 77.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
venv=${2:-$build/torch}
python=$venv/bin/python

for library in "$build/cudart/libcudart.so.13" "$build/libkerncast-sim.so"; do
  [ -e "$library" ] || { echo "run.sh: $library is missing; build the targets kerncast_cudart and kerncast_sim" >&2; exit 1; }
done

# The version that the tests have passed with, and what it imports. Triton is left out: its kernels are binaries.
torch=torch==2.15.0
needs=(filelock "typing-extensions>=4.13.0" sympy networkx jinja2 fsspec "setuptools>=77.0.3" numpy
  "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2"
  nvidia-cudnn-cu13==9.26.0.51 nvidia-cusparselt-cu13==0.8.1 nvidia-nccl-cu13==2.30.7 nvidia-nvshmem-cu13==3.7.2)

if ! "$python" -c "import importlib.metadata as m; assert '$torch' == 'torch==' + m.version('torch')" 2>/dev/null ||
  ! [ -e "$venv/complete" ]; then
  mkdir -p "$venv"
  free_gb=$(($(df --output=avail -k "$venv" | tail -n 1) / 1024 / 1024))
  if [ "$free_gb" -lt 12 ]; then
    echo "torch cannot be had: its wheels need 12 GB while they are unpacked, and the disk has $free_gb GB"
    exit 77
  fi
  python3 -m venv "$venv"
  log=$venv/pip.log
  echo "Fetching $torch and the libraries that it imports into $venv"
  if ! { "$python" -m pip install --quiet --disable-pip-version-check --no-input --retries 1 --no-cache-dir --no-deps \
    "$torch" && "$python" -m pip install --quiet --disable-pip-version-check --no-input --retries 1 --no-cache-dir \
    "${needs[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log"
    if grep -qE 'connection broken|Connection|Could not fetch URL|name resolution|unreachable|timed out' "$log"; then
      echo "torch cannot be had: the package index is out of reach"
      exit 77
    fi
    echo "run.sh: pip failed, and not for want of a connection" >&2
    exit 1
  fi
  touch "$venv/complete"
fi

# The virtual GPU under the driver's name, as a library path holds it.
libcuda=$(mktemp -d)
trap 'rm -rf "$libcuda"' EXIT
ln -s "$build/libkerncast-sim.so" "$libcuda/libcuda.so.1"
export LD_LIBRARY_PATH=$libcuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export KERNCAST_SIM_DEVICES=2 KERNCAST_SIM_REPORT=off
# torch finds NVIDIA's library beside its own files before any library path, so the stand-in is loaded first.
export LD_PRELOAD=$build/cudart/libcudart.so.13

# The Python package, with the NVRTC that torch has loaded.
export KERNCAST_DRIVER=$build/libkerncast-sim.so PYTHONPATH=$build/python
export KERNCAST_CACHE_DIR=${KERNCAST_TEST_CACHE:-$libcuda/cache}

if [ $# -gt 2 ]; then
  "$python" "${@:3}"
  exit
fi
"$python" "$here/torch_test.py"
# These test the package with torch's tensors and operators, if it is built.
if [ -d "$build/python/kerncast" ]; then
  for test in torch_test torch_ops_test; do
    "$python" "$here/../python/$test.py"
  done
  # The code of the package's page that needs torch.
  python3 "$here/../documents/extract_snippets.py" "python torch" "$here/../../runtime/python/README.md" "$libcuda/readme.py"
  "$python" "$libcuda/readme.py"
fi

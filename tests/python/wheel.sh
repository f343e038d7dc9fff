#!/usr/bin/env bash
# Makes a wheel, installs it into a fresh virtual environment, and runs there the command, a first launch and the tests of the
# package. The package index must be in reach.
#   tests/python/wheel.sh BUILD_DIR
# BUILD_DIR is a build of the tests with GCC. Its objects serve the wheel, so that the library is not compiled again. The wheel
# of `pip wheel .` differs from this one in its optimisation and in the archives that it links.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "$1" && pwd)
folder=$build/wheel
rm -rf "$folder"
mkdir "$folder"

# Making a wheel configures the folder anew. Where the file of the build backend is left, the next time it empties the folder.
cp "$build/CMakeCache.txt" "$folder"
restore() {
  rm -f "$build/.skbuild-info.json"
  cp "$folder/CMakeCache.txt" "$build"
  cmake "$build" >/dev/null
}
trap restore EXIT
rm -f "$build/.skbuild-info.json"
settings=()
for setting in "build-dir=$build" cmake.build-type=RelWithDebInfo install.strip=true cmake.define.KERNCAST_BUILD_TESTS=ON \
  cmake.define.KERNCAST_BUILD_REMOTE=ON cmake.define.KERNCAST_STATIC_NEEDS=OFF \
  cmake.define.KERNCAST_WARNINGS_AS_ERRORS=ON; do
  settings+=("--config-settings=$setting")
done
pip=(pip --disable-pip-version-check --no-input)
python3 -m "${pip[@]}" wheel --quiet --no-deps --wheel-dir "$folder" "${settings[@]}" .
python3 tests/python/check_wheel.py "$folder"

# The environment is not active, so the package finds its parts by its own place alone.
unset VIRTUAL_ENV CONDA_PREFIX PYTHONPATH
start=$(date +%s%N)
python3 -m venv "$folder/venv"
python=$folder/venv/bin/python
"$python" -m "${pip[@]}" install --quiet "$(echo "$folder"/*.whl)[nvrtc,numpy]"
export KERNCAST_CACHE_DIR=$folder/cache KERNCAST_NVRTC=wheel
tests=$PWD/tests/python
cd "$folder"
"$python" "$tests/first_launch.py"
echo "from no environment to the first launch: $((($(date +%s%N) - start) / 1000000)) ms"

"$folder/venv/bin/kerncast" --version
"$folder/venv/bin/kerncast" doctor | tail -n 1
for _ in 1 2 3 4 5 6 7; do
  "$python" -c 'import time; start = time.perf_counter(); import kerncast; print(time.perf_counter() - start)'
done | sort -g | awk 'NR == 4 {printf "import kerncast: %.1f ms, the median of 7 processes\n", $1 * 1000}'
"$python" "$tests/python_package_test.py"

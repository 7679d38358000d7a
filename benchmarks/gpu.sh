#!/usr/bin/env bash
# All that a GPU has to show, in under eight minutes: builds with CUDA, holds the GPU's answers to the CPU's, runs
# compute-sanitizer on small cases, and times. Each part has a limit of its own, so that one that hangs leaves the others.
#
#   benchmarks/gpu.sh [FOLDER]      results: FOLDER/*.log and FOLDER/cuda_check.json; by default benchmarks/gpu
#
# Needs nvcc, a C++ compiler, Python with pip, and a driver; PyTorch with CUDA for the times beside it.
set -u
cd "$(dirname "$0")/.."
out=${1:-benchmarks/gpu}
mkdir -p "$out"
part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    timeout "$limit" "$@" > "$out/$name.log" 2>&1
    echo "$name: exit status $? after $((SECONDS - start)) s"
}
python3 -m venv --system-site-packages "$out/venv"
part build 180 "$out/venv/bin/pip" install . -C cmake.define.LATOM_CUDA=ON -C cmake.define.CMAKE_CUDA_ARCHITECTURES=native
part check 150 "$out/venv/bin/python" -m latom cuda-check --json "$out/cuda_check.json"
for tool in memcheck racecheck; do
    part "$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 9 "$out/venv/bin/python" -m latom cuda-check --quick
done
tail -n 20 "$out/check.log"

#!/usr/bin/env bash
# Everything that docs/gpu.md calls "not run", on a machine with an NVIDIA GPU, into one folder to send back.
# NOT RUN YET: it was written where there is no GPU. A part that fails is written down, and the others go on.
#
#   pip install 'framestate[torch,cuda,gpu]'     # and [tensorrt], for its part; run it in a checkout, for the tests
#   bench/gpu.sh [OUT]                           # OUT: a new folder
set -euo pipefail

out=${1:-gpu-report}
[ -e "$out" ] && { echo "error: $out exists already" >&2; exit 2; }
command -v nvidia-smi >/dev/null || { echo "error: no nvidia-smi; this is for a machine with an NVIDIA GPU" >&2; exit 2; }
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$out/gpu.csv"

# part NAME COMMAND...: its output, how it ended, and one line of the table
part() {
    local name=$1 began=$SECONDS code=0
    shift
    "$@" >"$out/$name.txt" 2>"$out/$name.err" || code=$?
    echo "| $name | $(date -u +%Y-%m-%d) | $([ $code = 0 ] && echo passed || echo "failed ($code)") | $((SECONDS - began)) s |" | tee -a "$out/table.md"
}
tests() { FRAMESTATE_REQUIRE_CUDA=1 python3 -m pytest -q -m gpu "$@"; }
latency() { framestate bench latency --model "$1" --runtime "$2" --device cuda --frames 2000 --json; }
throughput() {
    framestate bench throughput --model tracker-nano --runtime "$1" --device cuda "${@:2}" --sessions 1,4,16,64 --json
}

part doctor framestate doctor --json
part kernels tests tests/plugins                 # Triton, on float32 and halves, rows by index
part runtimes tests tests/runtimes               # eager with graphs and halves, onnx bound and with graphs, crops
part engine tests tests/engine
part latency-eager latency tracker-nano eager
part latency-onnx latency tracker-nano onnx
for precision in fp32 bf16 fp16; do
    part "throughput-eager-$precision" throughput eager --precision "$precision"
done
part throughput-onnx throughput onnx
if python3 -c 'import tensorrt, pycuda' 2>/dev/null; then
    part plans framestate export tracker-nano --to tensorrt --out "$out/plans" --json
    part latency-tensorrt latency "$out/plans" tensorrt
fi
echo "wrote $out/table.md; send the whole folder $out"

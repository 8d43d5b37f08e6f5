#!/usr/bin/env bash
# Everything that docs/gpu.md calls "not run", on a machine with an NVIDIA GPU, into one folder to send back.
# NOT RUN YET on a GPU: it was written where there is none; --dry was. A part that fails is written down, and the
# others go on.
#
#   pip install 'framestate[torch,cuda,gpu,dev]'   # and [tensorrt], for its part; run it in a checkout, for the tests
#   bench/gpu.sh [OUT]                             # OUT: a new folder; about an hour, half of it TensorRT's builds
#   bench/gpu.sh --dry [OUT]                       # the same parts on a CPU, small: do the commands work?
set -euo pipefail
cd "$(dirname "$0")/.."

dry=""
[ "${1:-}" = --dry ] && { dry=1; shift; }
out=${1:-gpu-report}
[ -e "$out" ] && { echo "error: $out exists already" >&2; exit 2; }
if [ -z "$dry" ]; then
    command -v nvidia-smi >/dev/null || { echo "error: no nvidia-smi; this is for a machine with an NVIDIA GPU" >&2; exit 2; }
    device=cuda frames=2000 many=5000 rounds=3 pairs=50 sessions=1,2,4,8,16,32,64,128,256 halves="bf16 fp16"
    sizes="1280x720 1920x1080"
else
    device=cpu frames=3 many=4 rounds=1 pairs=1 sessions=1,2 halves="" sizes="128x96"
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -n "$dry" ] || nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm --format=csv >"$out/gpu.csv"
python3 -m pip freeze >"$out/packages.txt" 2>/dev/null || true
printf '| part | date | result | took |\n|---|---|---|---|\n' >"$out/table.md"

# part NAME COMMAND...: its output, how it ended, and one line of the table
part() {
    local name=$1 began=$SECONDS code=0
    shift
    echo "$name ..." >&2
    "$@" >"$out/$name.txt" 2>"$out/$name.err" || code=$?
    echo "| $name | $(date -u +%Y-%m-%d) | $([ $code = 0 ] && echo passed || echo "failed ($code)") | $((SECONDS - began)) s |" | tee -a "$out/table.md"
}
tests() {
    if [ -n "$dry" ]; then python3 -m pytest -q -m gpu --collect-only "$@"; else
        FRAMESTATE_REQUIRE_CUDA=1 python3 -m pytest -q -m gpu "$@"; fi
}
errors() { # of the Triton kernels against float64, as JSON
    if [ -n "$dry" ]; then python3 -m py_compile tests/plugins/triton_cases.py; else
        python3 tests/plugins/triton_cases.py cuda; fi
}
latency() { # MODEL RUNTIME WxH
    framestate bench latency --model "$1" --runtime "$2" --device $device --size "$3" --frames $frames --warm-up $((frames / 10)) --json
}
throughput() { # MODEL RUNTIME [--precision NAME]
    framestate bench throughput --model "$1" --runtime "$2" --device $device "${@:3}" --sessions $sessions \
        --frames $many --repetitions $rounds --json
}
pair() { # MODEL RUNTIME WxH
    framestate bench pair --model "$1" --runtime "$2" --device $device --size "$3" --repetitions $pairs --json
}

part doctor framestate doctor --json
part errors errors                               # each kernel's error against float64
part kernels tests tests/plugins                 # the same as tests, and rows by index
part runtimes tests tests/runtimes               # eager with graphs and halves, onnx bound and with graphs, crops
part scan python3 -m framestate.plugins.gpu_scan --device $device --repetitions $((pairs * 2)) # beside its floor and mamba-ssm
for runtime in eager onnx; do
    for size in $sizes; do
        part "latency-$runtime-$size" latency tracker-nano $runtime "$size"
        part "pair-$runtime-$size" pair interp-nano $runtime "$size"
    done
done
part throughput-eager-fp32 throughput tracker-nano eager
for precision in $halves; do
    part "throughput-eager-$precision" throughput tracker-nano eager --precision "$precision"
done
part throughput-onnx-fp32 throughput tracker-nano onnx
if python3 -c 'import tensorrt, pycuda.driver' 2>/dev/null; then
    part plan-tests tests tests/export
    for precision in fp32 fp16; do
        part "plans-$precision" framestate export tracker-nano --to tensorrt --precision $precision --max-batch 256 --out "$out/plans-$precision" --json
        part "throughput-tensorrt-$precision" throughput "$out/plans-$precision" tensorrt
        for size in $sizes; do part "latency-tensorrt-$precision-$size" latency "$out/plans-$precision" tensorrt "$size"; done
    done
    chosen=()
    for size in $sizes; do chosen+=(--size "$size"); done
    part plans-interpolator framestate export interp-nano --to tensorrt "${chosen[@]}" --frames 20 --out "$out/plans-interpolator" --json
    for size in $sizes; do part "pair-tensorrt-$size" pair "$out/plans-interpolator" tensorrt "$size"; done
else
    echo "| plans | $(date -u +%Y-%m-%d) | not run: tensorrt or pycuda does not import | 0 s |" | tee -a "$out/table.md"
fi
rm -rf "$out"/plans-*/                           # plans run nowhere else; the manifests' keys are in the parts' output
python3 -m framestate.bench.gpu_report "$out" | tee "$out/report.md"
echo "wrote $out/report.md; send the whole folder $out"

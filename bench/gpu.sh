#!/usr/bin/env bash
# Everything that docs/gpu.md calls "not run", on a machine with an NVIDIA GPU, into a folder of two files to send back.
# NOT RUN YET on a GPU: it was written where there is none; --dry was. A part that fails, or takes longer than its
# limit, is written down, and the others go on. The report is written anew after every part.
#
#   pip install 'framestate[torch,cuda,dev]'   # and [tensorrt], for its part; run it in a checkout, for the tests
#   bench/gpu.sh [OUT]                         # OUT: a new folder; about an hour, half of it TensorRT's builds
#   bench/gpu.sh --quick [OUT]                 # what matters most, in five minutes
#   bench/gpu.sh --dry [OUT]                   # the same parts on a CPU, small, TensorRT's over stand-ins
set -euo pipefail
cd "$(dirname "$0")/.."

dry="" quick=""
while :; do
    case "${1:-}" in
    --dry) dry=1 ;;
    --quick) quick=1 ;;
    *) break ;;
    esac
    shift
done
out=${1:-gpu-report}
[ -e "$out" ] && { echo "error: $out exists already" >&2; exit 2; }
device=cuda frames=2000 many=5000 rounds=3 pairs=50 sessions=1,2,4,8,16,32,64,128,256 halves="bf16 fp16"
sizes="1280x720 1920x1080" runtimes="eager onnx" precisions="fp32 fp16" most=256 limit=900 total=7200
if [ -n "$quick" ]; then
    frames=300 many=1000 rounds=1 pairs=10 sessions=1,64 halves=bf16 sizes=1920x1080 precisions=fp16 most=64
    limit=60 total=280
fi
if [ -n "$dry" ]; then
    device=cpu frames=3 many=4 rounds=1 pairs=1 sessions=1,2 halves="" sizes=128x96 limit=900 total=7200
else
    command -v nvidia-smi >/dev/null || { echo "error: no nvidia-smi; this is for a machine with an NVIDIA GPU" >&2; exit 2; }
fi
limit=${LIMIT:-$limit}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
kept=$work/parts
mkdir "$kept"
trap 'rm -rf "$work"' EXIT
[ -n "$dry" ] || nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm --format=csv >"$kept/gpu.csv"
python3 -m pip freeze >"$kept/packages.list" 2>/dev/null || true
printf '| part | date | result | took |\n|---|---|---|---|\n' >"$kept/table.md"

# said NAME RESULT SECONDS: a line of the table, and the report and the archive with it
said() {
    echo "| $1 | $(date -u +%Y-%m-%d) | $2 | $3 s |" | tee -a "$kept/table.md"
    python3 -m framestate.bench.gpu_report "$kept" >"$work/report.md" && mv "$work/report.md" "$out/report.md"
    tar -czf "$work/parts.tar.gz" -C "$work" parts && mv "$work/parts.tar.gz" "$out/parts.tar.gz"
}
# part NAME COMMAND...: its output, how it ended, and one line of the table
part() {
    local name=$1 began=$SECONDS code=0
    shift
    time_left=$((total - SECONDS < limit ? total - SECONDS : limit))
    if [ $time_left -le 0 ]; then
        said "$name" "not run: no time left" 0
        return
    fi
    echo "$name ..." >&2
    "$@" >"$kept/$name.txt" 2>"$kept/$name.err" || code=$?
    case $code in
    0) said "$name" passed $((SECONDS - began)) ;;
    124 | 137) said "$name" "failed: more than $time_left s" $((SECONDS - began)) ;;
    *) said "$name" "failed ($code)" $((SECONDS - began)) ;;
    esac
}
# within COMMAND...: no longer than what is left to the part
within() { timeout --kill-after=10 "$time_left" "$@"; }
has() { within python3 -c "$1" 2>/dev/null; }
tests() { # those that need a GPU; dry: that they can be collected
    if [ -n "$dry" ]; then within python3 -m pytest -q -m gpu --collect-only "$@"; else
        FRAMESTATE_REQUIRE_CUDA=1 within python3 -m pytest -q -m gpu "$@"; fi
}
errors() { # of the Triton kernels against float64, as JSON
    if [ -n "$dry" ]; then within python3 -m py_compile tests/plugins/triton_cases.py; else
        within python3 tests/plugins/triton_cases.py cuda; fi
}
latency() { # MODEL RUNTIME WxH
    within framestate bench latency --model "$1" --runtime "$2" --device $device --size "$3" --frames $frames --warm-up $((frames / 10)) --json
}
throughput() { # MODEL RUNTIME [--precision NAME]
    within framestate bench throughput --model "$1" --runtime "$2" --device $device "${@:3}" --sessions $sessions \
        --frames $many --repetitions $rounds --json
}
pair() { # MODEL RUNTIME WxH
    within framestate bench pair --model "$1" --runtime "$2" --device $device --size "$3" --repetitions $pairs --json
}

time_left=$limit
part doctor within framestate doctor --json
part throughput-eager-fp32 throughput tracker-nano eager
if [ -n "$dry" ] || has 'import onnxruntime; assert "CUDAExecutionProvider" in onnxruntime.get_available_providers()'; then :; else
    said onnx "not run: this ONNX Runtime has no CUDA, see docs/gpu.md" 0
    runtimes=eager
fi
if has 'import triton'; then
    part errors errors                           # each kernel's error against float64
    part kernels tests tests/plugins             # the same as tests, and rows by index
    part scan within python3 -m framestate.plugins.gpu_scan --device $device --repetitions $((pairs * 2)) # beside its floor
else
    said kernels "not run: triton does not import" 0
fi
part runtimes tests tests/runtimes               # eager with graphs and halves, onnx bound and with graphs, crops
for runtime in $runtimes; do
    for size in $sizes; do
        part "latency-$runtime-$size" latency tracker-nano "$runtime" "$size"
        part "pair-$runtime-$size" pair interp-nano "$runtime" "$size"
    done
    [ "$runtime" = eager ] || part "throughput-$runtime-fp32" throughput tracker-nano "$runtime"
done
for precision in $halves; do
    part "throughput-eager-$precision" throughput tracker-nano eager --precision "$precision"
done
if [ -n "$dry" ]; then
    part plans within python3 -m pytest -q tests/runtimes/test_tensorrt.py tests/runtimes/test_{move,mix,crop}_rows.py
elif has 'import tensorrt, pycuda.driver'; then
    part plan-tests tests tests/export
    for precision in $precisions; do
        plans=$work/plans-$precision             # plans run nowhere else; their keys are in the parts' output
        part "plans-$precision" within framestate export tracker-nano --to tensorrt --precision "$precision" --max-batch $most --out "$plans" --json
        [ -e "$plans" ] || continue
        part "throughput-tensorrt-$precision" throughput "$plans" tensorrt
        for size in $sizes; do part "latency-tensorrt-$precision-$size" latency "$plans" tensorrt "$size"; done
    done
    chosen=()
    for size in $sizes; do chosen+=(--size "$size"); done
    part plans-interpolator within framestate export interp-nano --to tensorrt "${chosen[@]}" --frames 20 --out "$work/plans-interpolator" --json
    if [ -e "$work/plans-interpolator" ]; then
        for size in $sizes; do part "pair-tensorrt-$size" pair "$work/plans-interpolator" tensorrt "$size"; done
    fi
else
    said plans "not run: tensorrt or pycuda does not import" 0
fi
echo "wrote $out/report.md and $out/parts.tar.gz; send both"

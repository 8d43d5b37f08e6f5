#!/usr/bin/env bash
# One report of Framestate on a Jetson, to send back: frames a second, p99, power, temperature, joules a frame.
# NOT RUN YET: it was written where there is no Jetson.
#
#   sudo nvpmodel -m N && sudo jetson_clocks     # N: of MAXN, as 'framestate doctor --jetson' says; fixed clocks
#   bench/jetson.sh MODEL [OUT]                  # MODEL: a bundle with plans; OUT: a new folder
set -euo pipefail

model=${1:?which bundle? e.g. ./tracker-plans}
out=${2:-jetson-report}
[ -e "$out" ] && { echo "error: $out exists already" >&2; exit 2; }
command -v tegrastats >/dev/null || { echo "error: no tegrastats; this is for a Jetson" >&2; exit 2; }
mkdir -p "$out"
watcher=""
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true' EXIT

# watch NAME COMMAND...: runs a command with tegrastats beside it
watch() {
    tegrastats --interval 250 >"$out/tegrastats-$1.txt" &
    watcher=$!
    shift
    "$@"
    kill "$watcher"
    wait "$watcher" 2>/dev/null || true
    watcher=""
}
measure() { framestate bench "$1" --model "$model" --runtime tensorrt --device cuda "${@:2}" --json >"$out/$1.json"; }

framestate doctor --jetson --json >"$out/doctor.json"
watch rest sleep 10
watch latency measure latency --frames 3000
watch throughput measure throughput --sessions 1,2,4,8,16,32,64 --frames 3000
python3 -m framestate.bench.jetson_report "$out"
echo "wrote $out/report.json; send the whole folder $out"

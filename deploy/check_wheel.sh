#!/usr/bin/env bash
# Install a wheel into fresh environments, one a version of Python, and see it work there. Needs uv on the PATH, which
# fetches Pythons that are missing, where it can.
#
#   deploy/check_wheel.sh dist/framestate-1.2.3-py3-none-any.whl [3.11 3.12 3.13]
#
# Each line of the result says "passed", "FAILED" or "not run". It fails if one failed, or none was run.
set -euo pipefail
wheel=$(realpath "${1:?name the wheel}")
shift
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(3.11 3.12 3.13)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ran=0 failed=0
for version in "${versions[@]}"; do
  folder="$work/$version"
  if ! uv venv --quiet --python "$version" "$folder" 2>"$work/why"; then
    echo "Python $version: not run (no such Python here, and uv cannot fetch one)"
    continue
  fi
  ran=$((ran + 1))
  began=$SECONDS
  if uv pip install --quiet --python "$folder" "$wheel" && (
    mkdir "$folder/desk" && cd "$folder/desk" && PATH="$folder/bin:$PATH"
    framestate --version
    framestate demo --clip --frames 10
    framestate track clip.mp4 --box 98,181,123,75 --boxes boxes.csv --json
    framestate interpolate clip.mp4 smooth.mp4 --json
    python -c 'import cv2; cv2.TrackerCSRT'  # the one OpenCV that is wanted
  ) >"$folder/said" 2>&1; then
    echo "Python $version: passed, $("$folder/bin/framestate" --version), $((SECONDS - began)) s"
  else
    failed=$((failed + 1))
    echo "Python $version: FAILED"
    cat "$folder/said" 2>/dev/null || true
  fi
done
[ "$failed" = 0 ] && [ "$ran" -gt 0 ]

#!/usr/bin/env bash
# Installs Framestate with TensorRT on a Jetson (JetPack 6 or 7), without a container, into a virtual environment.
# NOT RUN YET: it was written where there is no Jetson. Run it from anywhere; it asks for sudo where it needs it.
#
#   PYTHON=python3.11 TARGET=$HOME/framestate deploy/jetson/install.sh
#
# PYTHON: 3.11 or newer. JetPack 6 ships 3.10, and TensorRT's bindings for that one alone: there, the bindings of
# TensorRT 10.3 are built for PYTHON from NVIDIA's sources. JetPack 7 ships 3.12 with bindings.
set -euo pipefail

python=${PYTHON:-python3}
target=${TARGET:-/opt/framestate}
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
as_root=""
if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ "$(uname -m)" = aarch64 ] || fail "this is $(uname -m), and a Jetson is aarch64"
command -v nvcc >/dev/null || export PATH=/usr/local/cuda/bin:$PATH
command -v nvcc >/dev/null || fail "no nvcc: install JetPack's CUDA ('sudo apt install nvidia-jetpack')"

say "packages of the system"
$as_root apt-get update
$as_root apt-get install --yes --no-install-recommends build-essential cmake git libboost-python-dev software-properties-common
if ! command -v "$python" >/dev/null; then
    $as_root add-apt-repository --yes ppa:deadsnakes/ppa
    $as_root apt-get install --yes --no-install-recommends "$python"
fi
# headers and venv are packages of their own, also where Python is there
whole='import ensurepip, os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
if ! "$python" -c "$whole" 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    $as_root apt-get install --yes --no-install-recommends "$version-dev" "$version-venv"
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; set PYTHON=python3.11"

say "virtual environment at $target"
"$python" -m venv "$target"
pip=("$target/bin/pip" install --constraint "$source_folder/constraints.txt")

if "$python" -c 'import tensorrt' 2>/dev/null; then
    say "TensorRT's bindings of the system"
    where=$("$python" -c 'import os, tensorrt; print(os.path.dirname(os.path.dirname(tensorrt.__file__)))')
    site=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ln -sfn "$where/tensorrt" "$site/tensorrt"
else
    say "TensorRT's bindings, from NVIDIA's sources"
    minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    git clone --depth 1 --branch release/10.3 https://github.com/NVIDIA/TensorRT.git "$work/TensorRT"
    git -C "$work/TensorRT" submodule update --init --depth 1 parsers/onnx # whose headers the bindings include
    "$target/bin/pip" install setuptools wheel # which a new environment has not, and build.sh calls
    # pybind11 2.12 is the first that knows NumPy 2; with the 2.9 of NVIDIA's own wheels, arrays in plugins' fields are misread
    git clone --depth 1 --branch v2.12.0 https://github.com/pybind/pybind11.git "$work/external/pybind11"
    mkdir -p "$work/external/python3.$minor"
    cp -r "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" "$work/external/python3.$minor/include"
    (
        cd "$work/TensorRT/python"
        export PATH="$target/bin:$PATH" # build.sh calls python3
        EXT_PATH="$work/external" TRT_OSSPATH="$work/TensorRT" TENSORRT_MODULE=tensorrt \
            PYTHON_MAJOR_VERSION=3 PYTHON_MINOR_VERSION="$minor" TARGET_ARCHITECTURE=aarch64 bash ./build.sh
    )
    "$target/bin/pip" install "$work"/TensorRT/python/build/bindings_wheel/dist/tensorrt-*.whl
fi

say "Framestate"
"${pip[@]}" pycuda
"${pip[@]}" "$source_folder[torch]" triton

say "what is usable"
"$target/bin/framestate" doctor --jetson

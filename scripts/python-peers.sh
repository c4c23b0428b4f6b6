#!/bin/sh
# Installs the frameworks that the benchmarks compare with: a Python environment (.venv, or the folder given as the
# first argument) and the JavaScript packages of bench/peers. Nothing else of the project needs them.
#   PYTHON            the interpreter to start from (default python3, 3.11 or newer)
#   TORCH_INDEX_URL   another index for torch, for example https://download.pytorch.org/whl/cpu: builds without CUDA,
#                     a tenth of the download
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv}
requirements=$root/bench/peers/requirements.txt

if [ ! -x "$venv/bin/python" ]; then
	"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	"${PYTHON:-python3}" -m venv "$venv"
fi
if [ -n "${TORCH_INDEX_URL:-}" ]; then
	"$venv/bin/python" -m pip install --index-url "$TORCH_INDEX_URL" "$(grep '^torch==' "$requirements")"
fi
"$venv/bin/python" -m pip install -r "$requirements"
npm ci --ignore-scripts --prefix "$root/bench/peers"

echo "installed: $venv/bin/python"
if [ "$venv" != "$root/.venv" ]; then echo "to use it: export MODELSMITH_PYTHON=$venv/bin/python"; fi

#!/usr/bin/env bash
# Installs what the suite compares against: ONNX and ONNX Runtime for Python (in .venv) and Chromium. Tests skip what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r scripts/referees.txt
if [ ! -x "${MODELSMITH_CHROMIUM:-/usr/bin/chromium}" ]; then
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
	else
		echo 'Chromium is not installed (Debian: apt-get install chromium); browser and WebGPU tests will be skipped' >&2
	fi
fi

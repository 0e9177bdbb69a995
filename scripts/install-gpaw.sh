#!/bin/sh
# Installs GPAW into a Python environment: scripts/install-gpaw.sh [PYTHON [compile]], default .venv/bin/python.
# With the word "compile" the environment stays as it is, the package is made in build/gpaw.
#
# GPAW is compiled on the spot. It needs a C++ compiler (its setup calls CC for C++ sources, hence CC=g++) and
# the headers of libxc, BLAS and FFTW. As root on Debian or Ubuntu they are installed when missing; elsewhere
# this says what to install. PAW data sets come as the package gpaw-data.
set -eu
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
packages=build/gpaw
mkdir -p "$packages"

if "$python" -c 'import gpaw, sys; sys.exit(not gpaw.setup_paths)' 2>/dev/null; then
    "$python" -c 'import gpaw; print("GPAW", gpaw.__version__, "is installed")'
    exit 0
fi

# What Debian calls the pieces, each with a file that shows it is there.
missing=
command -v g++ >/dev/null 2>&1 || missing="$missing g++"
has_header() { echo "#include <$1>" | g++ -E -x c++ - >/dev/null 2>&1; }
if command -v g++ >/dev/null 2>&1; then
    has_header xc.h || missing="$missing libxc-dev"
    has_header fftw3.h || missing="$missing libfftw3-dev"
    echo 'int main(){}' | g++ -x c++ - -lopenblas -o /dev/null 2>/dev/null || missing="$missing libopenblas-dev"
else
    missing="$missing libxc-dev libfftw3-dev libopenblas-dev"
fi
# The compiler finds Python's headers only where Python was installed with them.
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -e "$header" ] || missing="$missing python3-dev"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        # shellcheck disable=SC2086  # a list of package names
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "error: GPAW cannot be compiled, these are missing:$missing" >&2
        echo "  Debian, Ubuntu: sudo apt-get install$missing" >&2
        echo "  macOS:          brew install libxc fftw openblas" >&2
        echo "  then run this script again; without GPAW everything but new DFT densities works." >&2
        exit 2
    fi
fi

ls "$packages"/gpaw-*.whl >/dev/null 2>&1 || echo "compiling GPAW (two to five minutes)"
CC=g++ CXX=g++ "$python" -m pip wheel -qq --no-deps -c constraints.txt -f "$packages" -w "$packages" gpaw
[ "${2:-}" = compile ] && exit 0
"$python" -m pip install -qq -c constraints.txt -f "$packages" gpaw gpaw-data
"$python" -c 'import gpaw; print("GPAW", gpaw.__version__, "installed, PAW data in", *gpaw.setup_paths)'

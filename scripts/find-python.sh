#!/bin/sh
# Prints the command of a Python that RhoTEM runs on (3.11 or later, with venv), or says what to install.
for candidate in "$@" python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$candidate"
        exit 0
    fi
done
echo "error: RhoTEM needs Python 3.11 or later with its venv module." >&2
echo "  Debian, Ubuntu: sudo apt-get install python3 python3-venv     macOS: brew install python" >&2
exit 1

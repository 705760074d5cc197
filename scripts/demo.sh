#!/bin/sh
# Runs the demonstration with the program that "make build" made. With DEMO_EXIT=1
# it ends by itself, with 0 if everything was right.
set -eu
cd "$(dirname "$0")/.."
case "${DEMO_EXIT:-}" in
"" | 0) exec bin/lighterage demo ;;
*) exec bin/lighterage demo --exit ;;
esac

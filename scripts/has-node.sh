#!/bin/sh
# Succeeds where the web console can be built: Node.js 20.19, 22.12 or later, and npm.
command -v npm >/dev/null || exit 1
node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null

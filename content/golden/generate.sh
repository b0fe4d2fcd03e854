#!/usr/bin/env bash
# Rewrites vectors.json with the Kubo that localnet/tools/kubo pins. Needs Go; takes a few minutes
# the first time (building Kubo) and about 3 GiB of temporary disk.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
ipfs=${GANTRY_KUBO:-}
if [[ -z $ipfs ]]; then
  ipfs=$bin/ipfs
  (cd "$here/../../localnet/tools/kubo" && go build -o "$ipfs" github.com/ipfs/kubo/cmd/ipfs)
fi
"$ipfs" version | grep -qx 'ipfs version 0.42.0' || { echo "expected Kubo 0.42.0 at $ipfs" >&2; exit 1; }
go run "$here/generate.go" "$ipfs" > "$bin/vectors.json"
mv "$bin/vectors.json" "$here/vectors.json"

#!/usr/bin/env bash
# Rebuilds path_tracer.wasm. With the compiler below the bytes are those of the committed artifact, wherever the sources lie.
#   build.sh           write path_tracer.wasm and path_tracer.wasm.sha256 beside this script
#   build.sh --check   build into a temporary folder and compare with the committed artifact
# Exits with 3 when the exact compiler is absent, 1 when the comparison fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

rustc=${GANTRY_GUEST_RUSTC:-/usr/bin/rustc}
want='rustc 1.63.0, LLVM 14.0.6, wasm-ld 14'
have=$({ "$rustc" --version --verbose && wasm-ld --version; } 2>/dev/null) || have=
release=$(sed -n 's/^release: //p' <<<"$have")
llvm=$(sed -n 's/^LLVM version: //p' <<<"$have")
linker=$(grep -Eo 'LLD [0-9]+' <<<"$have" | cut -d' ' -f2 || true)
std=$("$rustc" --print sysroot 2>/dev/null)/lib/rustlib/wasm32-wasi/lib
if [[ "rustc $release, LLVM $llvm, wasm-ld $linker" != "$want" || ! -d $std ]]; then
  echo "build.sh needs $want with the wasm32-wasi standard library." >&2
  echo "On Debian 12: apt-get install rustc libstd-rust-dev-wasm32 lld" >&2
  echo "(another place of rustc: GANTRY_GUEST_RUSTC=/path/to/rustc)" >&2
  exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(--edition 2021 --target wasm32-wasi -C opt-level=3 -C codegen-units=1 -C panic=abort
  -C metadata=gantry -C linker=wasm-ld --remap-path-prefix "$PWD=path-tracer" --remap-path-prefix "$work=build")
"$rustc" "${flags[@]}" --crate-name path_tracer --crate-type rlib src/lib.rs -o "$work/libpath_tracer.rlib"
"$rustc" "${flags[@]}" -C lto=fat -C strip=symbols --crate-name path_tracer_command src/main.rs \
  --extern path_tracer="$work/libpath_tracer.rlib" -o "$work/path_tracer.wasm"

if [[ ${1:-} == --check ]]; then
  cmp "$work/path_tracer.wasm" path_tracer.wasm
  sha256sum --check --quiet path_tracer.wasm.sha256
  echo "path_tracer.wasm is what the sources compile to"
else
  install -m 644 "$work/path_tracer.wasm" path_tracer.wasm
  sha256sum path_tracer.wasm >path_tracer.wasm.sha256
  cat path_tracer.wasm.sha256
fi

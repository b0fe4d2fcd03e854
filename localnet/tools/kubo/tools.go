//go:build tools

// Package tools pins Kubo: `go build -o BIN github.com/ipfs/kubo/cmd/ipfs` here
// builds exactly the version that go.mod names, with the sums of go.sum.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs"

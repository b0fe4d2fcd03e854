//go:build tools

package tools

import _ "github.com/cosmos/ibc-go/v8/testing/simapp/simd"

// Command verify checks, with Go ics23, proofs that the Rust store made.
//
//	go run ./verify FILE
//
// FILE holds a JSON list of {app_hash, store, key, value (absent for an absence proof), ops: [{type, key, data}]}, bytes
// in hex. The exit status is 0 if every proof holds, and not if one does not or there is none.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	ics23 "github.com/cosmos/ics23/go"
)

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

type step struct {
	Type string   `json:"type"`
	Key  hexBytes `json:"key"`
	Data hexBytes `json:"data"`
}

type claim struct {
	AppHash hexBytes  `json:"app_hash"`
	Store   string    `json:"store"`
	Key     hexBytes  `json:"key"`
	Value   *hexBytes `json:"value"`
	Ops     []step    `json:"ops"`
}

func (c claim) verify() error {
	if len(c.Ops) != 2 || c.Ops[0].Type != "ics23:iavl" || c.Ops[1].Type != "ics23:simple" {
		return fmt.Errorf("steps are not iavl, simple")
	}
	if !bytes.Equal(c.Ops[0].Key, c.Key) || string(c.Ops[1].Key) != c.Store {
		return fmt.Errorf("steps name another key or store")
	}
	var row, store ics23.CommitmentProof
	if err := row.Unmarshal(c.Ops[0].Data); err != nil {
		return err
	}
	if err := store.Unmarshal(c.Ops[1].Data); err != nil {
		return err
	}
	root := store.GetExist().GetValue()
	if !ics23.VerifyMembership(ics23.TendermintSpec, ics23.CommitmentRoot(c.AppHash), &store, []byte(c.Store), root) {
		return fmt.Errorf("the store is not in the app hash")
	}
	if c.Value != nil && !ics23.VerifyMembership(ics23.IavlSpec, root, &row, c.Key, *c.Value) {
		return fmt.Errorf("the row is not in the store")
	}
	if c.Value == nil && !ics23.VerifyNonMembership(ics23.IavlSpec, root, &row, c.Key) {
		return fmt.Errorf("the absence does not hold")
	}
	return nil
}

func main() {
	var claims []claim
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err == nil && len(claims) == 0 {
		err = fmt.Errorf("no proofs")
	}
	for i, claim := range claims {
		if err == nil {
			if err = claim.verify(); err != nil {
				err = fmt.Errorf("proof %d (store %s, key %x): %w", i, claim.Store, claim.Key, err)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(len(claims), "proofs hold")
}

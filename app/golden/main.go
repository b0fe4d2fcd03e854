// Command golden writes shapes.json: the files and output that cosmos-sdk v0.50 and CometBFT v0.38 make of fixed keys,
// accounts and transactions. `go run . > shapes.json` makes it anew.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func check(err error) { must(0, err) }

func main() {
	sdk.GetConfig().SetBech32PrefixForAccount("gantry", "gantrypub")
	sdk.GetConfig().SetBech32PrefixForConsensusNode("gantryvalcons", "gantryvalconspub")
	registry := codectypes.NewInterfaceRegistry()
	cryptocodec.RegisterInterfaces(registry)
	authtypes.RegisterInterfaces(registry)
	banktypes.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)
	dir := must(os.MkdirTemp("", "golden"))
	defer os.RemoveAll(dir)
	out := map[string]any{}

	// Node and validator keys of one seed.
	seed := must(hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
	out["seed"] = hex.EncodeToString(seed)
	private := ed25519.PrivKey(append(seed, must(hex.DecodeString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))...))
	nodeKey := &p2p.NodeKey{PrivKey: private}
	out["node_key"] = json.RawMessage(must(cmtjson.Marshal(nodeKey)))
	out["node_id"] = nodeKey.ID()
	pv := privval.NewFilePV(private, filepath.Join(dir, "key.json"), filepath.Join(dir, "state.json"))
	pv.Save()
	out["priv_validator_key"] = json.RawMessage(must(os.ReadFile(filepath.Join(dir, "key.json"))))
	out["priv_validator_state"] = json.RawMessage(must(os.ReadFile(filepath.Join(dir, "state.json"))))
	out["show_address"] = sdk.ConsAddress(pv.GetAddress()).String()
	out["show_validator"] = json.RawMessage(must(cdc.MarshalInterfaceJSON(must(cryptocodec.FromCmtPubKeyInterface(private.PubKey())))))

	// Accounts of genesis.
	genesis := filepath.Join(dir, "genesis.json")
	state := must(json.Marshal(map[string]json.RawMessage{
		authtypes.ModuleName: cdc.MustMarshalJSON(authtypes.DefaultGenesisState()),
		banktypes.ModuleName: cdc.MustMarshalJSON(banktypes.DefaultGenesisState()),
	}))
	check(genutil.ExportGenesisFile(genutiltypes.NewAppGenesisWithVersion("gantry-test-1", state), genesis))
	accounts := []map[string]any{}
	var addresses []sdk.AccAddress
	for i, step := range []struct {
		coins  string
		append bool
	}{{"100ugantry,5atom", false}, {"7ugantry", false}, {"1ugantry", true}} {
		key := &secp256k1.PrivKey{Key: make([]byte, 32)}
		key.Key[31] = byte(min(i, 1) + 1)
		address := sdk.AccAddress(key.PubKey().Address())
		addresses = append(addresses, address)
		check(genutil.AddGenesisAccount(cdc, address, step.append, genesis, step.coins, "", 0, 0, ""))
		accounts = append(accounts, map[string]any{
			"private_key": hex.EncodeToString(key.Key), "address": address.String(), "coins": step.coins, "append": step.append,
		})
	}
	written := must(genutiltypes.AppGenesisFromFile(genesis))
	out["genesis_accounts"] = accounts
	out["app_state"] = written.AppState

	// An unsigned transaction and the answer to a broadcast.
	config := authtx.NewTxConfig(cdc, authtx.DefaultSignModes)
	builder := config.NewTxBuilder()
	coins := sdk.NewCoins(sdk.NewInt64Coin("ugantry", 5))
	check(builder.SetMsgs(banktypes.NewMsgSend(addresses[0], addresses[1], coins)))
	builder.SetMemo("hi")
	builder.SetGasLimit(200000)
	builder.SetFeeAmount(sdk.NewCoins(sdk.NewInt64Coin("ugantry", 2000)))
	out["unsigned_tx"] = json.RawMessage(must(config.TxJSONEncoder()(builder.GetTx())))
	out["tx_response"] = json.RawMessage(must(cdc.MarshalJSON(&sdk.TxResponse{TxHash: "AB", Codespace: "sdk", Code: 32, RawLog: "x"})))

	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(out))
}

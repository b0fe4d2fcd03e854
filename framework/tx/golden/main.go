// Writes golden vectors for gantry-tx, gantry-auth and gantry-bank: what the Cosmos SDK signs, which encodings it refuses,
// and the rows and events that its auth and bank keepers write.
//
//	go run . > vectors.json
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"

	"cosmossdk.io/log"
	storetypes "cosmossdk.io/store/types"
	txsigning "cosmossdk.io/x/tx/signing"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/runtime"
	"github.com/cosmos/cosmos-sdk/std"
	"github.com/cosmos/cosmos-sdk/testutil"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	"github.com/cosmos/cosmos-sdk/x/auth/migrations/legacytx"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/protobuf/encoding/protowire"
)

const prefix = "gantry"

type hexBytes []byte

func (b hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(b)) }

type signVector struct {
	Name          string   `json:"name"`
	Key           hexBytes `json:"key"`
	ChainID       string   `json:"chain_id"`
	AccountNumber uint64   `json:"account_number"`
	Body          hexBytes `json:"body"`
	AuthInfo      hexBytes `json:"auth_info"`
	SignBytes     hexBytes `json:"sign_bytes"`
	Signature     hexBytes `json:"signature"`
	TxRaw         hexBytes `json:"tx_raw"`
}

type decodeVector struct {
	Name  string   `json:"name"`
	Tx    hexBytes `json:"tx"`
	OK    bool     `json:"ok"`
	Error string   `json:"error"`
}

type row struct {
	Key   hexBytes `json:"key"`
	Value hexBytes `json:"value"`
}

type event struct {
	Type       string      `json:"type"`
	Attributes [][2]string `json:"attributes"`
}

type vectors struct {
	Sign                []signVector    `json:"sign"`
	Decode              []decodeVector  `json:"decode"`
	SimulatedSignature  int             `json:"simulated_signature"`
	AuthGenesis         json.RawMessage `json:"auth_genesis"`
	BankGenesis         json.RawMessage `json:"bank_genesis"`
	Acc                 []row           `json:"acc"`
	Bank                []row           `json:"bank"`
	Events              []event         `json:"events"`
	ExportedAuthGenesis json.RawMessage `json:"exported_auth_genesis"`
	ExportedBankGenesis json.RawMessage `json:"exported_bank_genesis"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func key(name string) *secp256k1.PrivKey { return secp256k1.GenPrivKeyFromSecret([]byte(name)) }

func addr(name string) sdk.AccAddress { return sdk.AccAddress(key(name).PubKey().Address()) }

func coins(text string) sdk.Coins { return must(sdk.ParseCoinsNormalized(text)) }

// One field of a message: its tag and value.
func varint(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

func bytesField(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func fixed32(number protowire.Number) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, number, protowire.Fixed32Type), 7)
}

func fixed64(number protowire.Number) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), 7)
}

func group(number protowire.Number) []byte {
	return protowire.AppendTag(protowire.AppendTag(nil, number, protowire.StartGroupType), number, protowire.EndGroupType)
}

func cat(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func raw(body, authInfo []byte, signatures ...[]byte) []byte {
	return must(proto.Marshal(&tx.TxRaw{BodyBytes: body, AuthInfoBytes: authInfo, Signatures: signatures}))
}

func signVectors(cdc codec.Codec) []signVector {
	config := authtx.NewTxConfig(cdc, []signing.SignMode{signing.SignMode_SIGN_MODE_DIRECT})
	type input struct {
		name     string
		msgs     []sdk.Msg
		memo     string
		timeout  uint64
		fee      string
		gas      uint64
		payer    sdk.AccAddress
		chain    string
		number   uint64
		sequence uint64
	}
	send := banktypes.NewMsgSend(addr("alice"), addr("bob"), coins("5ugantry"))
	multi := banktypes.NewMsgMultiSend(
		banktypes.NewInput(addr("alice"), coins("3atom,7ugantry")),
		[]banktypes.Output{banktypes.NewOutput(addr("bob"), coins("3atom,2ugantry")), banktypes.NewOutput(addr("carol"), coins("5ugantry"))},
	)
	inputs := []input{
		{name: "send", msgs: []sdk.Msg{send}, fee: "500ugantry", gas: 200000, chain: "gantry-1", number: 7, sequence: 3},
		{name: "zero number and sequence", msgs: []sdk.Msg{send}, fee: "1ugantry", gas: 1, chain: "gantry-local", number: 0, sequence: 0},
		{name: "no fee", msgs: []sdk.Msg{send}, gas: 90000, chain: "gantry-1", number: 1, sequence: 1},
		{name: "memo and timeout", msgs: []sdk.Msg{send}, memo: "rendu: <été> & \"tiles\" ✓", timeout: 1 << 40, fee: "2atom,5ugantry", gas: 1 << 40, chain: "gantry-1", number: 1 << 33, sequence: 1 << 34},
		{name: "multi-send", msgs: []sdk.Msg{multi}, fee: "500ugantry", gas: 200000, chain: "gantry-1", number: 7, sequence: 4},
		{name: "several messages", msgs: []sdk.Msg{send, multi, send}, fee: "500ugantry", gas: 200000, chain: "gantry-1", number: 7, sequence: 5},
		{name: "payer is the signer", msgs: []sdk.Msg{send}, fee: "500ugantry", gas: 200000, payer: addr("alice"), chain: "gantry-1", number: 7, sequence: 6},
	}
	var out []signVector
	for _, in := range inputs {
		builder := config.NewTxBuilder()
		if err := builder.SetMsgs(in.msgs...); err != nil {
			panic(err)
		}
		builder.SetMemo(in.memo)
		builder.SetTimeoutHeight(in.timeout)
		builder.SetFeeAmount(coins(in.fee))
		builder.SetGasLimit(in.gas)
		if in.payer != nil {
			builder.SetFeePayer(in.payer)
		}
		priv := key("alice")
		data := &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT}
		sig := signing.SignatureV2{PubKey: priv.PubKey(), Data: data, Sequence: in.sequence}
		if err := builder.SetSignatures(sig); err != nil {
			panic(err)
		}
		signerData := authsigning.SignerData{
			Address: addr("alice").String(), ChainID: in.chain, AccountNumber: in.number, Sequence: in.sequence, PubKey: priv.PubKey(),
		}
		doc := must(authsigning.GetSignBytesAdapter(context.Background(), config.SignModeHandler(), signing.SignMode_SIGN_MODE_DIRECT, signerData, builder.GetTx()))
		data.Signature = must(priv.Sign(doc))
		if err := builder.SetSignatures(sig); err != nil {
			panic(err)
		}
		bz := must(config.TxEncoder()(builder.GetTx()))
		var parts tx.TxRaw
		if err := proto.Unmarshal(bz, &parts); err != nil {
			panic(err)
		}
		out = append(out, signVector{
			in.name, priv.Key, in.chain, in.number, parts.BodyBytes, parts.AuthInfoBytes, doc, data.Signature, bz,
		})
	}
	return out
}

func decodeVectors(cdc codec.Codec, sample signVector) []decodeVector {
	decoder := authtx.DefaultTxDecoder(cdc)
	var out []decodeVector
	add := func(name string, bz []byte) {
		_, err := decoder(bz)
		v := decodeVector{Name: name, Tx: bz, OK: err == nil}
		if err != nil {
			v.Error = err.Error()
		}
		out = append(out, v)
	}
	body, auth, sig := []byte(sample.Body), []byte(sample.AuthInfo), []byte(sample.Signature)
	whole := []byte(sample.TxRaw)
	add("valid", whole)

	// TxRaw.
	b, a, s := bytesField(1, body), bytesField(2, auth), bytesField(3, sig)
	add("raw/empty", nil)
	add("raw/auth before body", cat(a, b, s))
	add("raw/signature first", cat(s, b, a))
	add("raw/signature between", cat(b, s, a))
	add("raw/unknown 4", cat(b, a, s, bytesField(4, nil)))
	add("raw/unknown 1024", cat(b, a, s, bytesField(1024, nil)))
	add("raw/unknown varint", cat(b, a, s, varint(4, 1)))
	add("raw/body as varint", cat(varint(1, 5), a, s))
	add("raw/auth as fixed64", cat(b, fixed64(2), s))
	add("raw/signature as fixed32", cat(b, a, fixed32(3)))
	add("raw/group", cat(b, a, group(3)))
	add("raw/no signature", cat(b, a))
	add("raw/two signatures", cat(b, a, s, s))
	add("raw/empty signature", cat(b, a, bytesField(3, nil)))
	add("raw/no body", cat(a, s))
	add("raw/no auth", cat(b, s))
	add("raw/field 0", cat(b, a, s, []byte{0x02, 0x00}))
	add("raw/trailing byte", cat(whole, []byte{0x1a}))
	add("raw/length beyond end", cat(b, a, []byte{0x1a, 0x7f}))
	add("raw/reserved wire type", cat(b, a, s, []byte{0x1f}))
	add("raw/overflowing tag", cat(b, a, s, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}))
	add("raw/long length", cat(b, a, []byte{0x1a, 0xc0, 0x00}, sig))
	add("raw/longer length", cat(b, a, []byte{0x1a, 0xc0, 0x80, 0x00}, sig))
	add("raw/huge length", cat(b, a, []byte{0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}))
	add("stricter/long tag", cat(b, a, []byte{0x9a, 0x00, 0x40}, sig))
	add("stricter/body twice", cat(b, b, a, s))
	add("stricter/auth twice", cat(b, a, a, s))
	for i := 0; i < len(whole); i += 17 {
		add(fmt.Sprintf("raw/cut at %d", i), whole[:i])
	}

	withBody := func(name string, body []byte) { add("body/"+name, raw(body, auth, sig)) }
	withAuth := func(name string, auth []byte) { add("auth/"+name, raw(body, auth, sig)) }
	fields := map[string]func(protowire.Number) []byte{
		"varint":  func(n protowire.Number) []byte { return varint(n, 1) },
		"bytes":   func(n protowire.Number) []byte { return bytesField(n, []byte("x")) },
		"fixed32": fixed32,
		"fixed64": fixed64,
	}
	for _, wire := range []string{"varint", "bytes", "fixed32", "fixed64"} {
		field := fields[wire]
		for _, n := range []protowire.Number{4, 5, 100, 1024, 1030, 2000, 2048, 3072, 1<<29 - 1} {
			withBody(fmt.Sprintf("unknown %s %d", wire, n), cat(body, field(n)))
			withAuth(fmt.Sprintf("unknown %s %d", wire, n), cat(auth, field(n)))
		}
		for _, n := range []protowire.Number{1, 2, 3, 1023, 2047} {
			withBody(fmt.Sprintf("%s as %d", wire, n), cat(body, field(n)))
		}
		for _, n := range []protowire.Number{1, 2, 3} {
			withAuth(fmt.Sprintf("%s as %d", wire, n), cat(auth, field(n)))
		}
	}
	add("stricter/group in body", raw(cat(body, group(1030)), auth, sig))
	withBody("memo again", cat(body, bytesField(2, []byte("x"))))
	withBody("long varint", cat(body, []byte{0x18, 0x80, 0x80, 0x00}))
	withBody("overflowing varint", cat(body, []byte{0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}))
	withAuth("group", cat(auth, group(1030)))

	// Within messages.
	var parsed tx.TxBody
	if err := proto.Unmarshal(body, &parsed); err != nil {
		panic(err)
	}
	msg := parsed.Messages[0]
	anyOf := func(url string, value []byte) []byte { return cat(bytesField(1, []byte(url)), bytesField(2, value)) }
	message := func(name, url string, value []byte) { withBody(name, bytesField(1, anyOf(url, value))) }
	message("message unknown 4", msg.TypeUrl, cat(msg.Value, varint(4, 1)))
	message("message unknown 1030", msg.TypeUrl, cat(msg.Value, varint(1030, 1)))
	message("message unknown 2048", msg.TypeUrl, cat(msg.Value, varint(2048, 1)))
	message("message wire type", msg.TypeUrl, cat(msg.Value, varint(1, 1)))
	message("message cut", msg.TypeUrl, msg.Value[:len(msg.Value)-1])
	coin := func(extra []byte) []byte {
		return cat(msg.Value, bytesField(3, cat(bytesField(1, []byte("zzz")), bytesField(2, []byte("1")), extra)))
	}
	message("coin as it is", msg.TypeUrl, coin(nil))
	message("coin unknown 3", msg.TypeUrl, coin(varint(3, 1)))
	message("coin unknown 1030", msg.TypeUrl, coin(varint(1030, 1)))
	message("coin wire type", msg.TypeUrl, coin(fixed32(1)))
	message("type url unknown", "/gantry.none.v1.Msg", msg.Value)
	message("type url without slash", msg.TypeUrl[1:], msg.Value)
	message("type url with domain", "type.googleapis.com"+msg.TypeUrl, msg.Value)
	message("type url empty", "", msg.Value)
	message("type url of Any", "/google.protobuf.Any", anyOf(msg.TypeUrl, msg.Value))
	message("empty value", msg.TypeUrl, nil)
	withBody("message empty", bytesField(1, nil))
	withBody("any unknown 3", bytesField(1, cat(anyOf(msg.TypeUrl, msg.Value), varint(3, 1))))
	withBody("any unknown 1030", bytesField(1, cat(anyOf(msg.TypeUrl, msg.Value), varint(1030, 1))))
	withBody("any wire type", bytesField(1, cat(anyOf(msg.TypeUrl, msg.Value), varint(2, 1))))
	withBody("any value twice", bytesField(1, cat(anyOf(msg.TypeUrl, []byte{0xff}), bytesField(2, msg.Value))))
	withBody("extension option unknown", cat(body, bytesField(1023, anyOf("/gantry.none.v1.Option", nil))))
	withBody("non-critical option unknown", cat(body, bytesField(2047, anyOf("/gantry.none.v1.Option", nil))))

	// Within auth info.
	var info tx.AuthInfo
	if err := proto.Unmarshal(auth, &info); err != nil {
		panic(err)
	}
	fee := must(proto.Marshal(info.Fee))
	signer := must(proto.Marshal(info.SignerInfos[0]))
	pub := info.SignerInfos[0].PublicKey
	mode := must(proto.Marshal(info.SignerInfos[0].ModeInfo))
	f, si := bytesField(2, fee), bytesField(1, signer)
	withAuth("fee unknown 5", cat(si, bytesField(2, cat(fee, varint(5, 1)))))
	withAuth("fee unknown 1030", cat(si, bytesField(2, cat(fee, varint(1030, 1)))))
	withAuth("fee wire type", cat(si, bytesField(2, cat(fee, bytesField(2, nil)))))
	withAuth("signer unknown 4", cat(bytesField(1, cat(signer, varint(4, 1))), f))
	withAuth("signer unknown 1030", cat(bytesField(1, cat(signer, varint(1030, 1))), f))
	withAuth("mode unknown 3", cat(bytesField(1, cat(signer, bytesField(2, cat(mode, varint(3, 1))))), f))
	withAuth("mode single unknown 2", cat(bytesField(1, cat(signer, bytesField(2, bytesField(1, varint(2, 1))))), f))
	withKey := func(name, url string, value []byte) {
		withAuth(name, cat(bytesField(1, cat(bytesField(1, anyOf(url, value)), bytesField(2, mode))), f))
	}
	withKey("key as it is", pub.TypeUrl, pub.Value)
	withKey("key unknown 2", pub.TypeUrl, cat(pub.Value, varint(2, 1)))
	withKey("key unknown 1030", pub.TypeUrl, cat(pub.Value, varint(1030, 1)))
	withKey("key wire type", pub.TypeUrl, varint(1, 1))
	withKey("key type unknown", "/gantry.none.v1.Key", pub.Value)
	withKey("key type empty", "", nil)
	withAuth("key any unknown 3", cat(bytesField(1, cat(bytesField(1, cat(anyOf(pub.TypeUrl, pub.Value), varint(3, 1))), bytesField(2, mode))), f))

	// Bits flipped anywhere.
	random := rand.New(rand.NewSource(7))
	for i := 0; i < 60; i++ {
		flipped := append([]byte(nil), whole...)
		at := random.Intn(len(flipped) - 66)
		flipped[at] ^= 1 << random.Intn(8)
		add(fmt.Sprintf("flip/%d", at), flipped)
	}
	return out
}

func dump(store storetypes.KVStore) []row {
	var rows []row
	iterator := store.Iterator(nil, nil)
	defer iterator.Close()
	for ; iterator.Valid(); iterator.Next() {
		rows = append(rows, row{append([]byte{}, iterator.Key()...), append([]byte{}, iterator.Value()...)})
	}
	return rows
}

func state(cdc codec.Codec, out *vectors) {
	keys := storetypes.NewKVStoreKeys(authtypes.StoreKey, banktypes.StoreKey)
	ctx := testutil.DefaultContextWithKeys(keys, nil, nil)
	names := []string{"fee_collector", "escrow", "provider_bond", "slash_pool", "market_fee"}
	perms := map[string][]string{}
	for _, name := range names {
		perms[name] = nil
	}
	authority := authtypes.NewModuleAddress("gov").String()
	ak := authkeeper.NewAccountKeeper(cdc, runtime.NewKVStoreService(keys[authtypes.StoreKey]), authtypes.ProtoBaseAccount,
		perms, address.NewBech32Codec(prefix), prefix, authority)
	bk := bankkeeper.NewBaseKeeper(cdc, runtime.NewKVStoreService(keys[banktypes.StoreKey]), ak, map[string]bool{}, authority, log.NewNopLogger())

	alice := authtypes.NewBaseAccount(addr("alice"), key("alice").PubKey(), 0, 12)
	bob := authtypes.NewBaseAccount(addr("bob"), nil, 0, 0)
	dave := authtypes.NewBaseAccount(addr("dave"), nil, 5, 0)
	authGenesis := authtypes.NewGenesisState(authtypes.DefaultParams(), authtypes.GenesisAccounts{alice, bob, dave})
	bankGenesis := banktypes.NewGenesisState(
		banktypes.DefaultParams(),
		[]banktypes.Balance{
			{Address: addr("alice").String(), Coins: coins("1000atom,18446744073709551617ugantry")},
			{Address: addr("bob").String(), Coins: coins("4ugantry")},
			{Address: addr("dave").String(), Coins: coins("9zed")},
		},
		nil,
		[]banktypes.Metadata{{
			Description: "d", Base: "ugantry", Display: "gantry", Name: "Gantry", Symbol: "GANTRY",
			DenomUnits: []*banktypes.DenomUnit{{Denom: "ugantry", Aliases: []string{"microgantry"}}, {Denom: "gantry", Exponent: 6}},
		}},
		[]banktypes.SendEnabled{{Denom: "atom", Enabled: true}, {Denom: "zed", Enabled: false}},
	)
	out.AuthGenesis = cdc.MustMarshalJSON(authGenesis)
	out.BankGenesis = cdc.MustMarshalJSON(bankGenesis)
	ak.InitGenesis(ctx, *authGenesis)
	for _, name := range names {
		ak.GetModuleAccount(ctx, name)
	}
	bk.InitGenesis(ctx, bankGenesis)

	ctx = ctx.WithEventManager(sdk.NewEventManager())
	for _, err := range []error{
		bk.SendCoins(ctx, addr("alice"), addr("bob"), coins("10atom,250ugantry")),
		bk.SendCoins(ctx, addr("alice"), addr("erin"), coins("1ugantry")),
		bk.SendCoins(ctx, addr("bob"), addr("alice"), coins("10atom")),
		bk.SendCoins(ctx, addr("bob"), addr("bob"), coins("254ugantry")),
		bk.InputOutputCoins(ctx, banktypes.NewInput(addr("alice"), coins("5atom,5ugantry")), []banktypes.Output{
			banktypes.NewOutput(addr("bob"), coins("5atom")), banktypes.NewOutput(addr("frank"), coins("5ugantry")),
		}),
	} {
		if err != nil {
			panic(err)
		}
	}
	for _, e := range ctx.EventManager().Events() {
		v := event{Type: e.Type}
		for _, a := range e.Attributes {
			v.Attributes = append(v.Attributes, [2]string{a.Key, a.Value})
		}
		out.Events = append(out.Events, v)
	}
	out.Acc = dump(ctx.KVStore(keys[authtypes.StoreKey]))
	out.Bank = dump(ctx.KVStore(keys[banktypes.StoreKey]))
	out.ExportedAuthGenesis = cdc.MustMarshalJSON(ak.ExportGenesis(ctx))
	out.ExportedBankGenesis = cdc.MustMarshalJSON(bk.ExportGenesis(ctx))
}

func main() {
	sdk.GetConfig().SetBech32PrefixForAccount(prefix, prefix+"pub")
	registry := must(codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: proto.HybridResolver,
		SigningOptions: txsigning.Options{
			AddressCodec:          address.NewBech32Codec(prefix),
			ValidatorAddressCodec: address.NewBech32Codec(prefix + "valoper"),
		},
	}))
	std.RegisterInterfaces(registry)
	authtypes.RegisterInterfaces(registry)
	banktypes.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)

	var out vectors
	out.Sign = signVectors(cdc)
	out.Decode = decodeVectors(cdc, out.Sign[3])
	//nolint:staticcheck // the size that a simulation reckons for a signature to come
	out.SimulatedSignature = len(legacy.Cdc.MustMarshal(legacytx.StdSignature{Signature: make([]byte, 64), PubKey: key("alice").PubKey()})) + 6
	state(cdc, &out)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
}

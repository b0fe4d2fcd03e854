// Command golden writes vectors.json: what cosmos-sdk v0.50 makes of fixed mnemonics, keys and transactions.
//
//	go run . > vectors.json
//	go run . check PASSPHRASE < armored-key     prints the private key in hex, or fails
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/bcrypt"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/crypto/xsalsa20symmetric"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"
	"github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
)

const passphrase = "correct horse battery staple"

var mnemonics = []string{
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
	"hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length",
	"void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
}

type Derived struct {
	Mnemonic string `json:"mnemonic"`
	CoinType uint32 `json:"coin_type"`
	Account  uint32 `json:"account"`
	Index    uint32 `json:"index"`
	Private  string `json:"private"`
	Public   string `json:"public"`
	Cosmos   string `json:"cosmos"`
	Gantry   string `json:"gantry"`
}

type Signed struct {
	ChainID       string `json:"chain_id"`
	AccountNumber uint64 `json:"account_number"`
	Sequence      uint64 `json:"sequence"`
	From          string `json:"from"`
	To            string `json:"to"`
	Amount        string `json:"amount"`
	FeeAmount     string `json:"fee_amount"`
	GasLimit      uint64 `json:"gas_limit"`
	Memo          string `json:"memo"`
	Timeout       uint64 `json:"timeout_height"`
	SignBytes     string `json:"sign_bytes"`
	Signature     string `json:"signature"`
	TxRaw         string `json:"tx_raw"`
}

type Vectors struct {
	Passphrase string         `json:"passphrase"`
	Derived    []Derived      `json:"derived"`
	KeyOutput  keys.KeyOutput `json:"key_output"`
	Argon2     string         `json:"armor_argon2"`
	Bcrypt     string         `json:"armor_bcrypt"`
	Signed     []Signed       `json:"signed"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func derive(mnemonic string, coin, account, index uint32) (*secp256k1.PrivKey, Derived) {
	path := hd.CreateHDPath(coin, account, index).String()
	key := &secp256k1.PrivKey{Key: must(hd.Secp256k1.Derive()(mnemonic, "", path))}
	address := key.PubKey().Address()
	return key, Derived{
		Mnemonic: mnemonic, CoinType: coin, Account: account, Index: index,
		Private: hex.EncodeToString(key.Key),
		Public:  hex.EncodeToString(key.PubKey().Bytes()),
		Cosmos:  must(bech32.ConvertAndEncode("cosmos", address)),
		Gantry:  must(bech32.ConvertAndEncode("gantry", address)),
	}
}

// armorBcrypt writes the form of SDK versions before argon2, which v0.50 still reads.
func armorBcrypt(key *secp256k1.PrivKey) string {
	salt := sha256.Sum256([]byte("salt"))
	hash := must(bcrypt.GenerateFromPassword(salt[:16], []byte(passphrase), crypto.BcryptSecurityParameter))
	secret := sha256.Sum256(hash)
	sealed := xsalsa20symmetric.EncryptSymmetric(legacy.Cdc.MustMarshal(key), secret[:])
	return crypto.EncodeArmor("TENDERMINT PRIVATE KEY", map[string]string{
		"kdf": "bcrypt", "salt": fmt.Sprintf("%X", salt[:16]), "type": "secp256k1",
	}, sealed)
}

func sign(key *secp256k1.PrivKey, v Signed) Signed {
	amount := func(text string) sdk.Coins {
		value, ok := math.NewIntFromString(text)
		if !ok {
			panic("not a number: " + text)
		}
		return sdk.Coins{sdk.Coin{Denom: "ugantry", Amount: value}}
	}
	message := must(codectypes.NewAnyWithValue(&banktypes.MsgSend{FromAddress: v.From, ToAddress: v.To, Amount: amount(v.Amount)}))
	public := must(codectypes.NewAnyWithValue(key.PubKey()))
	body := must((&tx.TxBody{Messages: []*codectypes.Any{message}, Memo: v.Memo, TimeoutHeight: v.Timeout}).Marshal())
	auth := must((&tx.AuthInfo{
		SignerInfos: []*tx.SignerInfo{{
			PublicKey: public,
			ModeInfo:  &tx.ModeInfo{Sum: &tx.ModeInfo_Single_{Single: &tx.ModeInfo_Single{Mode: signing.SignMode_SIGN_MODE_DIRECT}}},
			Sequence:  v.Sequence,
		}},
		Fee: &tx.Fee{Amount: amount(v.FeeAmount), GasLimit: v.GasLimit},
	}).Marshal())
	document := must((&tx.SignDoc{BodyBytes: body, AuthInfoBytes: auth, ChainId: v.ChainID, AccountNumber: v.AccountNumber}).Marshal())
	signature := must(key.Sign(document))
	raw := must((&tx.TxRaw{BodyBytes: body, AuthInfoBytes: auth, Signatures: [][]byte{signature}}).Marshal())
	v.SignBytes, v.Signature, v.TxRaw = hex.EncodeToString(document), hex.EncodeToString(signature), hex.EncodeToString(raw)
	return v
}

func generate() Vectors {
	sdk.GetConfig().SetBech32PrefixForAccount("gantry", "gantrypub")
	vectors := Vectors{Passphrase: passphrase}
	for _, mnemonic := range mnemonics {
		for _, path := range [][3]uint32{{118, 0, 0}, {118, 0, 1}, {118, 3, 7}, {60, 0, 0}} {
			_, derived := derive(mnemonic, path[0], path[1], path[2])
			vectors.Derived = append(vectors.Derived, derived)
		}
	}
	key, own := derive(mnemonics[0], 118, 0, 0)
	_, other := derive(mnemonics[1], 118, 0, 0)

	record := must(keyring.NewLocalRecord("alice", key, key.PubKey()))
	vectors.KeyOutput = must(keys.MkAccKeyOutput(record))
	vectors.Argon2 = crypto.EncryptArmorPrivKey(key, passphrase, "secp256k1")
	vectors.Bcrypt = armorBcrypt(key)

	for n := uint64(0); n < 8; n++ {
		vectors.Signed = append(vectors.Signed, sign(key, Signed{
			ChainID: "gantry-1", AccountNumber: 41 * n, Sequence: 7 * n, From: own.Gantry, To: other.Gantry,
			Amount: fmt.Sprint(1 + n*1_000_000_007), FeeAmount: fmt.Sprint(5000 + n), GasLimit: 200_000 + n,
			Memo: []string{"", "pay", "µ-memo"}[n%3], Timeout: (n % 2) * 1000,
		}))
	}
	return vectors
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "check" {
		armored := string(must(io.ReadAll(os.Stdin)))
		key, algo, err := crypto.UnarmorDecryptPrivKey(armored, os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(algo, hex.EncodeToString(key.Bytes()))
		return
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(generate()); err != nil {
		panic(err)
	}
}

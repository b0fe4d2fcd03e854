// Command golden writes the vectors that the Rust store must reproduce, made with Go iavl and the SDK's rootmulti store.
//
//	go run . vectors
//
// Every vector holds its own operations, so that the reader needs no random numbers.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"

	"cosmossdk.io/log"
	"cosmossdk.io/store/metrics"
	"cosmossdk.io/store/rootmulti"
	storetypes "cosmossdk.io/store/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
)

const versions = 200

// An op is "key=value" (set) or "key" (remove), in hex.
type op = string

type proofOp struct {
	Type string `json:"type"`
	Key  string `json:"key"`
	Data string `json:"data"`
}

// A proof of the presence (value set) or absence (value empty) of a key at a version.
type proof struct {
	Version int64     `json:"version"`
	Store   string    `json:"store,omitempty"`
	Key     string    `json:"key"`
	Value   string    `json:"value,omitempty"`
	Ops     []proofOp `json:"ops"`
}

type treeVersion struct {
	Ops  []op   `json:"ops"`
	Root string `json:"root"`
}

// A tree vector applies its operations in the order given, to one tree.
type treeVector struct {
	InitialVersion int64         `json:"initial_version"`
	Versions       []treeVersion `json:"versions"`
	Proofs         []proof       `json:"proofs"`
}

type multiVersion struct {
	Ops     map[string][]op `json:"ops"`
	AppHash string          `json:"app_hash"`
}

// A multistore vector applies its operations through the SDK's cache, which flushes the last write of every key by
// ascending key. "added" begins at version AddedAt.
type multiVector struct {
	InitialVersion int64          `json:"initial_version"`
	Stores         []string       `json:"stores"`
	AddedAt        int64          `json:"added_at"`
	Versions       []multiVersion `json:"versions"`
	Proofs         []proof        `json:"proofs"`
}

// A workload makes operations against a model of the rows, so that it can repeat, remove and undo.
type workload struct {
	random *rand.Rand
	rows   map[string]string
}

func newWorkload(seed int64) *workload {
	return &workload{random: rand.New(rand.NewSource(seed)), rows: map[string]string{}}
}

func (w *workload) bytes(most int) string {
	bytes := make([]byte, 1+w.random.Intn(most))
	w.random.Read(bytes)
	return string(bytes)
}

func (w *workload) existing() (string, bool) {
	if len(w.rows) == 0 {
		return "", false
	}
	keys := make([]string, 0, len(w.rows))
	for key := range w.rows {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys[w.random.Intn(len(keys))], true
}

// absent gives a key near others that has no row.
func (w *workload) absent() string {
	for {
		key := w.bytes(3)
		if _, found := w.rows[key]; !found {
			return key
		}
	}
}

// A block of operations; `grow` in percent is how many of them insert.
func (w *workload) block(grow int) []write {
	if w.random.Intn(10) == 0 {
		return nil
	}
	var writes []write
	set := func(key, value string) {
		writes = append(writes, write{key, value})
		w.rows[key] = value
	}
	remove := func(key string) {
		writes = append(writes, write{key, ""})
		delete(w.rows, key)
	}
	ascending := w.random.Intn(4) == 0
	next := w.random.Intn(1 << 16)
	for range 1 + w.random.Intn(20) {
		key, found := w.existing()
		switch choice := w.random.Intn(100); {
		case choice < grow || !found:
			if ascending {
				next++
				set(string([]byte{byte(next >> 8), byte(next)}), w.bytes(6))
			} else {
				set(w.bytes(3), w.bytes(6))
			}
		case choice < grow+10:
			set(key, w.rows[key])
		case choice < grow+20:
			set(key, w.bytes(6))
		case choice < grow+25:
			new := w.absent()
			set(new, w.bytes(6))
			remove(new)
		case choice < grow+30:
			remove(w.absent())
		default:
			remove(key)
		}
	}
	return writes
}

// growth alternates between phases that fill and that empty a tree.
func growth(version int) int {
	return []int{60, 25, 60, 5, 50}[version*5/versions]
}

// A write with an empty value is a removal.
type write struct{ key, value string }

func (w write) op() op {
	if w.value == "" {
		return hex.EncodeToString([]byte(w.key))
	}
	return hex.EncodeToString([]byte(w.key)) + "=" + hex.EncodeToString([]byte(w.value))
}

func tree(seed, initialVersion int64) treeVector {
	vector := treeVector{InitialVersion: initialVersion}
	work := newWorkload(seed)
	tree := iavl.NewMutableTree(iavldb.NewMemDB(), 0, false, iavl.NewNopLogger(), iavl.InitialVersionOption(uint64(initialVersion)))
	for i := range versions {
		version := treeVersion{Ops: []op{}}
		for _, write := range work.block(growth(i)) {
			version.Ops = append(version.Ops, write.op())
			if write.value == "" {
				_, _, err := tree.Remove([]byte(write.key))
				check(err)
			} else {
				_, err := tree.Set([]byte(write.key), []byte(write.value))
				check(err)
			}
		}
		root, number, err := tree.SaveVersion()
		check(err)
		if number != initialVersion+int64(i) {
			panic(fmt.Sprintf("saved version %d", number))
		}
		version.Root = hex.EncodeToString(root)
		vector.Versions = append(vector.Versions, version)

		if i%20 == 19 {
			keys := []string{work.absent(), work.absent(), "\x00", "\xff\xff\xff\xff"}
			if key, found := work.existing(); found {
				keys = append(keys, key)
			}
			for _, key := range keys {
				commitment, err := tree.ImmutableTree.GetProof([]byte(key))
				check(err)
				data, err := commitment.Marshal()
				check(err)
				vector.Proofs = append(vector.Proofs, proof{
					Version: number,
					Key:     hex.EncodeToString([]byte(key)),
					Value:   hex.EncodeToString([]byte(work.rows[key])),
					Ops:     []proofOp{{Data: hex.EncodeToString(data)}},
				})
			}
		}
	}
	return vector
}

func multi(seed, initialVersion int64) multiVector {
	vector := multiVector{
		InitialVersion: initialVersion,
		Stores:         []string{"acc", "bank", "empty", "ibc", "upgrade"},
		AddedAt:        initialVersion + versions/2,
	}
	database := dbm.NewMemDB()
	open := func(names []string, upgrades *storetypes.StoreUpgrades) (*rootmulti.Store, map[string]storetypes.StoreKey) {
		store := rootmulti.NewStore(database, log.NewNopLogger(), metrics.NewNoOpMetrics())
		keys := map[string]storetypes.StoreKey{}
		for _, name := range names {
			keys[name] = storetypes.NewKVStoreKey(name)
			store.MountStoreWithDB(keys[name], storetypes.StoreTypeIAVL, nil)
		}
		check(store.LoadLatestVersionAndUpgrade(upgrades))
		return store, keys
	}
	store, keys := open(vector.Stores, nil)
	check(store.SetInitialVersion(initialVersion))

	work := map[string]*workload{}
	for i, name := range []string{"acc", "added", "bank", "ibc", "upgrade"} {
		work[name] = newWorkload(seed*100 + int64(i))
	}
	for i := range versions {
		number := initialVersion + int64(i)
		if number == vector.AddedAt {
			store, keys = open(append([]string{"added"}, vector.Stores...), &storetypes.StoreUpgrades{Added: []string{"added"}})
		}
		version := multiVersion{Ops: map[string][]op{}}
		cache := store.CacheMultiStore()
		for _, name := range []string{"acc", "added", "bank", "ibc", "upgrade"} {
			if name == "added" && number < vector.AddedAt+2 || name == "upgrade" && i%17 != 0 {
				continue
			}
			for _, write := range work[name].block(growth(i)) {
				version.Ops[name] = append(version.Ops[name], write.op())
				kv := cache.GetKVStore(keys[name])
				if write.value == "" {
					kv.Delete([]byte(write.key))
				} else {
					kv.Set([]byte(write.key), []byte(write.value))
				}
			}
		}
		cache.Write()
		commit := store.Commit()
		if commit.Version != number {
			panic(fmt.Sprintf("committed version %d", commit.Version))
		}
		version.AppHash = hex.EncodeToString(commit.Hash)
		vector.Versions = append(vector.Versions, version)

		if i%50 != 49 {
			continue
		}
		names := []string{"acc", "bank", "empty", "ibc"}
		if number >= vector.AddedAt {
			names = append(names, "added")
		}
		for _, name := range names {
			var wanted []string
			if work, found := work[name]; found {
				wanted = append(wanted, work.absent(), "\x00", "\xff\xff\xff\xff")
				if key, found := work.existing(); found {
					wanted = append(wanted, key)
				}
			} else {
				wanted = append(wanted, "key")
			}
			for _, key := range wanted {
				response, err := store.Query(&storetypes.RequestQuery{Path: "/" + name + "/key", Data: []byte(key), Height: number, Prove: true})
				check(err)
				proof := proof{
					Version: number,
					Store:   name,
					Key:     hex.EncodeToString([]byte(key)),
					Value:   hex.EncodeToString(response.Value),
				}
				for _, step := range response.ProofOps.Ops {
					proof.Ops = append(proof.Ops, proofOp{step.Type, hex.EncodeToString(step.Key), hex.EncodeToString(step.Data)})
				}
				vector.Proofs = append(vector.Proofs, proof)
			}
		}
	}
	return vector
}

func save(folder, name string, vector any) {
	text, err := json.MarshalIndent(vector, "", "")
	check(err)
	check(os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: golden FOLDER")
		os.Exit(2)
	}
	folder := os.Args[1]
	for i, initialVersion := range []int64{1, 1, 500, 70_000} {
		save(folder, fmt.Sprintf("tree-%d.json", i+1), tree(int64(i+1), initialVersion))
	}
	for i, initialVersion := range []int64{1, 1, 33} {
		save(folder, fmt.Sprintf("multistore-%d.json", i+1), multi(int64(i+1), initialVersion))
	}
}

// Command iavl runs the workload of `gantry-bench tree` through Go iavl and prints the same measurements: the same keys,
// values and batches, and every batch on disk before the next begins.
//
// What waits for the disk is one synced write after each SaveVersion, as the SDK's rootmulti does it with its commit info:
// LevelDB's journal then holds all of the version. (SyncOption would wait after every 100 kB.) The node cache has the
// SDK's size, fast storage is on as in the SDK, nothing is pruned.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
)

const (
	fill        = 100_000
	warmUp      = 100_000
	warmUpBatch = 1000
	cacheSize   = 781_250
)

type measurement struct {
	Name     string         `json:"name"`
	Unit     string         `json:"unit"`
	Value    float64        `json:"value"`
	Settings map[string]any `json:"settings"`
}

type run struct {
	db      dbm.DB
	tree    *iavl.MutableTree
	total   uint64
	keys    uint64
	random  uint64
	version uint64
}

func main() {
	keys := flag.Uint64("keys", 1_000_000, "keys of the tree")
	batches := flag.String("batches", "1000,10000", "updates in a batch")
	inserts := flag.String("inserts", "0,10", "percentages of new keys among them")
	updates := flag.Int("updates", 200_000, "updates of each measurement")
	folder := flag.String("folder", "", "where the database is made; a temporary folder otherwise")
	flag.Parse()
	if *folder == "" {
		temporary, err := os.MkdirTemp("", "iavl")
		check(err)
		defer os.RemoveAll(temporary)
		folder = &temporary
	}

	r := &run{random: 1, total: *keys}
	r.open(*folder)
	for r.keys < *keys {
		end := min(*keys, r.keys+fill)
		var block []uint64
		for key := r.keys; key < end; key++ {
			block = append(block, key)
		}
		r.commit(block)
		r.keys = end
	}

	r.close()
	r.open(*folder)
	for range warmUp / warmUpBatch {
		r.commit(r.draw(warmUpBatch, 0))
	}

	for _, size := range numbers(*batches) {
		for _, percent := range numbers(*inserts) {
			blocks := (*updates + size - 1) / size
			var wall, cpu, slowest time.Duration
			for range blocks {
				block, busy := r.commit(r.draw(size, percent))
				wall, cpu, slowest = wall+block, cpu+busy, max(slowest, block)
			}
			count := float64(blocks * size)
			with := map[string]any{"batch": size, "inserts_percent": percent}
			r.print("tree.updates", "1/s", count/wall.Seconds(), with)
			r.print("tree.cpu", "us", cpu.Seconds()*1e6/count, with)
			r.print("tree.batch.slowest", "ms", slowest.Seconds()*1e3, with)
		}
	}

	const proofs = 1000
	began := time.Now()
	for range proofs {
		key := keyOf(r.next() % r.keys)
		proof, err := r.tree.GetMembershipProof(key)
		check(err)
		if proof.GetExist() == nil {
			log.Fatal("a key is lost")
		}
	}
	r.print("tree.proof", "us", time.Since(began).Seconds()*1e6/proofs, nil)
	debug.FreeOSMemory()
	r.memory()

	hash := r.tree.Hash()
	r.close()
	began = time.Now()
	r.open(*folder)
	r.print("tree.start", "ms", time.Since(began).Seconds()*1e3, nil)
	if string(r.tree.Hash()) != string(hash) {
		log.Fatal("the state changed over a restart")
	}
}

func (r *run) open(folder string) {
	db, err := dbm.NewGoLevelDB("state", folder, nil)
	check(err)
	r.db, r.tree = db, iavl.NewMutableTree(iavldb.NewWrapper(db), cacheSize, false, iavl.NewNopLogger())
	_, err = r.tree.Load()
	check(err)
}

func (r *run) close() {
	check(r.tree.Close())
	// The tree may have closed it.
	_ = r.db.Close()
}

// commit writes keys, which ascend by their bytes, as one version. It returns the time and the processor time it took.
func (r *run) commit(keys []uint64) (time.Duration, time.Duration) {
	r.version++
	type row struct{ key, value []byte }
	rows := make([]row, len(keys))
	for i, key := range keys {
		rows[i] = row{keyOf(key), fmt.Appendf(nil, "%016d", r.version*1_000_003+key)}
	}
	sort.Slice(rows, func(i, j int) bool { return string(rows[i].key) < string(rows[j].key) })

	began, cpu := time.Now(), cpuTime()
	for _, row := range rows {
		_, err := r.tree.Set(row.key, row.value)
		check(err)
	}
	root, version, err := r.tree.SaveVersion()
	check(err)
	check(syncWrite(r.db, []byte("commit-info"), binary.BigEndian.AppendUint64(root, uint64(version))))
	return time.Since(began), cpuTime() - cpu
}

func syncWrite(db dbm.DB, key, value []byte) error {
	batch := db.NewBatch()
	if err := batch.Set(key, value); err != nil {
		return err
	}
	if err := batch.WriteSync(); err != nil {
		return err
	}
	return batch.Close()
}

// draw picks different keys of a batch, some percent of them new.
func (r *run) draw(size, percent int) []uint64 {
	added := uint64(size * percent / 100)
	picked := map[uint64]bool{}
	for key := r.keys; key < r.keys+added; key++ {
		picked[key] = true
	}
	for len(picked) < size {
		picked[r.next()%r.keys] = true
	}
	r.keys += added
	keys := make([]uint64, 0, size)
	for key := range picked {
		keys = append(keys, key)
	}
	return keys
}

// next is the next number of SplitMix64.
func (r *run) next() uint64 {
	r.random += 0x9e3779b97f4a7c15
	mixed := (r.random ^ (r.random >> 30)) * 0xbf58476d1ce4e5b9
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb
	return mixed ^ (mixed >> 31)
}

// keyOf is a balance's key, as the bank module has it: 29 bytes.
func keyOf(account uint64) []byte {
	address := sha256.Sum256(binary.BigEndian.AppendUint64(nil, account))
	return append(append([]byte{2, 20}, address[:20]...), "ugantry"...)
}

func (r *run) memory() {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(status), "\n") {
		for field, name := range map[string]string{"RssAnon:": "tree.memory.own", "RssFile:": "tree.memory.mapped"} {
			if rest, found := strings.CutPrefix(line, field); found {
				kilobytes, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(rest, " kB")), 64)
				check(err)
				r.print(name, "bytes/key", kilobytes*1024/float64(r.keys), nil)
			}
		}
	}
}

func (r *run) print(name, unit string, value float64, settings map[string]any) {
	all := map[string]any{"engine": "iavl", "keys": r.total}
	for key, value := range settings {
		all[key] = value
	}
	check(json.NewEncoder(os.Stdout).Encode(measurement{name, unit, value, all}))
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func numbers(list string) []int {
	var out []int
	for _, text := range strings.Split(list, ",") {
		number, err := strconv.Atoi(text)
		check(err)
		out = append(out, number)
	}
	return out
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

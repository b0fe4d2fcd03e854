// Command generate writes vectors.json: for each recipe, the CID that a real
// Kubo gives. Recipes describe bytes by seed, so no data is committed.
//
//	go run generate.go PATH_TO_IPFS > vectors.json
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Node is a file (Seed, Size) or a directory (Dir, and Many empty files named
// entry-00000, entry-00001, ...).
type Node struct {
	Seed uint64          `json:"seed,omitempty"`
	Size uint64          `json:"size,omitempty"`
	Dir  map[string]Node `json:"dir,omitempty"`
	Many int             `json:"many,omitempty"`
	Kind string          `json:"kind"` // "file" | "dir"
}

// Vector is one recipe with its answer. Chunk and MaxLinks are the pinned
// profile's unless a recipe shrinks them to grow deep trees from few bytes.
type Vector struct {
	Name     string `json:"name"`
	Chunk    int    `json:"chunk"`
	MaxLinks int    `json:"max_links"`
	Node     Node   `json:"node"`
	CID      string `json:"cid"`
	Hamt     bool   `json:"hamt"` // Kubo shards it, Gantry refuses it
}

const mib = 1 << 20

func file(seed, size uint64) Node      { return Node{Kind: "file", Seed: seed, Size: size} }
func dir(entries map[string]Node) Node { return Node{Kind: "dir", Dir: entries} }

// many makes a directory of n empty files plus one whose name has last bytes.
func many(n, last int) Node {
	d := Node{Kind: "dir", Many: n}
	if last > 0 {
		d.Dir = map[string]Node{strings.Repeat("z", last): file(0, 0)}
	}
	return d
}

// write streams xorshift64 words, little endian, seeded with seed.
func (n Node) write(path string) error {
	if n.Kind == "dir" {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		for i := range n.Many {
			if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("entry-%05d", i)), nil, 0o644); err != nil {
				return err
			}
		}
		for name, child := range n.Dir {
			if err := child.write(filepath.Join(path, name)); err != nil {
				return err
			}
		}
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, mib)
	x, word := n.Seed, make([]byte, 8)
	for left := n.Size; left > 0; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(word, x)
		take := min(left, 8)
		if _, err := w.Write(word[:take]); err != nil {
			return err
		}
		left -= take
	}
	return w.Flush()
}

var vectors = []Vector{
	{Name: "empty file", Node: file(1, 0)},
	{Name: "one byte", Node: file(2, 1)},
	{Name: "one chunk less a byte", Node: file(3, mib-1)},
	{Name: "exactly one chunk", Node: file(4, mib)},
	{Name: "one chunk and a byte", Node: file(5, mib+1)},
	{Name: "several MiB", Node: file(6, 5*mib+12345)},
	{Name: "forty MiB", Node: file(7, 40*mib)},
	{Name: "1024 chunks", Node: file(8, 1024*mib)},
	{Name: "1026 chunks", Node: file(9, 1025*mib+1)},
	{Name: "small chunks, one full node", Chunk: 256, MaxLinks: 4, Node: file(10, 256*4)},
	{Name: "small chunks, one past a full node", Chunk: 256, MaxLinks: 4, Node: file(11, 256*4+1)},
	{Name: "small chunks, full depth two", Chunk: 256, MaxLinks: 4, Node: file(12, 256*16)},
	{Name: "small chunks, one past depth two", Chunk: 256, MaxLinks: 4, Node: file(13, 256*16+1)},
	{Name: "small chunks, ragged depth five", Chunk: 256, MaxLinks: 4, Node: file(14, 256*700+77)},
	{Name: "binary tree", Chunk: 1000, MaxLinks: 2, Node: file(15, 123456)},
	{Name: "1030 small chunks, pinned links", Chunk: 1024, MaxLinks: 1024, Node: file(16, 1030*1024)},
	{Name: "zeros, equal chunks", Node: file(0, 3*mib)},
	{Name: "empty directory", Node: dir(nil)},
	{Name: "directory of one file", Node: dir(map[string]Node{"a.txt": file(20, 3)})},
	{Name: "nested directories with odd names", Node: dir(map[string]Node{
		"a": file(21, 10), "a.b": file(22, 11), "a-b": file(23, 12), "ab": file(24, 13), "A": file(25, 14),
		".hidden": file(26, 15), "..two dots": file(27, 16), "space name ": file(28, 17), " ": file(29, 1),
		"new\nline": file(30, 18), "back\\slash": file(31, 19), "quote\"'": file(32, 20), "100%": file(33, 21),
		"ünïcödé": file(34, 22), "u\u0308": file(35, 23), "日本語": file(36, 24), "🦀": file(37, 25),
		"\x01control": file(38, 26), "-rf": file(39, 27), strings.Repeat("n", 255): file(40, 28),
		"dir": dir(map[string]Node{"inner": dir(map[string]Node{"deep": dir(map[string]Node{"leaf": file(41, 2*mib+3)}), "empty": dir(nil)})}),
		"dir.": dir(map[string]Node{"x": file(42, mib)}), "dir-": dir(map[string]Node{"same": file(42, mib)}),
	})},
	{Name: "largest directory below the HAMT threshold", Node: many(4766, 0)},
	{Name: "directory exactly at the HAMT threshold", Node: many(4765, 21)},
	{Name: "directory one byte past the HAMT threshold", Node: many(4765, 22), Hamt: true},
	{Name: "directory past the HAMT threshold", Node: many(4767, 0), Hamt: true},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: generate PATH_TO_IPFS > vectors.json")
	}
	tmp, err := os.MkdirTemp("", "gantry-golden-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	ipfs := func(args ...string) string {
		cmd := exec.Command(os.Args[1], args...)
		cmd.Env = append(os.Environ(), "IPFS_PATH="+filepath.Join(tmp, "repo"), "IPFS_TELEMETRY=off")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			log.Fatalf("ipfs %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	ipfs("init", "--empty-repo", "--profile=unixfs-v1-2025")
	for i := range vectors {
		v := &vectors[i]
		args := []string{"add", "--recursive", "--hidden", "--empty-dirs", "--only-hash", "--quieter", "--progress=false"}
		if v.Chunk == 0 {
			v.Chunk, v.MaxLinks = mib, 1024
		} else {
			args = append(args, fmt.Sprintf("--chunker=size-%d", v.Chunk), fmt.Sprintf("--max-file-links=%d", v.MaxLinks))
		}
		path := filepath.Join(tmp, "input")
		if err := v.Node.write(path); err != nil {
			log.Fatal(err)
		}
		v.CID = ipfs(append(args, path)...)
		if err := os.RemoveAll(path); err != nil {
			log.Fatal(err)
		}
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	if err := enc.Encode(vectors); err != nil {
		log.Fatal(err)
	}
}

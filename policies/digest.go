package policies

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"sync"
)

//go:generate go run ./stamp

// StampFile is the policy that carries the digest of all others.
const StampFile = "bundle.yaml"

// parts are the files of a bundle; its tests are not among them.
var parts = []string{"*.yaml", "_schemas/*.json"}

// Digest is the SHA-256 of the bundle of this build in hex.
var Digest = sync.OnceValue(func() string {
	digest, err := DigestOf(FS)
	if err != nil {
		panic(err) // embedded files are read without error or the build is broken
	}
	return digest
})

// DigestOf is the SHA-256 in hex of every policy and schema in dir but the stamp.
func DigestOf(dir fs.FS) (string, error) {
	h := sha256.New()
	for _, part := range parts {
		names, err := fs.Glob(dir, part) // sorted
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if path.Base(name) == StampFile {
				continue
			}
			content, err := fs.ReadFile(dir, name)
			if err != nil {
				return "", err
			}
			// Lengths first, so that no two bundles read the same.
			h.Write([]byte(strconv.Itoa(len(name)) + " " + strconv.Itoa(len(content)) + " " + name))
			h.Write(content)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

var stamp = regexp.MustCompile(`'"[0-9a-f]{64}"'`)

// Stamped is the stamp policy carrying a digest.
func Stamped(text []byte, digest string) ([]byte, error) {
	if len(stamp.FindAll(text, -1)) != 1 {
		return nil, fmt.Errorf("policies: %s has no place for a digest", StampFile)
	}
	return bytes.Replace(text, stamp.Find(text), []byte(`'"`+digest+`"'`), 1), nil
}

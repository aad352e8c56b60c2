// Package manifest reads encore.app, the file that marks the root of an Encore
// app: JSON in which comments and trailing commas are allowed.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tailscale/hujson"
)

// Name is the manifest's file name.
const Name = "encore.app"

// File is the part of encore.app that a Go app's host needs.
type File struct {
	ID   string `json:"id"`
	Lang string `json:"lang"`
	CORS CORS   `json:"global_cors"`
}

// CORS is global_cors; a nil AllowOriginsWithoutCredentials means every origin.
type CORS struct {
	AllowHeaders                   []string `json:"allow_headers"`
	ExposeHeaders                  []string `json:"expose_headers"`
	AllowOriginsWithoutCredentials []string `json:"allow_origins_without_credentials"`
	AllowOriginsWithCredentials    []string `json:"allow_origins_with_credentials"`
}

// Read parses the manifest in the directory root.
func Read(root string) (*File, error) {
	data, err := os.ReadFile(filepath.Join(root, Name))
	if err != nil {
		return nil, err
	}
	std, err := hujson.Standardize(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	var f File
	if err := json.Unmarshal(std, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	if f.Lang != "" && f.Lang != "go" {
		return nil, fmt.Errorf("%s: lang is %q; the stock-Go host runs Go apps only", Name, f.Lang)
	}
	return &f, nil
}

// ErrNoApp is returned by [FindRoot] outside every app.
var ErrNoApp = errors.New("no encore.app in this directory or above it")

// FindRoot returns dir or its nearest parent that holds a manifest.
func FindRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, Name)); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoApp
		}
		dir = parent
	}
}

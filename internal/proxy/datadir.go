package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// useFile says what a data directory is used for: with the embedded store it has messages and sessions, with RocketMQ the sessions of this node, whose places are in RocketMQ's
// queues. Neither can go on with the other's.
const useFile = "store"

// claimDataDir refuses a data directory that was begun with another store, and notes what it is used for.
func claimDataDir(dir, use string) error {
	path := filepath.Join(dir, useFile)
	was, err := os.ReadFile(path) //nolint:gosec // it is the operator's own directory
	switch {
	case err == nil && strings.TrimSpace(string(was)) == use:
		return nil
	case err == nil:
		return fmt.Errorf("dataDir %s was begun with store=%s and cannot be used with store=%s; give each its own directory", dir, strings.TrimSpace(string(was)), use)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("dataDir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("dataDir: %w", err)
	}
	if err := os.WriteFile(path, []byte(use+"\n"), 0o600); err != nil {
		return fmt.Errorf("dataDir: %w", err)
	}
	return nil
}

package proxy

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
)

// A data directory stays with the store that it was begun with.
func TestDataDirIsOneStores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 {
		if err := claimDataDir(dir, config.StoreEmbedded); err != nil {
			t.Fatal(err)
		}
	}
	err := claimDataDir(dir, config.StoreRocketMQ)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "store=embedded") {
		t.Errorf("another store is told %v", err)
	}
}

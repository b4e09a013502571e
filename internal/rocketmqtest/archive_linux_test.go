package rocketmqtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Servers that start after Archive use what it made.
func TestArchive(t *testing.T) {
	if !Have(t, quick) {
		return
	}
	java, err := Java()
	must(t, err)
	if err := exec.CommandContext(t.Context(), java, "-XX:ArchiveClassesAtExit="+filepath.Join(t.TempDir(), "a.jsa"), "-version").Run(); err != nil {
		t.Log("this JDK makes no archives:", err)
		return
	}
	must(t, Archive(t.Context(), quick))
	c := Start(t, Options{Version: quick})
	for _, s := range []*Server{c.NameServer(), c.Broker(0).Server} {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.PID()))
		must(t, err)
		if !strings.Contains(string(maps), s.archiveName()) {
			t.Errorf("%s does not use its archive", s.Name)
		}
	}
}

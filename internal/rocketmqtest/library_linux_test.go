package rocketmqtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Who asks for a version at the same time gets the same jars, which are there whole.
func TestFetch(t *testing.T) {
	if _, err := Maven(); !have(t, err) || !Have(t, quick) {
		return
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var wg sync.WaitGroup
	var libs [3]string
	for i := range libs {
		wg.Go(func() {
			lib, err := Fetch(t.Context(), quick)
			if err != nil {
				t.Error(err)
			}
			libs[i] = lib
		})
	}
	wg.Wait()
	for _, lib := range libs {
		if lib != libs[0] {
			t.Errorf("the jars are in %q and in %q", libs[0], lib)
		}
	}
	for _, name := range []string{"broker", "namesrv", "tools"} {
		if _, err := os.Stat(filepath.Join(libs[0], "rocketmq-"+name+"-"+quick+".jar")); err != nil {
			t.Error(err)
		}
	}
	if halves, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(libs[0])), half+"*")); err != nil || len(halves) > 0 {
		t.Errorf("left behind: %v %v", halves, err)
	}
	if _, err := Fetch(t.Context(), "4.9.8"); err == nil {
		t.Error("a version that nobody named is fetched")
	}
}

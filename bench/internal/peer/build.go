package peer

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds the programs that are Go into dir; module is the directory of the bench's module. Programs that are none of names are
// left out.
func Build(module, dir string, names ...string) error {
	module, err := filepath.Abs(module)
	if err != nil {
		return err
	}
	sources := map[string][2]string{
		"rocketmqtt": {filepath.Dir(module), "./cmd/rocketmqtt"},
		"mochi":      {module, "./peers/mochi"},
		"nats":       {module, "./peers/nats"},
	}
	for _, name := range names {
		src, ok := sources[name]
		if !ok {
			continue
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, name), src[1])
		cmd.Dir = src[0]
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// Version says which version of a program is built or installed.
func Version(module, program string) string {
	switch program {
	case "mosquitto":
		out, _ := exec.Command("mosquitto", "-h").Output() // ends with 3
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimPrefix(strings.TrimSpace(line), "mosquitto version ")
	case "mochi":
		return run(module, "go", "list", "-m", "-f", "{{.Version}}", "github.com/mochi-mqtt/server/v2")
	case "nats":
		return run(module, "go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2")
	}
	return run(module, "git", "describe", "--always", "--dirty", "--tags")
}

func run(dir, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

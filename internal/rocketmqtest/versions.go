package rocketmqtest

// The versions of RocketMQ that are run, and Default, which is run when a test does not say.
const (
	V497 = "4.9.7"
	V514 = "5.1.4"
	V540 = "5.4.0"
	V550 = "5.5.0"

	Default = V540
)

// Versions are all of them, oldest first.
func Versions() []string { return []string{V497, V514, V540, V550} }

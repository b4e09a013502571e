package store

// Query says which topics a reader wants, in a form that lets a store skip what cannot match.
type Query struct {
	// Filters are MQTT topic filters without $share: a message is wanted when one of them matches its topic.
	Filters []string
	// Match decides exactly; it is called for the topics that Filters may match.
	Match func(topic string) bool
}

package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write prints the effective configuration, then what was ignored, what differs from the Java proxy, and the warnings. Secrets are masked.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range r.Values {
		fmt.Fprintf(t, "%s\t= %s\t# %s\n", v.Key, v.Value, v.Source) //nolint:errcheck // Flush tells
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		b.WriteString("\n" + title + "\n")
		for _, l := range lines {
			b.WriteString("  " + l + "\n")
		}
	}
	section("Accepted, but without meaning here:", r.Ignored)
	section("What differs from the Java proxy, which these files were written for (docs/from-java.md has the rest):", r.Differs)
	section("Warnings:", r.Warnings)
	_, err := io.WriteString(w, b.String())
	return err
}

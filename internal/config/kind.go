package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// kind is a type of value: how it is written, what is allowed, and back.
type kind[T any] struct {
	allowed string // completes "want ..."
	parse   func(string) (T, error)
	format  func(T) string
}

var errNotAllowed = errors.New("not allowed") // a parser's answer when kind.allowed says all there is to say

func ports() kind[Port] {
	return kind[Port]{
		allowed: "a port from 1 to 65535, 0 for any free one, or off",
		parse: func(s string) (Port, error) {
			if s == "off" {
				return Off, nil
			}
			n, err := strconv.ParseUint(s, 10, 16)
			return Port(n), err
		},
		format: Port.String,
	}
}

func ints(low, high int) kind[int] {
	return kind[int]{
		allowed: fmt.Sprintf("a whole number from %d to %d", low, high),
		parse: func(s string) (int, error) {
			n, err := strconv.Atoi(s)
			if err == nil && (n < low || n > high) {
				err = errNotAllowed
			}
			return n, err
		},
		format: strconv.Itoa,
	}
}

func bools() kind[bool] {
	return kind[bool]{
		allowed: "true or false",
		parse: func(s string) (bool, error) {
			switch strings.ToLower(s) {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return false, errNotAllowed
		},
		format: strconv.FormatBool,
	}
}

// texts takes anything. It may not be set from a value with spaces around it: parsing has cut them off.
func texts() kind[string] {
	return kind[string]{
		allowed: "text",
		parse:   func(s string) (string, error) { return s, nil },
		format:  func(s string) string { return s },
	}
}

// files takes a path; relative ones in conf files start at the conf directory (resolve does that).
func files() kind[string] {
	k := texts()
	k.allowed = "the path of a file"
	return k
}

func resolve(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func oneOf(values ...string) kind[string] {
	return kind[string]{
		allowed: strings.Join(values, " or "),
		parse: func(s string) (string, error) {
			for _, v := range values {
				if strings.EqualFold(s, v) {
					return v, nil
				}
			}
			return "", errNotAllowed
		},
		format: func(s string) string { return s },
	}
}

// flushTypes are RocketMQ's words for "acknowledge after fsync" (true) and before.
func flushTypes() kind[bool] {
	words := oneOf("SYNC_FLUSH", "ASYNC_FLUSH")
	return kind[bool]{
		allowed: words.allowed,
		parse: func(s string) (bool, error) {
			w, err := words.parse(s)
			return w == "SYNC_FLUSH", err
		},
		format: func(sync bool) string {
			if sync {
				return "SYNC_FLUSH"
			}
			return "ASYNC_FLUSH"
		},
	}
}

func levels() kind[slog.Level] {
	words := oneOf("debug", "info", "warn", "error")
	return kind[slog.Level]{
		allowed: "debug, info, warn or error",
		parse: func(s string) (l slog.Level, err error) {
			if s, err = words.parse(s); err == nil {
				err = l.UnmarshalText([]byte(s))
			}
			return l, err
		},
		format: func(l slog.Level) string { return strings.ToLower(l.String()) },
	}
}

func addresses() kind[string] {
	return kind[string]{
		allowed: "an IP address, or * for all interfaces (0.0.0.0: IPv4 only)",
		parse: func(s string) (string, error) {
			if s == allInterfaces {
				return s, nil
			}
			a, err := netip.ParseAddr(s)
			if err != nil {
				return "", errNotAllowed
			}
			return a.String(), nil
		},
		format: func(s string) string { return s },
	}
}

// entryError says which of several values is not allowed.
type entryError struct{ value string }

func (e *entryError) Error() string { return e.value + " is not allowed" }

// list takes values separated by any of seps; empty ones are left out.
func list(seps, allowed string, check func(string) error) kind[[]string] {
	return kind[[]string]{
		allowed: allowed,
		parse: func(s string) ([]string, error) {
			var out []string
			for _, v := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(seps, r) }) {
				v = strings.TrimSpace(v)
				if v == "" {
					continue
				}
				if err := check(v); err != nil {
					return nil, &entryError{v}
				}
				out = append(out, v)
			}
			return out, nil
		},
		format: func(v []string) string { return strings.Join(v, seps[:1]) },
	}
}

func hostPorts() kind[[]string] {
	return list(";,", "host:port, several separated by ;", func(s string) error {
		host, port, err := net.SplitHostPort(s)
		if err != nil || host == "" {
			return errNotAllowed
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errNotAllowed
		}
		return nil
	})
}

// units of sizes and durations, largest first.
type unit struct {
	name string
	n    int64
}

func sizeUnits() []unit {
	return []unit{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}}
}

func timeUnits() []unit {
	return []unit{
		{"d", int64(24 * time.Hour)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
	}
}

// scaled parses a whole number followed by one of units; it reports a number without unit as bare.
func scaled(s string, units []unit) (n int64, bare bool, err error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	word := strings.TrimSpace(s[len(digits):])
	u, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, false, errNotAllowed
	}
	n = int64(u)
	if word == "" {
		return n, true, nil
	}
	for _, u := range units {
		if !strings.EqualFold(word, u.name) {
			continue
		}
		if n > (1<<63-1)/u.n {
			return 0, false, errNotAllowed
		}
		return n * u.n, false, nil
	}
	return 0, false, errNotAllowed
}

// unscaled writes n with the largest unit that it is a multiple of.
func unscaled(n int64, units []unit) string {
	for _, u := range units {
		if n != 0 && n%u.n == 0 {
			return strconv.FormatInt(n/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// sizes takes bytes, from low to high.
func sizes(low, high int64) kind[int64] {
	show := func(n int64) string { return unscaled(n, sizeUnits()) }
	return kind[int64]{
		allowed: fmt.Sprintf("bytes from %s to %s, as a number or with KB, MB or GB (of 1024)", show(low), show(high)),
		parse: func(s string) (int64, error) {
			n, _, err := scaled(s, sizeUnits())
			if err == nil && (n < low || n > high) {
				err = errNotAllowed
			}
			return n, err
		},
		format: show,
	}
}

// sizeInts is sizes for values that are ints in Config.
func sizeInts(low, high int) kind[int] {
	k := sizes(int64(low), int64(high))
	return kind[int]{
		allowed: k.allowed,
		parse:   func(s string) (int, error) { n, err := k.parse(s); return int(n), err },
		format:  strconv.Itoa, // as the Java proxy writes these keys
	}
}

// durations takes a time from low to high; endless allows "never" beside.
func durations(low, high time.Duration, endless bool) kind[time.Duration] {
	show := func(d time.Duration) string { return unscaled(int64(d), timeUnits()) }
	allowed := fmt.Sprintf("a time from %s to %s, with ms, s, m, h or d", show(low), show(high))
	if endless {
		allowed += ", or never"
	}
	return kind[time.Duration]{
		allowed: allowed,
		parse: func(s string) (time.Duration, error) {
			if endless && s == "never" {
				return Never, nil
			}
			n, bare, err := scaled(s, timeUnits())
			d := time.Duration(n)
			if err == nil && (bare && n != 0 || d < low || d > high) {
				err = errNotAllowed
			}
			return d, err
		},
		format: func(d time.Duration) string {
			if d == Never {
				return "never"
			}
			return show(d)
		},
	}
}

// milliseconds is durations for a key of the Java proxy, whose values have no unit.
func milliseconds(low, high time.Duration, endless bool) kind[time.Duration] {
	k := durations(low, high, endless)
	k.allowed += "; without unit in milliseconds"
	withUnit := k.parse
	k.parse = func(s string) (time.Duration, error) {
		if s != "" && strings.Trim(s, "0123456789") == "" {
			s += "ms"
		}
		return withUnit(s)
	}
	return k
}

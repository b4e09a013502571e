package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/magiconair/properties"
)

// maxFile bounds what is read of a conf file; the Java proxy's have a few hundred bytes.
const maxFile = 1 << 20

// setting is one value and where it was said.
type setting struct {
	key   string
	value string
	from  string // "conf/connect.conf:12", "ROCKETMQTT_MQTT_PORT", "--set"
	file  string // base name of the conf file, else empty
}

// readDir reads the conf files of dir. A missing one is as good as an empty one, but one of them must be there: a
// directory without any is a mistyped one.
func readDir(dir string) (settings []setting, errs []error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, []error{fmt.Errorf("conf directory: %w", err)}
	}
	found := 0
	for _, name := range confFiles() {
		path := filepath.Join(dir, name)
		b, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found++
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, es := parseFile(path, b)
		settings = append(settings, s...)
		errs = append(errs, es...)
	}
	if found == 0 {
		errs = append(errs, fmt.Errorf("conf directory %s: it has none of connect.conf, service.conf and meta.conf", dir))
	}
	return settings, errs
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes, which no conf file is", path, maxFile)
	}
	return b, nil
}

// parseFile reads Java properties. Values are not expanded: "${" is text, as in Java. The text is UTF-8; the Java proxy
// read ISO-8859-1, which differs only beyond ASCII, and both understand \uXXXX.
func parseFile(path string, b []byte) (settings []setting, errs []error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	for _, l := range logicalLines(b) {
		from := fmt.Sprintf("%s:%d", path, l.number)
		if !utf8.Valid(l.text) {
			errs = append(errs, fmt.Errorf("%s: not UTF-8; write what is beyond ASCII as \\uXXXX", from))
			continue
		}
		p, err := loader.LoadBytes(l.text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: not a line of Java properties: %w", from, err))
			continue
		}
		for _, k := range p.Keys() { // one, or none of a line of white space
			v, _ := p.Get(k)
			settings = append(settings, setting{key: k, value: v, from: from, file: filepath.Base(path)})
		}
	}
	return settings, errs
}

type logicalLine struct {
	number int // of its first line, from 1
	text   []byte
}

// logicalLines splits Java properties into their entries, so that each can be parsed alone and errors can name the line:
// the library does not tell it. An entry is a line that is neither blank nor a comment, with the lines that a backslash
// at the end joins to it.
func logicalLines(b []byte) []logicalLine {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	var out []logicalLine
	joined := false // the line before ended in a backslash
	for number := 1; len(b) > 0; number++ {
		line, end := cutLine(b)
		b = b[end:]
		body := bytes.TrimLeft(line, " \t\f")
		switch {
		case joined:
			last := &out[len(out)-1].text
			*last = (*last)[:len(*last)+end] // lines follow each other in memory
		case len(body) == 0 || body[0] == '#' || body[0] == '!':
			continue
		default:
			out = append(out, logicalLine{number, line[:end:cap(line)]})
		}
		joined = endsInBackslash(line)
	}
	return out
}

// cutLine returns the first line of b without its end, and where the next one begins.
func cutLine(b []byte) (line []byte, next int) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0:
		return b, len(b)
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return b[:i], i + 2
	default:
		return b[:i], i + 1
	}
}

func endsInBackslash(line []byte) bool {
	n := len(line) - len(bytes.TrimRight(line, `\`))
	return n%2 == 1
}

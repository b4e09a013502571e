package message

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kinds are the compressions with the flags that their bodies come with; zlib also as before 5.0.
func kinds() map[string]SysFlag {
	return map[string]SysFlag{"lz4": 0x101, "zstd": 0x201, "zlib": 0x301}
}

// readings, zeros and noise are the texts of testdata/java/Golden.java.
func readings() []byte {
	var b []byte
	for x := uint32(1); len(b) < 20_000; {
		x = x*1103515245 + 12345
		b = fmt.Appendf(b, "sensor%d=%d;", x>>16%100, x>>8%10000)
	}
	return b
}

func zeros() []byte { return make([]byte, 5_000_000) }

func noise() []byte {
	b := make([]byte, 300)
	x := uint32(1)
	for i := range b {
		x = x*1103515245 + 12345
		b[i] = byte(x >> 16)
	}
	return b
}

func newDecompressor(t testing.TB, limit int) *Decompressor {
	t.Helper()
	d, err := NewDecompressor(limit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func golden(t testing.TB, name, kind string) *Message {
	t.Helper()
	b, err := os.ReadFile("testdata/java/" + name + "." + kind)
	if err != nil {
		t.Fatal(err)
	}
	return &Message{SysFlag: kinds()[kind], Body: b}
}

// What Java's compressors wrote is read, exactly up to the limit.
func TestBodyOfJava(t *testing.T) {
	for name, text := range map[string][]byte{"readings": readings(), "zeros": zeros(), "noise": noise()} {
		at, below, above := newDecompressor(t, len(text)), newDecompressor(t, len(text)-1), newDecompressor(t, 64<<20)
		for kind := range kinds() {
			m := golden(t, name, kind)
			for _, d := range []*Decompressor{at, above} {
				got, err := d.Body(m)
				if err != nil {
					t.Fatalf("%s.%s, limit %d: %v", name, kind, d.limit, err)
				}
				if !bytes.Equal(got, text) {
					t.Errorf("%s.%s: %d other bytes than the %d that were compressed", name, kind, len(got), len(text))
				}
			}
			if _, err := below.Body(m); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s.%s, one byte above the limit: %v, want ErrTooLarge", name, kind, err)
			}
		}
	}
}

func TestBodyNotCompressed(t *testing.T) {
	d := newDecompressor(t, 5)
	m := &Message{Body: []byte("hello"), SysFlag: 0x100}
	got, err := d.Body(m)
	if err != nil || &got[0] != &m.Body[0] {
		t.Errorf("%q, %v: want the body itself", got, err)
	}
	m.Body = []byte("hello!")
	if _, err := d.Body(m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v, want ErrTooLarge", err)
	}
	// MessageDecoder.decode does not look into a body of no bytes.
	if got, err := d.Body(&Message{SysFlag: Compressed}); err != nil || len(got) != 0 {
		t.Errorf("no body, compressed: %q, %v", got, err)
	}
}

func TestBodyOfOldProducers(t *testing.T) {
	m := golden(t, "readings", "zlib")
	m.SysFlag = Compressed // 4.9.7: no type
	if got, err := newDecompressor(t, 1<<20).Body(m); err != nil || !bytes.Equal(got, readings()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestNewDecompressorRefuses(t *testing.T) {
	for _, limit := range []int{0, -1, 1<<30 + 1} {
		if _, err := NewDecompressor(limit); err == nil {
			t.Errorf("limit %d: no error", limit)
		}
	}
}

// Every body cut short at every byte, and every one with flags that are not its own.
func TestBodyRefuses(t *testing.T) {
	d := newDecompressor(t, 1<<20)
	for kind := range kinds() {
		whole := golden(t, "noise", kind)
		for n := 1; n < len(whole.Body); n++ {
			m := &Message{SysFlag: whole.SysFlag, Body: whole.Body[:n]}
			if _, err := d.Body(m); !errors.Is(err, ErrCompression) {
				t.Fatalf("%s, %d of %d bytes: %v, want ErrCompression", kind, n, len(whole.Body), err)
			}
		}
		for _, f := range []SysFlag{0x001, 0x101, 0x201, 0x301, 0x401, 0x501, 0x601, 0x701} {
			if f.Compression() == whole.SysFlag.Compression() {
				continue
			}
			if _, err := d.Body(&Message{SysFlag: f, Body: whole.Body}); !errors.Is(err, ErrCompression) {
				t.Errorf("%s as %#x: %v, want ErrCompression", kind, int32(f), err)
			}
		}
	}
}

// Frames that break one rule each.
func TestLZ4Refuses(t *testing.T) {
	const head, end = "04224d18 60 70 73", "00000000"
	cases := map[string]string{
		"no magic":                  "04224d19 60 70 73" + end,
		"legacy frame":              "02214c18 60 70 73" + end,
		"version 2":                 "04224d18 a0 70 73" + end,
		"dependent blocks":          "04224d18 40 70 73" + end,
		"dictionary":                "04224d18 61 70 73" + end,
		"reserved flag":             "04224d18 62 70 73" + end,
		"no end":                    head,
		"block beyond the frame":    head + "05000000 40 61626364",
		"no token":                  head + "01000000 f0" + end,
		"ends with a copy":          head + "04000000 10 61 0100" + end,
		"copy from before the text": head + "06000000 10 61 0200 10 61" + end,
		"copy from nowhere":         head + "06000000 10 61 0000 10 61" + end,
		"copy from another block":   head + "02000000 10 61" + "05000000 00 0100 10 61" + end,
		"literals beyond the block": head + "02000000 20 61" + end,
		"half an offset":            head + "03000000 10 61 01" + end,
		"length without end":        head + "06000000 1f 61 0100 ffff" + end,
	}
	for name, annotated := range cases {
		if got, err := appendLZ4(nil, fromHex(t, annotated), 1<<20); !errors.Is(err, errLZ4) {
			t.Errorf("%s: %q, %v; want an error", name, got, err)
		}
	}
}

func TestLZ4Reads(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"nothing":                   {"04224d18 60 70 73 00000000", ""},
		"stored":                    {"04224d18 60 70 73 02000080 6162 00000000", "ab"},
		"copy of what it writes":    {"04224d18 60 70 73 08000000 25 6162 0200 20 7879 00000000", "ab" + "ababababa" + "xy"},
		"two blocks":                {"04224d18 60 70 73 02000000 10 61 02000000 10 62 00000000", "ab"},
		"hashes":                    {"04224d18 74 70 73 02000000 10 61 deadbeef 00000000 deadbeef", "a"},
		"content size":              {"04224d18 68 70 0100000000000000 73 02000000 10 61 00000000", "a"},
		"bytes that follow the end": {"04224d18 60 70 73 02000000 10 61 00000000 ff", "a"},
	}
	for name, c := range cases {
		got, err := appendLZ4(nil, fromHex(t, c.in), 100)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// bombs are small bodies that become 32 MiB, or say so.
func bombs(t testing.TB) map[string]*Message {
	t.Helper()
	const size, chunk = 32 << 20, 1 << 20
	var z, zs bytes.Buffer
	zw := zlib.NewWriter(&z)
	zsw, err := zstd.NewWriter(&zs, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{zw, zsw} {
		for range size / chunk {
			if _, err := w.Write(make([]byte, chunk)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lz4 := fromHex(t, "04224d18 60 70 73 00000000")[:7]
	block := append([]byte{0x1f, 0, 1, 0}, bytes.Repeat([]byte{255}, size/255)...)
	block = append(block, 0, 0)
	n := len(block)
	lz4 = append(lz4, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	lz4 = append(append(lz4, block...), 0, 0, 0, 0)
	return map[string]*Message{
		"zlib":                         {SysFlag: 0x301, Body: z.Bytes()},
		"zstd":                         {SysFlag: 0x201, Body: zs.Bytes()},
		"lz4":                          {SysFlag: 0x101, Body: lz4},
		"zstd, 256 MiB in its header":  {SysFlag: 0x201, Body: fromHex(t, "28b52ffd a0 00000010 4b ffff 00")},
		"zstd, 64 GiB in its header":   {SysFlag: 0x201, Body: fromHex(t, "28b52ffd e0 0000000010000000 4b ffff 00")},
		"zstd, a window of 512 MiB":    {SysFlag: 0x201, Body: fromHex(t, "28b52ffd 00 98 0300b0 00")},
		"lz4, 4 GiB of content stated": {SysFlag: 0x101, Body: fromHex(t, "04224d18 68 70 0000000001000000 73 ffffff7f")},
	}
}

// A bomb is an error, and costs no more than a few times the limit; zstd its window as well.
func TestBombs(t *testing.T) {
	const limit = 1 << 20
	for name, m := range bombs(t) {
		d := newDecompressor(t, limit)
		for kind := range kinds() { // what the decoders cost once is not the bomb's
			if _, err := d.Body(golden(t, "noise", kind)); err != nil {
				t.Fatal(err)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := d.Body(m)
		runtime.ReadMemStats(&after)
		if err == nil || got != nil {
			t.Errorf("%s: %d bytes, %v; want an error", name, len(got), err)
		}
		taken, most := after.TotalAlloc-before.TotalAlloc, uint64(4*limit)
		if m.SysFlag.Compression() == Zstd {
			most += window + limit
		}
		if taken > most {
			t.Errorf("%s: took %d bytes, want at most %d", name, taken, most)
		}
		t.Logf("%s: %d bytes of body took %d: %v", name, len(m.Body), taken, err)
	}
}

// One Decompressor, many goroutines, good bodies and bad ones.
func TestBodyFromManyGoroutines(t *testing.T) {
	d := newDecompressor(t, 1<<20)
	text := readings()
	var good, bad []*Message
	for kind := range kinds() {
		m := golden(t, "readings", kind)
		good = append(good, m)
		bad = append(bad, &Message{SysFlag: m.SysFlag, Body: m.Body[:len(m.Body)/2]}, golden(t, "zeros", kind))
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 30 {
				if got, err := d.Body(good[(w+i)%len(good)]); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if _, err := d.Body(bad[(w+i)%len(bad)]); err == nil {
					t.Error("a bad body without an error")
				}
			}
		})
	}
	wg.Wait()
}

// What is returned is nobody else's: not the pool's, and no larger than it must be.
func TestBodyIsTheCallers(t *testing.T) {
	d := newDecompressor(t, 1<<20)
	for kind := range kinds() {
		first, err := d.Body(golden(t, "readings", kind))
		if err != nil {
			t.Fatal(err)
		}
		if cap(first) > len(first)+len(first)/8 {
			t.Errorf("%s: %d bytes hold on to %d", kind, len(first), cap(first))
		}
		if _, err := d.Body(golden(t, "noise", kind)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, readings()) {
			t.Errorf("%s: the next body was written over the first", kind)
		}
	}
}

package remoting

import (
	"bytes"
	"testing"
)

// What brokers of 5.4.0 answer to a send and to a pull.
const (
	sendAnswer = `{"code":0,"extFields":{"queueId":"3","TRACE_ON":"true","MSG_REGION":"DefaultRegion","msgId":"7F00000100002A9F0000000000000000",` +
		`"queueOffset":"123456"},"flag":1,"language":"JAVA","opaque":77,"serializeTypeCurrentRPC":"JSON","version":475}`
	pullAnswer = `{"code":0,"extFields":{"suggestWhichBrokerId":"0","forbiddenType":"0","maxOffset":"9","nextBeginOffset":"9","minOffset":"0"},"flag":1,` +
		`"language":"JAVA","opaque":78,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":475}`
)

func TestScanHeader(t *testing.T) {
	f := func(text string, scanned bool) {
		t.Helper()
		if _, ok := scanHeader([]byte(text)); ok != scanned {
			t.Errorf("%s: scanned %v, want %v", text, ok, scanned)
		}
		compareHeaders(t, []byte(text))
	}
	f(sendAnswer, true)
	f(pullAnswer, true)
	f(`{}`, true)
	f(`{"extFields":{}}`, true)
	f(`{"code":-2147483647,"code":2147483647}`, true)
	f(`{"code":1,"remark":"a","remark":""}`, true)
	f(`{"extFields":{"a":"b"},"extFields":{"c":""}}`, true)

	// Left to encoding/json, which takes some of these and refuses others.
	f(``, false)
	f(`{"code":0`, false)
	f(`{"code":0}x`, false)
	f(`{"code":0} `, false)
	f(`{ "code":0}`, false)
	f(`{"Code":1}`, false)
	f(`{"code":01}`, false)
	f(`{"code":-}`, false)
	f(`{"code":1.0}`, false)
	f(`{"code":1e0}`, false)
	f(`{"code":null}`, false)
	f(`{"code":2147483648}`, false)
	f(`{"code":99999999999999999999999}`, false)
	f(`{"code":0,}`, false)
	f(`{"code":0 ,"flag":1}`, false)
	f(`{"remark":null}`, false)
	f(`{"remark":"a\"b"}`, false)
	f(`{"remark":"ä"}`, false)
	f("{\"remark\":\"\n\"}", false)
	f(`{"extFields":{"a":1}}`, false)
	f(`{"extFields":{"a":{}}}`, false)
	f(`{"extFields":null}`, false)
	f(`{"other":1}`, false)
}

// compareHeaders asks that what is scanned is what encoding/json makes of it.
func compareHeaders(t *testing.T, b []byte) {
	t.Helper()
	h, ok := scanHeader(b)
	if !ok {
		return
	}
	want, err := unmarshalHeader(b)
	if err != nil {
		t.Fatalf("%q: encoding/json refuses it: %v", b, err)
	}
	if h.code != want.code || h.opaque != want.opaque || h.flag != want.flag || h.remark != want.remark || !bytes.Equal(h.ext, want.ext) {
		t.Errorf("%q: %+v, want %+v", b, h, want)
	}
}

func FuzzScanHeader(f *testing.F) {
	for _, s := range []string{sendAnswer, pullAnswer, `{}`, `{"code":-0,"remark":"a","extFields":{"":""}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(compareHeaders)
}

// A broker's answer is scanned with one allocation, its fields.
func TestScanHeaderAllocates(t *testing.T) {
	b := []byte(sendAnswer)
	if n := testing.AllocsPerRun(100, func() { scanHeader(b) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func BenchmarkDecodeHeader(b *testing.B) {
	in := []byte(sendAnswer)
	for _, bench := range []struct {
		name   string
		decode func([]byte) (header, error)
	}{{"scanned", decodeJSON}, {"encoding-json", unmarshalHeader}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.decode(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

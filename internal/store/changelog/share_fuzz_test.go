package changelog

import (
	"reflect"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Whatever a record says of a group, reading it neither fails nor takes more than it has; what was read is written as it was.
func FuzzShare(f *testing.F) {
	r := store.ShareReport{
		Start: []store.Position{at(1, 2)}, Since: 3, Born: 4, Seen: 5, Members: 6, Units: 7, Give: 8, Take: 9, Cursor: []store.Position{at(1, 20)},
		Ahead: []store.ShareAhead{{Unit: 3, At: []store.Position{at(1, 30)}}}, Outstanding: []store.Position{at(1, 18)}, Back: []store.Position{at(2, 1)},
	}
	s := found(&r, 10)
	s.report(11, &store.ShareReport{Members: 1, Take: store.AllUnits}, 12)
	r.Born = 10
	s.report(11, &r, 13)
	f.Add(appendReport(nil, &r)[1:], s.encode(nil))
	f.Fuzz(func(t *testing.T, report, state []byte) {
		r, err := parseReport(report)
		if err == nil {
			if again, err := parseReport(appendReport(nil, &r)[1:]); err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v\nis read as\n%+v, %v", r, again, err)
			}
		}
		s, bad := parseShare(state)
		if bad != nil {
			return
		}
		if again, err := parseShare(s.encode(nil)); err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v\nis read as\n%+v, %v", s, again, err)
		}
		if err == nil {
			s.report(7, &r, 1000)
			s.fence(7, 1001)
			s.part(8, jobs, 0)
		}
	})
}

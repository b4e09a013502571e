package topic

import (
	"errors"
	"strings"
)

const sharePrefix = "$share"

// What is wrong with a filter that begins with "$share"; the answer to the client is 0x8F, Topic Filter invalid.
var (
	ErrShareName   = errors.New("share name is empty or has a wildcard: want $share/name/filter")
	ErrShareFilter = errors.New("shared subscription has no topic filter: want $share/name/filter")
	ErrShareNested = errors.New("topic filter of a shared subscription is one itself: want $share/name/filter")
)

// ParseShare splits the topic filter of a SUBSCRIBE or UNSUBSCRIBE. For "$share/name/filter" it returns the name, the
// filter and true; any other filter comes back as inner, not shared. It judges the form of the share only: inner has
// still to pass [ValidFilter]. The strings returned are parts of filter. The errors are the ErrShare... above.
//
// "$share" and "$share/x" are errors: the specification asks for a name and a filter behind the first level
// "$share" [MQTT-4.8.2-1, -2], and as ordinary filters they could match nothing that may be published. A share
// within a share is refused because inner would read as another share wherever it is kept alone.
func ParseShare(filter string) (group, inner string, shared bool, err error) {
	first, next := level(filter, 0)
	if first != sharePrefix {
		return "", filter, false, nil
	}
	if next > len(filter) {
		return "", "", false, ErrShareName // [MQTT-4.8.2-1]
	}
	group, next = level(filter, next)
	if group == "" || strings.ContainsAny(group, "+#") {
		return "", "", false, ErrShareName // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
	}
	if next >= len(filter) {
		return "", "", false, ErrShareFilter // [MQTT-4.8.2-2]
	}
	inner = filter[next:]
	if First(inner) == sharePrefix {
		return "", "", false, ErrShareNested
	}
	return group, inner, true, nil
}

package api

import "time"

// timeLayouts are the forms of a point in time that published samples and clients send.
// Fractions of a second are taken by every layout that has seconds.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02Z07:00", "2006-01-02",
}

// ParseTime reads a point in time as clients of the published API write it: full ISO 8601
// with or without zone (none is UTC), or a date alone, which may carry a Z.
func ParseTime(s string) (time.Time, bool) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

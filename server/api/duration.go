package api

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var durationForm = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?$`)

// ParseDuration reads an ISO 8601 duration of at most a hundred years; a year is 365 days
// and a month 30.
func ParseDuration(s string) (time.Duration, bool) {
	m := durationForm.FindStringSubmatch(strings.ToUpper(s))
	if m == nil {
		return 0, false
	}
	const day = 24 * time.Hour
	var d time.Duration
	parts := 0
	for i, unit := range []time.Duration{365 * day, 30 * day, 7 * day, day, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, _ := strconv.Atoi(m[i+1]) // digits, few enough
		parts++
		const most = 100 * 365 * day
		if time.Duration(n) > most/unit {
			return 0, false
		}
		if d += time.Duration(n) * unit; d > most {
			return 0, false
		}
	}
	return d, parts > 0
}

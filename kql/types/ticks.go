package types

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Ticks of 100 ns in the units of time.
const (
	TicksPerMicrosecond int64 = 10
	TicksPerMillisecond       = 1000 * TicksPerMicrosecond
	TicksPerSecond            = 1000 * TicksPerMillisecond
	TicksPerMinute            = 60 * TicksPerSecond
	TicksPerHour              = 60 * TicksPerMinute
	TicksPerDay               = 24 * TicksPerHour
)

const (
	unixDays = 719162 // days from 0001-01-01 to 1970-01-01
	// UnixEpochTicks is 1970-01-01 as a datetime.
	UnixEpochTicks = unixDays * TicksPerDay
	// MaxDatetime is the last tick of the year 9999, the largest datetime of Kusto.
	MaxDatetime = 3652059*TicksPerDay - 1
)

// FromTime converts t to a datetime, cutting below 100 ns; times outside the years
// 1 to 9999 are clamped.
func FromTime(t time.Time) int64 {
	v := UnixEpochTicks + t.Unix()*TicksPerSecond + int64(t.Nanosecond())/100
	return min(max(v, 0), MaxDatetime)
}

// ToTime converts a datetime to a UTC time.
func ToTime(ticks int64) time.Time {
	d := ticks - UnixEpochTicks
	s, r := d/TicksPerSecond, d%TicksPerSecond
	return time.Unix(s, r*100).UTC()
}

// FormatDatetime prints ticks as Kusto's tostring does: seven decimals and a Z.
func FormatDatetime(ticks int64) string {
	t := ToTime(ticks)
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%07dZ", t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/100)
}

// FormatDatetimeJSON prints ticks as results carry them: no trailing zeros.
func FormatDatetimeJSON(ticks int64) string {
	return ToTime(ticks).Format("2006-01-02T15:04:05.9999999Z")
}

// FormatTimespan prints ticks as [-][d.]hh:mm:ss[.fffffff].
func FormatTimespan(ticks int64) string {
	var b strings.Builder
	u := uint64(ticks)
	if ticks < 0 {
		b.WriteByte('-')
		u = -u
	}
	if d := u / uint64(TicksPerDay); d > 0 {
		fmt.Fprintf(&b, "%d.", d)
	}
	u %= uint64(TicksPerDay)
	h, m, s, f := u/uint64(TicksPerHour), u/uint64(TicksPerMinute)%60, u/uint64(TicksPerSecond)%60, u%uint64(TicksPerSecond)
	fmt.Fprintf(&b, "%02d:%02d:%02d", h, m, s)
	if f > 0 {
		fmt.Fprintf(&b, ".%07d", f)
	}
	return b.String()
}

var datetimeLayouts = []string{
	"2006-01-02T15:04:05.9999999Z07:00", "2006-01-02T15:04:05.9999999", "2006-01-02 15:04:05.9999999Z07:00",
	"2006-01-02 15:04:05.9999999", "2006-01-02 15:04:05.9999999 Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02 15:04Z07:00",
	"2006-01-02", "2006-1-2", "2006-1-2 15:4:5.9999999", "2006-1-2T15:4:5.9999999", "2006-01-02T15", "2006-01-02 15", "2006-01", "2006", "20060102",
	"2006/01/02", "2006/1/2", "2006/1/2 15:4:5.9999999", "2006/1/2 15:4",
	"1/2/2006", "1/2/2006 15:4:5.9999999", "1/2/2006 15:4", "1/2/2006 3:04:05 PM", "1/2/2006 3:04 PM", "1-2-2006", "1-2-2006 15:4:5.9999999", "1.2.2006",
	time.RFC1123, time.RFC1123Z, time.RFC822, time.RFC822Z, time.RFC850, time.ANSIC, time.UnixDate,
	"Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05", "2 Jan 2006", "Jan 2, 2006", "January 2, 2006", "2 January 2006", "Jan 2 2006", "Jan 2 2006 15:04:05",
	"Jan 2, 2006 15:04:05", "02/Jan/2006:15:04:05 -0700", "Jan-02-2006", "02-Jan-2006", "2006-Jan-02",
	"Monday, January 2, 2006", "Monday, January 2, 2006 3:04:05 PM", "Monday, 02-Jan-06 15:04:05 MST",
}

// ParseDatetime reads the spellings of a date that Kusto accepts.
func ParseDatetime(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return 0, false
	}
	for _, l := range datetimeLayouts {
		if t, err := time.Parse(l, s); err == nil {
			if t.Year() < 1 || t.Year() > 9999 {
				return 0, false
			}
			return FromTime(t), true
		}
	}
	return 0, false
}

// TimeUnit returns the ticks of a timespan literal's suffix, such as "d" or "min".
func TimeUnit(s string) (int64, bool) {
	switch strings.ToLower(s) {
	case "d", "day", "days":
		return TicksPerDay, true
	case "h", "hr", "hrs", "hour", "hours":
		return TicksPerHour, true
	case "m", "min", "minute", "minutes":
		return TicksPerMinute, true
	case "s", "sec", "second", "seconds":
		return TicksPerSecond, true
	case "ms", "milli", "millis", "millisec", "millisecond", "milliseconds":
		return TicksPerMillisecond, true
	case "micro", "micros", "microsec", "microsecond", "microseconds":
		return TicksPerMicrosecond, true
	case "nano", "nanos", "nanosec", "nanosecond", "nanoseconds":
		return 0, true
	case "tick", "ticks":
		return 1, true
	}
	return 0, false
}

// ParseTimespan reads "1d", "2.03:04:05.6", "03:04", or a bare number of days.
func ParseTimespan(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	neg := false
	if strings.HasPrefix(s, "-") {
		neg, s = true, s[1:]
	}
	v, ok := parseTimespan(s)
	if neg {
		v = -v
	}
	return v, ok
}

func parseTimespan(s string) (int64, bool) {
	if s == "" || len(s) > 40 {
		return 0, false
	}
	if !strings.Contains(s, ":") {
		i := 0
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
			i++
		}
		unit := TicksPerDay
		if i < len(s) {
			var ok bool
			if unit, ok = TimeUnit(strings.TrimSpace(s[i:])); !ok {
				return 0, false
			}
			if unit == 0 {
				n, err := strconv.ParseFloat(s[:i], 64)
				return int64(n / 100), err == nil
			}
		}
		return ScaleTicks(s[:i], unit)
	}
	var days int64
	if i := strings.IndexByte(s, '.'); i >= 0 && i < strings.IndexByte(s, ':') {
		d, err := strconv.ParseInt(s[:i], 10, 32)
		if err != nil || d > 10675199 {
			return 0, false
		}
		days, s = d, s[i+1:]
	}
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	h, err1 := strconv.ParseUint(parts[0], 10, 16)
	m, err2 := strconv.ParseUint(parts[1], 10, 16)
	if err1 != nil || err2 != nil || h > 23 || m > 59 {
		return 0, false
	}
	v := days*TicksPerDay + int64(h)*TicksPerHour + int64(m)*TicksPerMinute
	if len(parts) == 3 {
		sec, frac, _ := strings.Cut(parts[2], ".")
		n, err := strconv.ParseUint(sec, 10, 16)
		if err != nil || n > 59 || len(frac) > 9 {
			return 0, false
		}
		v += int64(n) * TicksPerSecond
		if frac != "" {
			f, err := strconv.ParseUint((frac + "0000000")[:7], 10, 32)
			if err != nil {
				return 0, false
			}
			v += int64(f)
		}
	}
	return v, true
}

// ScaleTicks multiplies the decimal number in digits by unit; false on overflow or bad digits.
func ScaleTicks(digits string, unit int64) (int64, bool) {
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n != 0 && n > math.MaxInt64/unit {
			return 0, false
		}
		return n * unit, true
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.Abs(f*float64(unit)) > math.MaxInt64/2 {
		return 0, false
	}
	return int64(math.Round(f * float64(unit))), true
}

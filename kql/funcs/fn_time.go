package funcs

import (
	"fmt"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
)

// part makes a function of a datetime's calendar parts.
func part(f func(time.Time) int) Impl {
	return func(c *Ctx, a []types.Value) types.Value { return c.integer(int64(f(types.ToTime(a[0].I)))) }
}

// boundary makes startof… and endof… functions; the optional second argument moves by units.
func boundary(unit string, end bool) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		var off int64
		if len(a) > 1 {
			off = min(max(a[1].I, -1e7), 1e7)
		}
		start := StartOf(unit, types.ToTime(a[0].I), int(off))
		if end {
			next := types.FromTime(StartOf(unit, start, 1))
			return types.NewDatetime(next - 1)
		}
		if start.Year() < 1 || start.Year() > 9999 {
			return c.null()
		}
		return types.NewDatetime(types.FromTime(start))
	}
}

// StartOf is the beginning of the day, week (Sunday), month or year of t, moved by off units.
func StartOf(unit string, t time.Time, off int) time.Time {
	y, m, d := t.Date()
	switch unit {
	case "day":
		return time.Date(y, m, d+off, 0, 0, 0, 0, time.UTC)
	case "week":
		return time.Date(y, m, d-int(t.Weekday())+7*off, 0, 0, 0, 0, time.UTC)
	case "month":
		return time.Date(y, m+time.Month(off), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y+off, 1, 1, 0, 0, 0, 0, time.UTC)
}

func timeFuncs() []entry {
	out := []entry{
		{sig: "datetime_add(period:string, amount:long, datetime:datetime) datetime", doc: "Datetime moved by whole calendar units.", eval: datetimeAdd},
		{sig: "datetime_part(part:string, date:datetime) long", alias: []string{"datepart"}, doc: "Calendar part of a datetime.", eval: datetimePart},
		{sig: "datetime_diff(period:string, datetime1:datetime, datetime2:datetime)", doc: "Calendar boundaries between two datetimes.", eval: datetimeDiff},
		{sig: "make_datetime(year:long, month:long?, day:long?, hour:long?, minute:long?, second:real?) datetime", doc: "Datetime of its parts.", eval: makeDatetime},
		{sig: "make_timespan(hour:long, minute:long, second:real?, days:real?) timespan", doc: "Timespan of its parts.", eval: makeTimespan},
		{sig: "format_datetime(date:datetime, format:string) string", doc: "Datetime printed by a format such as yyyy-MM-dd HH:mm:ss.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(formatDatetime(a[0].I, a[1].S))
		}},
		{sig: "format_timespan(timespan:timespan, format:string) string", doc: "Timespan printed by a format such as d.hh:mm:ss.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(formatTimespan(a[0].I, a[1].S))
		}},
		{sig: "dayofweek(date:datetime) timespan", doc: "Days since Sunday, as a timespan.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return types.NewTimespan(int64(types.ToTime(a[0].I).Weekday()) * types.TicksPerDay)
		}},
		{sig: "dayofmonth(date:datetime) long", doc: "Day of the month, from 1.", eval: part(time.Time.Day)},
		{sig: "dayofyear(date:datetime) long", doc: "Day of the year, from 1.", eval: part(time.Time.YearDay)},
		{sig: "hourofday(date:datetime) long", doc: "Hour of the day.", eval: part(time.Time.Hour)},
		{sig: "monthofyear(date:datetime) long", alias: []string{"getmonth"}, doc: "Month of the year, from 1.", eval: part(func(t time.Time) int { return int(t.Month()) })},
		{sig: "getyear(date:datetime) long", doc: "Year.", eval: part(time.Time.Year)},
		{sig: "week_of_year(date:datetime) long", alias: []string{"weekofyear"}, doc: "ISO week of the year.", eval: part(isoWeek)},
		{sig: "unixtime_seconds_todatetime(timestamp:real) datetime", doc: "Datetime of seconds since 1970.", eval: fromUnix(types.TicksPerSecond)},
		{sig: "unixtime_milliseconds_todatetime(timestamp:real) datetime", doc: "Datetime of milliseconds since 1970.", eval: fromUnix(types.TicksPerMillisecond)},
		{sig: "unixtime_microseconds_todatetime(timestamp:real) datetime", doc: "Datetime of microseconds since 1970.", eval: fromUnix(types.TicksPerMicrosecond)},
		{sig: "unixtime_nanoseconds_todatetime(timestamp:long) datetime", doc: "Datetime of nanoseconds since 1970.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return types.NewDatetime(types.UnixEpochTicks + a[0].I/100)
		}},
		{sig: "datetime_utc_to_local(from:datetime, zone:string) datetime", doc: "Wall time in a time zone.", eval: zone(1)},
		{sig: "datetime_local_to_utc(from:datetime, zone:string) datetime", doc: "UTC of a wall time in a time zone.", eval: zone(-1)},
	}
	for _, u := range []string{"day", "week", "month", "year"} {
		out = append(out,
			entry{sig: "startof" + u + "(date:datetime, offset:long?) datetime", doc: "Start of the " + u + ".", eval: boundary(u, false)},
			entry{sig: "endof" + u + "(date:datetime, offset:long?) datetime", doc: "Last tick of the " + u + ".", eval: boundary(u, true)})
	}
	return out
}

func isoWeek(t time.Time) int { _, w := t.ISOWeek(); return w }

func fromUnix(unit int64) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		f := a[0].F * float64(unit)
		if f != f || f > 4e18 || f < -4e18 {
			return c.null()
		}
		return types.NewDatetime(types.UnixEpochTicks + int64(f))
	}
}

func zone(sign int64) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		loc, err := time.LoadLocation(a[1].S)
		if err != nil || strings.ContainsAny(a[1].S, ".\\") {
			return c.null()
		}
		t := types.ToTime(a[0].I)
		if sign < 0 {
			y, m, d := t.Date()
			t = time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc)
		}
		_, off := t.In(loc).Zone()
		return types.NewDatetime(a[0].I + sign*int64(off)*types.TicksPerSecond)
	}
}

func unitName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

func datetimeAdd(c *Ctx, a []types.Value) types.Value {
	n, t := min(max(a[1].I, -1e15), 1e15), types.ToTime(a[2].I)
	if u := unitTicks(unitName(a[0].S)); u > 0 {
		d := float64(n) * float64(u)
		if d > 1e18 || d < -1e18 {
			return c.null()
		}
		return types.NewDatetime(a[2].I + n*u)
	}
	if n > 1e6 || n < -1e6 {
		return c.null()
	}
	months := int(n)
	switch unitName(a[0].S) {
	case "year":
		months *= 12
	case "quarter":
		months *= 3
	case "month":
	case "nanosecond":
		return types.NewDatetime(a[2].I + n/100)
	default:
		return c.null()
	}
	first := time.Date(t.Year(), t.Month()+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	day := min(t.Day(), first.AddDate(0, 1, -1).Day())
	r := first.AddDate(0, 0, day-1)
	if r.Year() < 1 || r.Year() > 9999 {
		return c.null()
	}
	return types.NewDatetime(types.FromTime(r))
}

func unitTicks(u string) int64 {
	switch u {
	case "week":
		return 7 * types.TicksPerDay
	case "day":
		return types.TicksPerDay
	case "hour":
		return types.TicksPerHour
	case "minute":
		return types.TicksPerMinute
	case "second":
		return types.TicksPerSecond
	case "millisecond":
		return types.TicksPerMillisecond
	case "microsecond":
		return types.TicksPerMicrosecond
	}
	return 0
}

func datetimePart(c *Ctx, a []types.Value) types.Value {
	t := types.ToTime(a[1].I)
	switch unitName(a[0].S) {
	case "year":
		return long(t.Year())
	case "quarter":
		return long((int(t.Month())-1)/3 + 1)
	case "month":
		return long(int(t.Month()))
	case "weekofyear", "week":
		return long(isoWeek(t))
	case "day":
		return long(t.Day())
	case "dayofyear":
		return long(t.YearDay())
	case "hour":
		return long(t.Hour())
	case "minute":
		return long(t.Minute())
	case "second":
		return long(t.Second())
	case "millisecond":
		return long(t.Nanosecond() / 1e6)
	case "microsecond":
		return long(t.Nanosecond() / 1e3)
	case "nanosecond":
		return long(t.Nanosecond())
	}
	return c.null()
}

func datetimeDiff(c *Ctx, a []types.Value) types.Value {
	x, y := types.ToTime(a[1].I), types.ToTime(a[2].I)
	months := func(t time.Time) int { return t.Year()*12 + int(t.Month()) - 1 }
	switch u := unitName(a[0].S); u {
	case "year":
		return long(x.Year() - y.Year())
	case "quarter":
		return long(months(x)/3 - months(y)/3)
	case "month":
		return long(months(x) - months(y))
	case "week":
		n := (types.FromTime(StartOf("week", x, 0)) - types.FromTime(StartOf("week", y, 0))) / (7 * types.TicksPerDay)
		return types.Convert(types.NewLong(n), c.Result)
	case "nanosecond":
		return types.NewLong((a[1].I - a[2].I) * 100)
	default:
		if n := unitTicks(u); n > 0 {
			return types.NewLong(a[1].I/n - a[2].I/n)
		}
	}
	return c.null()
}

func makeDatetime(c *Ctx, a []types.Value) types.Value {
	p := [5]int64{0, 1, 1, 0, 0}
	for i := 0; i < 5 && i < len(a); i++ {
		p[i] = a[i].I
	}
	if p[0] < 1 || p[0] > 9999 || p[1] < 1 || p[1] > 12 || p[2] < 1 || p[2] > 31 || p[3] < 0 || p[3] > 23 || p[4] < 0 || p[4] > 59 {
		return c.null()
	}
	t := time.Date(int(p[0]), time.Month(p[1]), int(p[2]), int(p[3]), int(p[4]), 0, 0, time.UTC)
	if t.Day() != int(p[2]) {
		return c.null()
	}
	ticks := types.FromTime(t)
	if len(a) > 5 {
		if s := a[5].F; s < 0 || s >= 60 {
			return c.null()
		}
		ticks += int64(a[5].F*1e7 + 0.5)
	}
	return types.NewDatetime(ticks)
}

func makeTimespan(c *Ctx, a []types.Value) types.Value {
	// With four arguments the first is days.
	days, h, m, s := 0.0, a[0].Float(), a[1].Float(), 0.0
	if len(a) == 3 {
		s = a[2].F
	}
	if len(a) == 4 {
		days, h, m, s = a[0].Float(), a[1].Float(), a[2].F, a[3].F
	}
	if h > 23 || m > 59 || s >= 60 || h < 0 || m < 0 || s < 0 || days > 1e6 || days < 0 {
		return c.null()
	}
	return types.NewTimespan(int64(days)*types.TicksPerDay + int64(h)*types.TicksPerHour + int64(m)*types.TicksPerMinute + int64(s*1e7+0.5))
}

// run splits a format into runs of one letter and what stands between.
func run(format string, f func(letter byte, n int) (string, bool)) string {
	var b strings.Builder
	for i := 0; i < len(format) && b.Len() < MaxString; {
		c, n := format[i], 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		if s, ok := f(c, n); ok {
			b.WriteString(s)
		} else {
			b.WriteString(format[i : i+n])
		}
		i += n
	}
	return b.String()
}

func fraction(ticks int64, n int, trim bool) string {
	s := fmt.Sprintf("%07d", ticks%types.TicksPerSecond)[:min(n, 7)]
	if trim {
		s = strings.TrimRight(s, "0")
	}
	return s
}

func formatDatetime(ticks int64, format string) string {
	t := types.ToTime(ticks)
	pad := func(v, n int) (string, bool) { return fmt.Sprintf("%0*d", min(n, 2), v), true }
	return run(format, func(c byte, n int) (string, bool) {
		switch c {
		case 'y':
			if n <= 2 {
				return pad(t.Year()%100, n)
			}
			return fmt.Sprintf("%04d", t.Year()), true
		case 'M':
			switch n {
			case 3:
				return t.Month().String()[:3], true
			case 4:
				return t.Month().String(), true
			}
			return pad(int(t.Month()), n)
		case 'd':
			switch n {
			case 3:
				return t.Weekday().String()[:3], true
			case 4:
				return t.Weekday().String(), true
			}
			return pad(t.Day(), n)
		case 'H':
			return pad(t.Hour(), n)
		case 'h':
			return pad((t.Hour()+11)%12+1, n)
		case 'm':
			return pad(t.Minute(), n)
		case 's':
			return pad(t.Second(), n)
		case 't':
			return t.Format("PM")[:min(n, 2)], true
		case 'f', 'F':
			return fraction(ticks, n, c == 'F'), true
		}
		return "", false
	})
}

func formatTimespan(ticks int64, format string) string {
	neg := ticks < 0
	if neg {
		ticks = -ticks
	}
	s := run(format, func(c byte, n int) (string, bool) {
		pad := func(v int64) (string, bool) { return fmt.Sprintf("%0*d", n, v), true }
		switch c {
		case 'd':
			return pad(ticks / types.TicksPerDay)
		case 'h', 'H':
			return pad(ticks / types.TicksPerHour % 24)
		case 'm':
			return pad(ticks / types.TicksPerMinute % 60)
		case 's':
			return pad(ticks / types.TicksPerSecond % 60)
		case 'f', 'F':
			return fraction(ticks, n, c == 'F'), true
		}
		return "", false
	})
	if neg {
		s = "-" + s
	}
	return s
}

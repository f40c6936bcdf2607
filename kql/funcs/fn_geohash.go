package funcs

import (
	"math"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func geohash(p point, n int) string {
	lo, hi := point{-180, -90}, point{180, 90}
	var b strings.Builder
	for i, ch := 0, 0; b.Len() < n; i++ {
		ch <<= 1
		if i%2 == 0 {
			if m := (lo.lon + hi.lon) / 2; p.lon >= m {
				lo.lon, ch = m, ch|1
			} else {
				hi.lon = m
			}
		} else if m := (lo.lat + hi.lat) / 2; p.lat >= m {
			lo.lat, ch = m, ch|1
		} else {
			hi.lat = m
		}
		if i%5 == 4 {
			b.WriteByte(geohashAlphabet[ch])
			ch = 0
		}
	}
	return b.String()
}

// geohashBox is the rectangle of a geohash.
func geohashBox(s string) (lo, hi point, ok bool) {
	lo, hi = point{-180, -90}, point{180, 90}
	if s == "" || len(s) > 18 {
		return lo, hi, false
	}
	even := true
	for i := 0; i < len(s); i++ {
		ch := strings.IndexByte(geohashAlphabet, s[i]|0x20)
		if s[i] >= '0' && s[i] <= '9' {
			ch = strings.IndexByte(geohashAlphabet, s[i])
		}
		if ch < 0 {
			return lo, hi, false
		}
		for bit := 4; bit >= 0; bit-- {
			up := ch>>bit&1 == 1
			m := (lo.lat + hi.lat) / 2
			if even {
				m = (lo.lon + hi.lon) / 2
			}
			switch {
			case even && up:
				lo.lon = m
			case even:
				hi.lon = m
			case up:
				lo.lat = m
			default:
				hi.lat = m
			}
			even = !even
		}
	}
	return lo, hi, true
}

func geohashFuncs() []entry {
	return []entry{
		{sig: "geo_point_to_geohash(lon:real, lat:real, accuracy:long?) string", nulls: true, doc: "geohash of a place, empty when it is none.", eval: func(_ *Ctx, a []types.Value) types.Value {
			n := int64(5)
			if len(a) > 2 {
				if n = a[2].I; a[2].Null {
					n = 0
				}
			}
			p, ok := place(a, 0)
			if !ok || a[0].Null || a[1].Null || n < 1 || n > 18 {
				return str("")
			}
			return str(geohash(p, int(n)))
		}},
		{sig: "geo_geohash_to_central_point(geohash:string) dynamic", doc: "Place in the middle of a geohash.", eval: func(c *Ctx, a []types.Value) types.Value {
			lo, hi, ok := geohashBox(a[0].S)
			if !ok {
				return c.null()
			}
			return geoPoint(point{(lo.lon + hi.lon) / 2, (lo.lat + hi.lat) / 2})
		}},
		{sig: "geo_geohash_to_polygon(geohash:string) dynamic", doc: "Rectangle of a geohash.", eval: func(c *Ctx, a []types.Value) types.Value {
			lo, hi, ok := geohashBox(a[0].S)
			if !ok {
				return c.null()
			}
			at := func(x, y float64) any { return []any{x, y} }
			b := types.NewBag()
			b.Set("type", "Polygon")
			b.Set("coordinates", []any{[]any{at(lo.lon, lo.lat), at(hi.lon, lo.lat), at(hi.lon, hi.lat), at(lo.lon, hi.lat), at(lo.lon, lo.lat)}})
			return dyn(b)
		}},
		{sig: "geo_geohash_neighbors(geohash:string) dynamic", doc: "Array of the geohashes around one.", eval: func(c *Ctx, a []types.Value) types.Value {
			lo, hi, ok := geohashBox(a[0].S)
			if !ok {
				return c.null()
			}
			out := []any{}
			for _, d := range [8][2]float64{{-1, 0}, {-1, -1}, {0, -1}, {1, -1}, {1, 1}, {1, 0}, {0, 1}, {-1, 1}} {
				p := point{(lo.lon+hi.lon)/2 + d[0]*(hi.lon-lo.lon), (lo.lat+hi.lat)/2 + d[1]*(hi.lat-lo.lat)}
				if p.lat > 90 || p.lat < -90 {
					continue
				}
				p.lon = math.Mod(p.lon+540, 360) - 180
				out = append(out, geohash(p, len(a[0].S)))
			}
			return dyn(out)
		}},
	}
}

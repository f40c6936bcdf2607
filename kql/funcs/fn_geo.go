package funcs

import (
	"math"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// earthRadius is that of the sphere on which Kusto measures, in metres.
const earthRadius = 6371010.0

// vec is a point of the unit sphere.
type vec struct{ x, y, z float64 }

func (a vec) cross(b vec) vec        { return vec{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x} }
func (a vec) dot(b vec) float64      { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) norm() float64          { return math.Sqrt(a.dot(a)) }
func (a vec) scale(f float64) vec    { return vec{a.x * f, a.y * f, a.z * f} }
func (a vec) plus(b vec) vec         { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) angle(b vec) float64    { return math.Atan2(a.cross(b).norm(), a.dot(b)) }
func (a vec) distance(b vec) float64 { return a.angle(b) * earthRadius }

func (a vec) unit() vec {
	if n := a.norm(); n > 0 {
		return a.scale(1 / n)
	}
	return a
}

// point is a place in degrees.
type point struct{ lon, lat float64 }

func (p point) valid() bool {
	return math.Abs(p.lon) <= 180 && math.Abs(p.lat) <= 90
}

func (p point) vec() vec {
	lon, lat := p.lon*math.Pi/180, p.lat*math.Pi/180
	return vec{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
}

func (a vec) point() point {
	return point{math.Atan2(a.y, a.x) * 180 / math.Pi, math.Atan2(a.z, math.Hypot(a.x, a.y)) * 180 / math.Pi}
}

// haversine is the distance of two places in metres.
func haversine(p, q point) float64 {
	const r = math.Pi / 180
	u, v := math.Sin((q.lat-p.lat)*r/2), math.Sin((q.lon-p.lon)*r/2)
	h := u*u + math.Cos(p.lat*r)*math.Cos(q.lat*r)*v*v
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// geometry is a GeoJSON geometry: lines, or the rings of polygons.
type geometry struct {
	lines    [][]point
	polygons [][][]point
}

// maxVertices bounds one geometry.
const maxVertices = 1 << 18

func coords(d any) (point, bool) {
	arr, ok := d.([]any)
	if !ok || len(arr) < 2 {
		return point{}, false
	}
	x, y := types.Convert(dyn(arr[0]), types.Real), types.Convert(dyn(arr[1]), types.Real)
	p := point{x.F, y.F}
	return p, !x.Null && !y.Null && p.valid()
}

func path(d any, least int) ([]point, bool) {
	arr, ok := d.([]any)
	if !ok || len(arr) < least || len(arr) > maxVertices {
		return nil, false
	}
	out := make([]point, len(arr))
	for i, e := range arr {
		if out[i], ok = coords(e); !ok {
			return nil, false
		}
	}
	return out, true
}

// ring reads a closed ring of at least three different places, its last left out.
func ring(d any) ([]point, bool) {
	out, ok := path(d, 4)
	if !ok || out[0] != out[len(out)-1] {
		return nil, false
	}
	out = out[:len(out)-1]
	for i := range out {
		if out[i] == out[(i+1)%len(out)] {
			return nil, false
		}
	}
	return out, true
}

func rings(d any) ([][]point, bool) {
	arr, ok := d.([]any)
	if !ok || len(arr) == 0 {
		return nil, false
	}
	var out [][]point
	for _, e := range arr {
		// make_list of coordinates wraps each polygon once more, which Kusto lets pass.
		if in, ok := e.([]any); ok && len(in) == 1 {
			if _, isRing := path(e, 1); !isRing {
				more, ok := rings(in)
				if !ok {
					return nil, false
				}
				out = append(out, more...)
				continue
			}
		}
		r, ok := ring(e)
		if !ok {
			return nil, false
		}
		out = append(out, r)
	}
	return out, true
}

// geometryOf reads LineString, MultiLineString, Polygon and MultiPolygon.
func geometryOf(d any) (g geometry, ok bool) {
	b, ok := d.(*types.Bag)
	if !ok {
		return g, false
	}
	kind, _ := b.Get("type")
	c, _ := b.Get("coordinates")
	list, _ := c.([]any)
	switch kind {
	case "LineString":
		l, ok := path(c, 2)
		return geometry{lines: [][]point{l}}, ok
	case "MultiLineString":
		for _, e := range list {
			l, ok := path(e, 2)
			if !ok {
				return g, false
			}
			g.lines = append(g.lines, l)
		}
		return g, len(list) > 0
	case "Polygon":
		p, ok := rings(c)
		return geometry{polygons: [][][]point{p}}, ok
	case "MultiPolygon":
		for _, e := range list {
			p, ok := rings(e)
			if !ok {
				return g, false
			}
			g.polygons = append(g.polygons, p)
		}
		return g, len(list) > 0
	}
	return g, false
}

// inRing tells whether the smaller side of a closed ring holds p: the angles at which p
// sees the vertices sum up to a full turn inside, and to nothing outside.
func inRing(p vec, ring []point) bool {
	sum := 0.0
	prev := ring[len(ring)-1].vec()
	for _, q := range ring {
		v := q.vec()
		a, b := p.cross(prev), p.cross(v)
		sum += math.Atan2(p.dot(a.cross(b)), a.dot(b))
		prev = v
	}
	return math.Abs(sum) > math.Pi
}

func (g geometry) contains(p point) bool {
	v := p.vec()
	for _, poly := range g.polygons {
		in := inRing(v, poly[0])
		for _, hole := range poly[1:] {
			in = in && !inRing(v, hole)
		}
		if in {
			return true
		}
	}
	return false
}

// edges calls f with the ends of every edge, polygons' closing ones included.
func (g geometry) edges(f func(a, b vec)) {
	for _, l := range g.lines {
		for i := 1; i < len(l); i++ {
			f(l[i-1].vec(), l[i].vec())
		}
	}
	for _, p := range g.polygons {
		for _, r := range p {
			for i := range r {
				f(r[i].vec(), r[(i+1)%len(r)].vec())
			}
		}
	}
}

// nearest is the place of the edge a-b next to p.
func nearest(p, a, b vec) vec {
	n := a.cross(b)
	if n.norm() < 1e-15 {
		return a
	}
	n = n.unit()
	q := p.plus(n.scale(-p.dot(n))).unit()
	if a.cross(q).dot(n) >= 0 && q.cross(b).dot(n) >= 0 {
		return q
	}
	if p.angle(a) <= p.angle(b) {
		return a
	}
	return b
}

func (g geometry) closest(p vec) vec {
	best, at := math.Inf(1), p
	g.edges(func(a, b vec) {
		if q := nearest(p, a, b); p.angle(q) < best {
			best, at = p.angle(q), q
		}
	})
	return at
}

func (g geometry) length() float64 {
	s := 0.0
	g.edges(func(a, b vec) { s += a.distance(b) })
	return s
}

// crosses tells whether two edges meet.
func crosses(a, b, c, d vec) bool {
	n, m := a.cross(b), c.cross(d)
	s1, s2, s3, s4 := n.dot(c), n.dot(d), m.dot(a), m.dot(b)
	if (s1 > 0) == (s2 > 0) || (s3 > 0) == (s4 > 0) {
		return false
	}
	x := n.cross(m).unit()
	if x.dot(a.plus(b)) < 0 {
		x = x.scale(-1)
	}
	return x.dot(c.plus(d)) > 0
}

func (g geometry) intersects(o geometry) bool {
	hit := false
	g.edges(func(a, b vec) {
		if !hit {
			o.edges(func(c, d vec) { hit = hit || crosses(a, b, c, d) })
		}
	})
	if hit {
		return true
	}
	first := func(x geometry) (out []point) {
		for _, l := range x.lines {
			out = append(out, l[0])
		}
		for _, p := range x.polygons {
			out = append(out, p[0][0])
		}
		return out
	}
	for _, p := range first(o) {
		hit = hit || g.contains(p)
	}
	for _, p := range first(g) {
		hit = hit || o.contains(p)
	}
	return hit
}

// area is the surface of the polygons, holes taken off.
func (g geometry) area() float64 {
	s := 0.0
	for _, p := range g.polygons {
		for i, r := range p {
			a := 0.0
			o := r[0].vec()
			for k := 1; k+1 < len(r); k++ {
				b, c := r[k].vec(), r[k+1].vec()
				a += 2 * math.Atan2(o.dot(b.cross(c)), 1+o.dot(b)+b.dot(c)+c.dot(o))
			}
			if a = math.Abs(a); i > 0 {
				a = -a
			}
			s += a
		}
	}
	return s * earthRadius * earthRadius
}

// centroid is the middle: edges weigh by length, surfaces by area.
func (g geometry) centroid() point {
	var c vec
	for _, l := range g.lines {
		for i := 1; i < len(l); i++ {
			a, b := l[i-1].vec(), l[i].vec()
			c = c.plus(a.plus(b).unit().scale(a.angle(b)))
		}
	}
	for _, p := range g.polygons {
		for k, r := range p {
			// The integral of the position over a spherical polygon is half the sum of its
			// edges' normals, each as long as the edge.
			var s vec
			for i := range r {
				a, b := r[i].vec(), r[(i+1)%len(r)].vec()
				s = s.plus(a.cross(b).unit().scale(a.angle(b)))
			}
			if s.dot(r[0].vec()) < 0 {
				s = s.scale(-1)
			}
			if k > 0 {
				s = s.scale(-1)
			}
			c = c.plus(s)
		}
	}
	return c.unit().point()
}

func geoPoint(p point) types.Value {
	b := types.NewBag()
	b.Set("type", "Point")
	b.Set("coordinates", []any{p.lon, p.lat})
	return dyn(b)
}

func place(a []types.Value, i int) (point, bool) {
	p := point{a[i].F, a[i+1].F}
	return p, p.valid()
}

// onGeometry runs f on a geometry argument of the kind wanted.
func onGeometry(at int, lines, polygons bool, f func(c *Ctx, g geometry, a []types.Value) types.Value) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		g, ok := geometryOf(a[at].D)
		if !ok || len(g.lines) > 0 && !lines || len(g.polygons) > 0 && !polygons {
			return c.null()
		}
		return f(c, g, a)
	}
}

func geoDistance(c *Ctx, g geometry, a []types.Value) types.Value {
	p, ok := place(a, 0)
	if !ok {
		return c.null()
	}
	if g.contains(p) {
		return types.NewReal(0)
	}
	return types.NewReal(p.vec().distance(g.closest(p.vec())))
}

func geoClosest(c *Ctx, g geometry, a []types.Value) types.Value {
	p, ok := place(a, 0)
	if !ok {
		return c.null()
	}
	if g.contains(p) {
		return geoPoint(p)
	}
	return geoPoint(g.closest(p.vec()).point())
}

func geoPair(l1, p1, l2, p2 bool, f func(x, y geometry) types.Value) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, ok := geometryOf(a[0].D)
		y, ok2 := geometryOf(a[1].D)
		if !ok || !ok2 || len(x.lines) > 0 != l1 || len(x.polygons) > 0 != p1 || len(y.lines) > 0 != l2 || len(y.polygons) > 0 != p2 {
			return c.null()
		}
		return f(x, y)
	}
}

func geoFuncs() []entry {
	meets := func(x, y geometry) types.Value { return boolean(x.intersects(y)) }
	return append([]entry{
		{sig: "geo_distance_2points(lon1:real, lat1:real, lon2:real, lat2:real) real", doc: "Distance of two places in metres.", eval: func(c *Ctx, a []types.Value) types.Value {
			p, ok := place(a, 0)
			q, ok2 := place(a, 2)
			if !ok || !ok2 {
				return c.null()
			}
			return types.NewReal(haversine(p, q))
		}},
		{sig: "geo_azimuth(lon1:real, lat1:real, lon2:real, lat2:real) real", doc: "Clockwise angle in radians from true north to the way to the second place.", eval: func(c *Ctx, a []types.Value) types.Value {
			p, ok := place(a, 0)
			q, ok2 := place(a, 2)
			if !ok || !ok2 || p == q {
				return c.null()
			}
			const r = math.Pi / 180
			d := (q.lon - p.lon) * r
			v := math.Atan2(math.Sin(d)*math.Cos(q.lat*r), math.Cos(p.lat*r)*math.Sin(q.lat*r)-math.Sin(p.lat*r)*math.Cos(q.lat*r)*math.Cos(d))
			if v < 0 {
				v += 2 * math.Pi
			}
			return types.NewReal(v)
		}},
		{sig: "geo_angle(lon1:real, lat1:real, lon2:real, lat2:real, lon3:real, lat3:real) real", doc: "Clockwise angle in radians at the second place, from the first to the third.", eval: func(c *Ctx, a []types.Value) types.Value {
			p, ok := place(a, 0)
			q, ok2 := place(a, 2)
			r, ok3 := place(a, 4)
			if !ok || !ok2 || !ok3 || p == q || q == r {
				return c.null()
			}
			o := q.vec()
			u, v := o.cross(p.vec()), o.cross(r.vec())
			t := -math.Atan2(o.dot(u.cross(v)), u.dot(v))
			if t < 0 {
				t += 2 * math.Pi
			}
			return types.NewReal(t)
		}},
		{sig: "geo_point_in_circle(lon:real, lat:real, centerLon:real, centerLat:real, radius:real) bool", doc: "Whether a place lies within a distance in metres.", eval: func(c *Ctx, a []types.Value) types.Value {
			p, ok := place(a, 0)
			q, ok2 := place(a, 2)
			if !ok || !ok2 || !(a[4].F >= 0) {
				return c.null()
			}
			return boolean(haversine(p, q) <= a[4].F)
		}},
		{sig: "geo_point_in_polygon(lon:real, lat:real, polygon:dynamic) bool", doc: "Whether a place lies in a polygon or multipolygon.", eval: onGeometry(2, false, true, func(c *Ctx, g geometry, a []types.Value) types.Value {
			p, ok := place(a, 0)
			if !ok {
				return c.null()
			}
			return boolean(g.contains(p))
		})},
		{sig: "geo_distance_point_to_line(lon:real, lat:real, line:dynamic) real", doc: "Distance of a place to a line in metres.", eval: onGeometry(2, true, false, geoDistance)},
		{sig: "geo_distance_point_to_polygon(lon:real, lat:real, polygon:dynamic) real", doc: "Distance of a place to a polygon in metres, 0 inside.", eval: onGeometry(2, false, true, geoDistance)},
		{sig: "geo_closest_point_on_line(lon:real, lat:real, line:dynamic) dynamic", doc: "Place of a line that is closest.", eval: onGeometry(2, true, false, geoClosest)},
		{sig: "geo_closest_point_on_polygon(lon:real, lat:real, polygon:dynamic) dynamic", doc: "Place of a polygon that is closest.", eval: onGeometry(2, false, true, geoClosest)},
		{sig: "geo_line_length(line:dynamic) real", doc: "Length of a line in metres.", eval: onGeometry(0, true, false, func(_ *Ctx, g geometry, _ []types.Value) types.Value { return types.NewReal(g.length()) })},
		{sig: "geo_line_centroid(line:dynamic) dynamic", doc: "Centroid of a line.", eval: onGeometry(0, true, false, func(_ *Ctx, g geometry, _ []types.Value) types.Value { return geoPoint(g.centroid()) })},
		{sig: "geo_polygon_perimeter(polygon:dynamic) real", doc: "Length of a polygon's rings in metres.", eval: onGeometry(0, false, true, func(_ *Ctx, g geometry, _ []types.Value) types.Value { return types.NewReal(g.length()) })},
		{sig: "geo_polygon_area(polygon:dynamic) real", doc: "Area of a polygon in square metres.", eval: onGeometry(0, false, true, func(_ *Ctx, g geometry, _ []types.Value) types.Value { return types.NewReal(g.area()) })},
		{sig: "geo_polygon_centroid(polygon:dynamic) dynamic", doc: "Centroid of a polygon.", eval: onGeometry(0, false, true, func(_ *Ctx, g geometry, _ []types.Value) types.Value { return geoPoint(g.centroid()) })},
		{sig: "geo_intersects_2lines(line1:dynamic, line2:dynamic) bool", doc: "Whether two lines meet.", eval: geoPair(true, false, true, false, meets)},
		{sig: "geo_intersects_2polygons(polygon1:dynamic, polygon2:dynamic) bool", doc: "Whether two polygons meet.", eval: geoPair(false, true, false, true, meets)},
		{sig: "geo_intersects_line_with_polygon(line:dynamic, polygon:dynamic) bool", doc: "Whether a line meets a polygon.", eval: geoPair(true, false, false, true, meets)},
		{sig: "geo_from_wkt(text:string) dynamic", doc: "GeoJSON of a well-known text.", eval: func(c *Ctx, a []types.Value) types.Value {
			g, ok := wkt(a[0].S)
			if !ok {
				return c.null()
			}
			return dyn(g)
		}},
	}, geohashFuncs()...)
}

const geohashAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

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

// wkt reads well-known text into GeoJSON.
func wkt(s string) (any, bool) {
	names := map[string]string{"POINT": "Point", "LINESTRING": "LineString", "POLYGON": "Polygon", "MULTIPOINT": "MultiPoint", "MULTILINESTRING": "MultiLineString", "MULTIPOLYGON": "MultiPolygon"}
	i := strings.IndexByte(s, '(')
	if i < 0 {
		return nil, false
	}
	kind, ok := names[strings.ToUpper(strings.TrimSpace(s[:i]))]
	if !ok {
		return nil, false
	}
	c, rest, ok := wktList(s[i:], 0)
	if !ok || strings.TrimSpace(rest) != "" {
		return nil, false
	}
	list := c.([]any)
	if kind == "Point" {
		if len(list) != 1 {
			return nil, false
		}
		c = list[0]
	}
	// MULTIPOINT allows each point in parentheses of its own.
	if kind == "MultiPoint" {
		for j, e := range list {
			if in, ok := e.([]any); ok && len(in) == 1 {
				list[j] = in[0]
			}
		}
	}
	b := types.NewBag()
	b.Set("type", kind)
	b.Set("coordinates", c)
	return b, true
}

// wktList reads a parenthesised list of positions or lists.
func wktList(s string, depth int) (any, string, bool) {
	s = strings.TrimSpace(s)
	if depth > 4 || !strings.HasPrefix(s, "(") {
		return nil, s, false
	}
	s = strings.TrimSpace(s[1:])
	out := []any{}
	for {
		if strings.HasPrefix(s, "(") {
			e, rest, ok := wktList(s, depth+1)
			if !ok {
				return nil, s, false
			}
			out, s = append(out, e), strings.TrimSpace(rest)
		} else {
			i := strings.IndexAny(s, ",)")
			if i < 0 {
				return nil, s, false
			}
			var pos []any
			for _, f := range strings.Fields(s[:i]) {
				v, err := strconv.ParseFloat(f, 64)
				if err != nil {
					return nil, s, false
				}
				pos = append(pos, v)
			}
			if len(pos) < 2 {
				return nil, s, false
			}
			out, s = append(out, pos), s[i:]
		}
		switch {
		case strings.HasPrefix(s, ","):
			s = strings.TrimSpace(s[1:])
		case strings.HasPrefix(s, ")"):
			return out, s[1:], true
		default:
			return nil, s, false
		}
	}
}

package funcs

import (
	"math"

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

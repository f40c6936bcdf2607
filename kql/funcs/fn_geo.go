package funcs

import (
	"math"

	"github.com/vedette-edr/vedette/kql/types"
)

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

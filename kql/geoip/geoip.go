// Package geoip answers geo_info_from_ip_address from a file in MaxMind's format (MMDB),
// such as GeoLite2-City or DB-IP City Lite, which are not shipped.
//
// The file is mapped, not read: it costs memory only where it is looked at, once for all
// processes. Replace it by renaming another one over it; who has it open keeps the old one.
// Start at Open.
package geoip

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/vedette-edr/vedette/kql/funcs"
)

// DB is an open file. It is safe for concurrent use.
type DB struct{ r *maxminddb.Reader }

var _ funcs.Places = (*DB)(nil)

// Open opens a file.
func Open(path string) (*DB, error) {
	r, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("database of places %s: %w", path, err)
	}
	return &DB{r}, nil
}

// Close closes the file; nobody may be asking then.
func (d *DB) Close() error { return d.r.Close() }

// record is what is read of a City or Country record.
// Source: https://dev.maxmind.com/geoip/docs/databases/city-and-country
type record struct {
	Country      named   `maxminddb:"country"`
	Subdivisions []named `maxminddb:"subdivisions"`
	City         named   `maxminddb:"city"`
	Location     struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
}

type named struct {
	Names struct {
		English string `maxminddb:"en"`
	} `maxminddb:"names"`
}

// Place implements funcs.Places.
func (d *DB) Place(ip netip.Addr) (funcs.Place, bool) {
	var r record
	res := d.r.Lookup(ip)
	if !res.Found() || res.Decode(&r) != nil {
		return funcs.Place{}, false
	}
	p := funcs.Place{Country: r.Country.Names.English, City: r.City.Names.English}
	if len(r.Subdivisions) > 0 {
		p.State = r.Subdivisions[0].Names.English
	}
	if lat, lon := r.Location.Latitude, r.Location.Longitude; lat != nil && lon != nil {
		p.Latitude, p.Longitude, p.Located = *lat, *lon, true
	}
	return p, true
}

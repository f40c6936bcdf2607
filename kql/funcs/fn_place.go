package funcs

import (
	"net/netip"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// Places knows where addresses are. It is asked by many goroutines at once.
type Places interface {
	Place(ip netip.Addr) (Place, bool)
}

// Place is where an address is, in English names; "" is unknown.
type Place struct {
	Country, State, City string
	Latitude, Longitude  float64 // degrees, if Located
	Located              bool
}

func placeFuncs() []entry {
	return []entry{
		{sig: "geo_info_from_ip_address(ip:string) dynamic", doc: "Country, state, city and place of an address; empty without a database of places.", late: true, eval: func(c *Ctx, a []types.Value) types.Value {
			// A network is where its first address is.
			if _, _, ok := ip6(a[0].S); !ok {
				return c.null()
			}
			host, _, _ := strings.Cut(strings.TrimSpace(a[0].S), "/")
			out := types.NewBag()
			ip, err := netip.ParseAddr(host)
			if err != nil || c.Places == nil {
				return dyn(out)
			}
			p, ok := c.Places.Place(ip.Unmap().WithZone(""))
			if !ok {
				return dyn(out)
			}
			for _, n := range []struct{ key, name string }{{"country", p.Country}, {"state", p.State}, {"city", p.City}} {
				if n.name != "" {
					out.Set(n.key, n.name)
				}
			}
			if p.Located {
				out.Set("latitude", p.Latitude)
				out.Set("longitude", p.Longitude)
			}
			return dyn(out)
		}},
	}
}

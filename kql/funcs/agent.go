package funcs

import (
	"strings"
	"sync"

	"github.com/ua-parser/uap-go/uaparser"

	"github.com/vedette-edr/vedette/kql/types"
)

// agents is the public collection of patterns of browsers and devices. It is made when
// first asked for, because that takes a while; nil when it cannot be made.
var agents = sync.OnceValue(func() *uaparser.Parser {
	p, err := uaparser.New(uaparser.WithCacheSize(4096))
	if err != nil {
		return nil
	}
	return p
})

// maxAgent bounds the text that the patterns are tried on.
const maxAgent = 4096

func parseUserAgent(c *Ctx, a []types.Value) types.Value {
	look := []any{a[1].Text()}
	if list, ok := a[1].D.([]any); ok {
		look = list
	}
	p, text := agents(), a[0].S
	if p == nil || len(text) > maxAgent {
		return c.null()
	}
	out := types.NewBag()
	set := func(name string, pairs ...string) {
		b := types.NewBag()
		for i := 0; i < len(pairs); i += 2 {
			b.Set(pairs[i], pairs[i+1])
		}
		out.Set(name, b)
	}
	for _, l := range look {
		s, _ := l.(string)
		switch strings.ToLower(s) {
		case "browser":
			u := p.ParseUserAgent(text)
			set("Browser", "Family", u.Family, "MajorVersion", u.Major, "MinorVersion", u.Minor, "Patch", u.Patch)
		case "os":
			o := p.ParseOs(text)
			set("OperatingSystem", "Family", o.Family, "MajorVersion", o.Major, "MinorVersion", o.Minor, "Patch", o.Patch, "PatchMinor", o.PatchMinor)
		case "device":
			d := p.ParseDevice(text)
			set("Device", "Family", d.Family, "Brand", d.Brand, "Model", d.Model)
		}
	}
	return dyn(out)
}

package funcs

import (
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func dynamicFuncs() []entry {
	return []entry{
		{sig: "parse_json(json:any) dynamic", alias: []string{"todynamic", "parsejson", "toobject"}, nulls: true, doc: "Text read as JSON; a text that is none becomes a dynamic string.", eval: to},
		{sig: "dynamic_to_json(value:dynamic) string", doc: "Canonical JSON text of a dynamic, keys sorted.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(types.MarshalDynamic(sorted(a[0].D)))
		}},
		{sig: "extractjson(path:string, json:any, type:typeof?)", alias: []string{"extract_json"}, nulls: true, doc: "Element of a JSON text at a path such as $.a[0].", eval: func(c *Ctx, a []types.Value) types.Value {
			d := types.Convert(a[1], types.Dynamic)
			v, ok := jsonPath(d.D, a[0].S)
			if !ok {
				return c.null()
			}
			return types.Convert(types.NewDynamic(v), c.Result)
		}},
		{sig: "bag_pack(keyValue:any...) dynamic", alias: []string{"pack", "pack_dictionary"}, nulls: true, doc: "Bag of alternating keys and values.", eval: func(_ *Ctx, a []types.Value) types.Value {
			b := types.NewBag()
			for i := 0; i+1 < len(a); i += 2 {
				b.Set(a[i].Text(), types.Payload(a[i+1]))
			}
			return dyn(b)
		}},
		{sig: "bag_pack_nonempty(keyValue:any...) dynamic", in: true, nulls: true, doc: "bag_pack without nulls and empty texts.", eval: func(_ *Ctx, a []types.Value) types.Value {
			b := types.NewBag()
			for i := 0; i+1 < len(a); i += 2 {
				if !empty(a[i+1]) {
					b.Set(a[i].Text(), types.Payload(a[i+1]))
				}
			}
			return dyn(b)
		}},
		{sig: "bag_keys(bag:dynamic) dynamic", doc: "Array of a bag's keys.", eval: func(c *Ctx, a []types.Value) types.Value {
			b, ok := a[0].D.(*types.Bag)
			if !ok {
				return c.null()
			}
			out := make([]any, len(b.Keys))
			for i, k := range b.Keys {
				out[i] = k
			}
			return dyn(out)
		}},
		{sig: "bag_has_key(bag:dynamic, key:string) bool", doc: "Whether a bag has a key or path.", eval: func(c *Ctx, a []types.Value) types.Value {
			b, ok := a[0].D.(*types.Bag)
			if !ok {
				return c.null()
			}
			_, ok = b.Get(a[1].S)
			if !ok && strings.HasPrefix(a[1].S, "$") {
				_, ok = jsonPath(b, a[1].S)
			}
			return boolean(ok)
		}},
		{sig: "bag_merge(bag:dynamic...) dynamic", nulls: true, doc: "Bag with the keys of all; the first wins.", eval: func(_ *Ctx, a []types.Value) types.Value {
			out := types.NewBag()
			for _, v := range a {
				if b, ok := v.D.(*types.Bag); ok {
					for _, k := range b.Keys {
						if _, has := out.Get(k); !has {
							out.Set(k, b.Vals[k])
						}
					}
				}
			}
			return dyn(out)
		}},
		{sig: "bag_remove_keys(bag:dynamic, keys:dynamic) dynamic", doc: "Bag without some keys or paths.", eval: func(_ *Ctx, a []types.Value) types.Value {
			keys, _ := a[1].D.([]any)
			return dyn(removeKeys(a[0].D, keys))
		}},
		{sig: "bag_set_key(bag:dynamic, key:string, value:any) dynamic", nulls: true, doc: "Bag with a key set.", eval: func(c *Ctx, a []types.Value) types.Value {
			keys, ok := []string{a[1].S}, true
			if strings.HasPrefix(a[1].S, "$.") || strings.HasPrefix(a[1].S, "$[") {
				keys, ok = bagPath(a[1].S[1:])
			}
			b, isBag := a[0].D.(*types.Bag)
			if !ok || !isBag {
				return c.null()
			}
			out, ok := setKey(b, keys, types.Payload(a[2]))
			if !ok {
				return c.null()
			}
			return dyn(out)
		}},
		{sig: "bag_zip(keys:dynamic, values:dynamic) dynamic", doc: "Bag of two arrays; keys that are no text are left out.", eval: func(c *Ctx, a []types.Value) types.Value {
			keys, ok := a[0].D.([]any)
			vals, ok2 := a[1].D.([]any)
			if !ok || !ok2 {
				return c.null()
			}
			out := types.NewBag()
			for i, k := range keys {
				if s, ok := k.(string); ok {
					var v any
					if i < len(vals) {
						v = vals[i]
					}
					out.Set(s, v)
				}
			}
			return dyn(out)
		}},
		{sig: "treepath(value:dynamic) dynamic", doc: "Array of the paths of all leaves.", eval: func(_ *Ctx, a []types.Value) types.Value {
			out := []any{}
			var walk func(d any, path string)
			walk = func(d any, path string) {
				if b, ok := d.(*types.Bag); ok {
					for _, k := range b.Keys {
						p := path + "['" + k + "']"
						out = append(out, p)
						walk(b.Vals[k], p)
					}
				}
				if arr, ok := d.([]any); ok && len(arr) > 0 {
					out = append(out, path+"[0]")
					walk(arr[0], path+"[0]")
				}
			}
			walk(a[0].D, "")
			return dyn(out)
		}},
	}
}

func sorted(d any) any {
	switch x := d.(type) {
	case *types.Bag:
		keys := append([]string{}, x.Keys...)
		sortStrings(keys)
		out := types.NewBag()
		for _, k := range keys {
			out.Set(k, sorted(x.Vals[k]))
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = sorted(x[i])
		}
		return out
	}
	return d
}

func removeKeys(d any, keys []any) any {
	b, ok := d.(*types.Bag)
	if !ok {
		return d
	}
	out := types.NewBag()
	for _, k := range b.Keys {
		var below []any
		drop := false
		for _, r := range keys {
			s, _ := r.(string)
			p := strings.TrimPrefix(s, "$.")
			if s == k || p != s && p == k {
				drop = true
			} else if rest, ok := strings.CutPrefix(p, k+"."); ok && p != s {
				below = append(below, "$."+rest)
			}
		}
		if drop {
			continue
		}
		v := b.Vals[k]
		if below != nil {
			v = removeKeys(v, below)
		}
		out.Set(k, v)
	}
	return out
}

// maxPath bounds the steps of a path.
const maxPath = 100

// bagPath reads the members of a path such as .a['b c'].d; positions of arrays are none.
func bagPath(p string) (keys []string, ok bool) {
	for p != "" {
		key := ""
		switch p[0] {
		case '.':
			p = p[1:]
			i := strings.IndexAny(p, ".[")
			if i < 0 {
				i = len(p)
			}
			key, p = p[:i], p[i:]
		case '[':
			i := strings.IndexByte(p, ']')
			if i < 3 || p[1] != '\'' && p[1] != '"' || p[i-1] != p[1] {
				return nil, false
			}
			key, p = p[2:i-1], p[i+1:]
		default:
			return nil, false
		}
		if keys = append(keys, key); key == "" || len(keys) > maxPath {
			return nil, false
		}
	}
	return keys, len(keys) > 0
}

// setKey is a copy of b in which a member is set, and the bags on the way to it made; it
// is not ok where something else stands in that way.
func setKey(b *types.Bag, keys []string, v any) (*types.Bag, bool) {
	out := types.NewBag()
	for _, k := range b.Keys {
		out.Set(k, b.Vals[k])
	}
	if len(keys) > 1 {
		inner := types.NewBag()
		if old, has := b.Get(keys[0]); has && old != nil {
			var ok bool
			if inner, ok = old.(*types.Bag); !ok {
				return nil, false
			}
		}
		set, ok := setKey(inner, keys[1:], v)
		if !ok {
			return nil, false
		}
		v = set
	}
	out.Set(keys[0], v)
	return out, true
}

// jsonPath follows $.a.b[0]['c'].
func jsonPath(d any, path string) (any, bool) {
	p := strings.TrimPrefix(path, "$")
	for n := 0; p != "" && n < 100; n++ {
		var key types.Value
		switch {
		case p[0] == '.':
			p = p[1:]
			i := strings.IndexAny(p, ".[")
			if i < 0 {
				i = len(p)
			}
			key, p = str(p[:i]), p[i:]
		case p[0] == '[':
			i := strings.IndexByte(p, ']')
			if i < 0 {
				return nil, false
			}
			in := p[1:i]
			p = p[i+1:]
			if j, err := strconv.ParseInt(in, 10, 32); err == nil {
				key = types.NewLong(j)
			} else {
				key = str(strings.Trim(in, `"'`))
			}
		default:
			i := strings.IndexAny(p, ".[")
			if i < 0 {
				i = len(p)
			}
			key, p = str(p[:i]), p[i:]
		}
		switch x := d.(type) {
		case *types.Bag:
			v, ok := x.Get(key.Text())
			if !ok {
				return nil, false
			}
			d = v
		case []any:
			if d = element(x, key); d == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return d, true
}

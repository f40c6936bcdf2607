package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

// callers are three applications of two tenants.
func callers() tokens {
	out := tokens{}
	for name, tenant := range map[string]string{"a": "t", "b": "t", "c": "other"} {
		out[name] = &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: name, Tenant: ident.TenantID(tenant)}, Roles: []string{"Alert.Read.All"}}
	}
	return out
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func limitedRouter(t testing.TB, c *clock, limits *api.Limits, routes ...api.Route) *api.Router {
	t.Helper()
	for i := range routes {
		routes[i].Need, routes[i].Handle = alertRead, echo("ok")
		if routes[i].Method == "" {
			routes[i].Method = "GET"
		}
	}
	r, err := api.New(api.Config{Auth: callers(), Audience: "mde", Now: c.Now, Limits: limits}, routes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func call(r http.Handler, who, path string) (status, retry int) {
	w := do(r, "GET", path, "", "Authorization", "Bearer "+who)
	retry, _ = strconv.Atoi(w.Header().Get("Retry-After"))
	return w.Code, retry
}

func TestLimitsCountCallersAndRoutesApart(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	refused := map[string]int{}
	r := limitedRouter(t, c, &api.Limits{Refused: func(m, p string) { refused[m+" "+p]++ }},
		api.Route{Pattern: "/own", Limit: api.Limit{PerMinute: 3}},
		api.Route{Pattern: "/other", Limit: api.Limit{PerMinute: 3}},
		api.Route{Pattern: "/all", Limit: api.Limit{PerMinute: 3, Tenant: true}},
		api.Route{Pattern: "/pool1", Limit: api.Limit{PerMinute: 3, Pool: "p"}},
		api.Route{Pattern: "/pool2", Limit: api.Limit{PerMinute: 3, Pool: "p"}},
		api.Route{Pattern: "/default"},
	)
	use := func(who, path string, n int) {
		t.Helper()
		for range n {
			if status, _ := call(r, who, path); status != 200 {
				t.Fatalf("%s by %s: %d", path, who, status)
			}
		}
	}
	full := func(who, path string) {
		t.Helper()
		status, retry := call(r, who, path)
		if status != 429 || retry < 1 || retry > 120 {
			t.Errorf("%s by %s: %d, Retry-After %d", path, who, status, retry)
		}
	}
	use("a", "/own", 3)
	full("a", "/own")
	use("a", "/other", 3)
	use("b", "/own", 3)
	use("a", "/all", 2)
	use("b", "/all", 1)
	full("a", "/all")
	full("b", "/all")
	use("c", "/all", 3)
	use("a", "/pool1", 2)
	use("a", "/pool2", 1)
	full("a", "/pool1")
	use("a", "/default", 100)
	full("a", "/default")
	if refused["GET /own"] != 1 || refused["GET /all"] != 2 {
		t.Errorf("refused: %v", refused)
	}
	w := do(r, "GET", "/own", "", "Authorization", "Bearer a")
	if body := w.Body.String(); w.Header().Get("Content-Type") == "" || len(body) < 20 || body[:35] != `{"error":{"code":"TooManyRequests",` {
		t.Errorf("the answer is %s", body)
	}
}

func TestLimitsAreConfigurable(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	count := func(l *api.Limits) int {
		r := limitedRouter(t, c, l, api.Route{Pattern: "/x", Limit: api.Limit{PerMinute: 10, PerHour: 15}})
		for n := range 1000 {
			if status, _ := call(r, "a", "/x"); status != 200 {
				return n
			}
		}
		return 1000
	}
	for want, l := range map[int]*api.Limits{
		1000: nil, 10: {}, 20: {Factor: 2}, 1: {Factor: 0.001}, 7: {Routes: map[string]api.Limit{"GET /x": {PerMinute: 7}}},
	} {
		if got := count(l); got != want && !(l != nil && l.Factor == 2 && got == 20) {
			t.Errorf("%+v: %d calls went through, want %d", l, got, want)
		}
	}
	if got := count(&api.Limits{Routes: map[string]api.Limit{"GET /x": {PerMinute: api.Unlimited, PerHour: api.Unlimited}}}); got != 1000 {
		t.Errorf("without limit: %d calls", got)
	}
}

// TestAWaitIsLongEnough: whoever waits as long as Retry-After says gets through, and in no
// minute or hour do many more calls get through than allowed.
func TestAWaitIsLongEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{now: time.Unix(1e9, 0)}
		perMinute, perHour := rapid.IntRange(1, 20).Draw(t, "minute"), rapid.IntRange(1, 60).Draw(t, "hour")
		r := limitedRouterRapid(t, c, perMinute, perHour)
		var passed []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			c.advance(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "pause")) * time.Millisecond)
			status, retry := call(r, "a", "/x")
			if status == 429 {
				c.advance(time.Duration(retry) * time.Second)
				for again := 0; status == 429; again++ {
					// Having waited for the minute, the hour may be full.
					if again > 2 {
						t.Fatalf("still refused after waiting as told, %d calls before", len(passed))
					}
					if status, retry = call(r, "a", "/x"); status == 429 {
						c.advance(time.Duration(retry) * time.Second)
					}
				}
			}
			passed = append(passed, c.Now())
		}
		for span, most := range map[time.Duration]int{time.Minute: perMinute, time.Hour: perHour} {
			for i, at := range passed {
				n := 0
				for _, later := range passed[i:] {
					if later.Sub(at) < span {
						n++
					}
				}
				// The window before counts as if evenly spread: twice the limit at the very worst.
				if n > 2*most {
					t.Fatalf("%d calls within %v, %d are allowed", n, span, most)
				}
			}
		}
	})
}

func limitedRouterRapid(t *rapid.T, c *clock, perMinute, perHour int) http.Handler {
	r, err := api.New(api.Config{Auth: callers(), Audience: "mde", Now: c.Now, Limits: &api.Limits{}}, []api.Route{
		{Method: "GET", Pattern: "/x", Need: alertRead, Handle: echo("ok"), Limit: api.Limit{PerMinute: perMinute, PerHour: perHour}},
	})
	if err != nil {
		t.Fatal(fmt.Sprint(err))
	}
	return r
}

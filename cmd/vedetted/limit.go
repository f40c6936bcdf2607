package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server"
)

// limits reads the flags about limits of API calls.
func (c *serveCommand) limits() (float64, map[string]server.RouteLimit, error) {
	factor := 1.0
	switch c.RateLimit {
	case "published", "":
	case "off":
		factor = -1
	default:
		f, err := strconv.ParseFloat(c.RateLimit, 64)
		if err != nil || f <= 0 || f > 1e6 || math.IsNaN(f) {
			return 0, nil, fmt.Errorf("rate-limit %q: it is published, off, or a factor above 0 such as 2.5", c.RateLimit)
		}
		factor = f
	}
	routes := map[string]server.RouteLimit{}
	for _, s := range c.RouteLimit {
		route, numbers, ok := strings.Cut(s, "=")
		minute, hour, both := strings.Cut(numbers, "/")
		perMinute, err1 := strconv.Atoi(minute)
		perHour, err2 := strconv.Atoi(hour)
		method, pattern, spaced := strings.Cut(route, " ")
		if !ok || !both || !spaced || err1 != nil || err2 != nil || perMinute < 0 || perHour < 0 || method == "" || !strings.HasPrefix(pattern, "/") {
			return 0, nil, fmt.Errorf(`route-limit %q: it is a method, a route and two numbers, such as "GET /api/alerts=200/3000"`, s)
		}
		routes[route] = server.RouteLimit{PerMinute: perMinute, PerHour: perHour}
	}
	return factor, routes, nil
}

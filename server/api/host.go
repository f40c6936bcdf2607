package api

import (
	"net/http"
	"strings"
)

// ByHost serves requests by the first label of the host they were sent to, in any case:
// labels["graph"] takes graph.example.org; def takes the rest. Paths of the custom TI API
// and of Graph differ only in case, so the host must tell them apart.
func ByHost(def http.Handler, labels map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		label, _, _ := strings.Cut(r.Host, ".")
		if h, ok := labels[strings.ToLower(label)]; ok {
			h.ServeHTTP(w, r)
			return
		}
		def.ServeHTTP(w, r)
	})
}

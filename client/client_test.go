package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestComingBackLater answers every request but the last with Retry-After.
func TestComingBackLater(t *testing.T) {
	for retry, want := range map[int]int{1: http.StatusOK, 3600: http.StatusServiceUnavailable} {
		asked := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				fmt.Fprint(w, `{"access_token":"x","expires_in":3600}`)
				return
			}
			if asked++; asked == 1 {
				w.Header().Set("Retry-After", fmt.Sprint(retry))
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"error":{"code":"StoreFull","message":"the disk is full"}}`)
				return
			}
			fmt.Fprint(w, `{}`)
		}))
		defer s.Close()
		c, err := client.New(client.Profile{APIURL: s.URL, TokenURL: s.URL + "/token"})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err = c.Do(t.Context(), http.MethodGet, "/api/alerts", nil, nil)
		status := http.StatusOK
		if e, ok := err.(*client.Error); ok {
			status = e.Status
		}
		if status != want || time.Since(begun) > 20*time.Second {
			t.Errorf("Retry-After %d: %v after %v", retry, err, time.Since(begun))
		}
	}
}

package mde_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

// target fills the variables of a route's pattern with things that exist.
func (s *site) target(r api.Route) string {
	id := s.vars["web"]
	switch {
	case strings.Contains(r.Pattern, "/alerts/{id}") && !strings.Contains(r.Pattern, "/machines/"):
		id = s.vars["alert_one"]
	case strings.Contains(r.Pattern, "/machineactions/"):
		id = "11111111-1111-1111-1111-111111111111"
	case strings.Contains(r.Pattern, "/indicators/"):
		id = "1"
	}
	return strings.NewReplacer("{id}", id, "{ip}", "'192.0.2.1'", "{timestamp}", "2024-06-01T12:00:00Z").Replace(r.Pattern)
}

func TestEveryRouteAsksForTokenAndPermission(t *testing.T) {
	s := newSite(t, 0)
	if len(s.routes) < 30 {
		t.Fatalf("%d routes", len(s.routes))
	}
	for _, r := range s.routes {
		if r.Open != "" {
			continue
		}
		target := s.target(r)
		for _, as := range []string{"", "wrong", "expired"} {
			if w := s.call(as, r.Method, target, `{}`); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"code":"Unauthorized"`) {
				t.Errorf("%s %s as %q: %d %s", r.Method, r.Pattern, as, w.Code, w.Body)
			}
		}
		// Three callers with one role each: whoever lacks what the route needs is refused.
		for as, role := range map[string]access.Permission{"alerts": access.AlertRead, "machines": access.MachineRead, "own": access.TIReadWriteOwn} {
			w := s.call(as, r.Method, target, `{}`)
			if allowed := slices.Contains(r.Need, role); allowed == (w.Code == http.StatusForbidden) {
				t.Errorf("%s %s with %s: %d %s", r.Method, r.Pattern, role, w.Code, w.Body)
			}
		}
	}
}

func TestNothingOfAnotherTenantIsSeen(t *testing.T) {
	s := newSite(t, 0)
	for _, r := range s.routes {
		w := s.call("other", r.Method, s.target(r), `{"Comment":"x","Value":"x","Action":"Add","DeviceValue":"Low","status":"New","alertIds":["`+s.vars["alert_one"]+`"]}`)
		body := w.Body.String()
		for label, id := range s.vars {
			named := strings.Contains(r.Pattern, "{id}") || strings.Contains(r.Pattern, "batchUpdate")
			// An error repeats what the caller sent, and so do the statistics of a domain
			// and the blocking of a file.
			echo := w.Code >= 400 || r.Pattern == "/api/domains/{id}/stats" || strings.HasSuffix(r.Pattern, "block")
			if strings.Contains(body, id) && label != "foreign" && !(named && echo) {
				t.Errorf("%s %s answers %d with %s of another tenant: %s", r.Method, r.Pattern, w.Code, label, body)
			}
		}
		// Those that name a thing of the world instead of a noun of a tenant answer with nothing.
		world := slices.ContainsFunc([]string{"/api/files/", "/api/domains/", "/api/ips/", "/api/users/"}, func(p string) bool { return strings.HasPrefix(r.Pattern, p) })
		if strings.Contains(r.Pattern, "{id}") && w.Code < 400 && !world {
			t.Errorf("%s %s of another tenant: %d", r.Method, r.Pattern, w.Code)
		}
	}
}

// TestEntitiesHaveEveryPublishedKey compares with the property lists of the published
// documentation and of recorded answers.
func TestEntitiesHaveEveryPublishedKey(t *testing.T) {
	s := newSite(t, 0)
	s.call("all", "POST", "/api/indicators", `{"indicatorValue":"203.0.113.7","indicatorType":"IpAddress","action":"Block","title":"t","description":"d"}`)
	s.call("all", "POST", "/api/machines/web.example/isolate", `{"Comment":"c"}`)
	for target, want := range map[string]string{
		"/api/machines": `id mergedIntoMachineId isPotentialDuplication isExcluded exclusionReason computerDnsName firstSeen lastSeen osPlatform
			osVersion osProcessor osArchitecture version osBuild lastIpAddress lastExternalIpAddress agentVersion healthStatus onboardingStatus
			rbacGroupId rbacGroupName riskScore exposureLevel deviceValue isAadJoined aadDeviceId machineTags defenderAvStatus managedBy
			managedByStatus ipAddresses vmMetadata`,
		"/api/alerts": `id incidentId investigationId investigationState assignedTo rbacGroupName severity status classification determination
			category detectionSource detectorId threatFamilyName threatName title description recommendedAction alertCreationTime firstEventTime
			lastEventTime lastUpdateTime resolvedTime machineId computerDnsName aadTenantId mitreTechniques comments relatedUser loggedOnUsers evidence`,
		"/api/machineactions": `id type title scope requestor requestorComment requestSource status machineId computerDnsName creationDateTimeUtc
			lastUpdateDateTimeUtc cancellationRequestor cancellationComment cancellationDateTimeUtc errorHResult error externalId relatedFileInfo
			fileInstances commands troubleshootInfo`,
		"/api/indicators": `id indicatorValue indicatorType action application title description severity recommendedActions expirationTime
			creationTimeDateTimeUtc lastUpdateTime lastUpdatedBy createdBy createdByDisplayName createdBySource source sourceType rbacGroupNames
			rbacGroupIds generateAlert educateUrl bypassDurationHours category notificationId notificationBody version mitreTechniques
			historicalDetection lookBackPeriod additionalInfo externalId certificateInfo`,
		"/api/alerts/" + s.vars["alert_one"] + "/files": `sha1 sha256 md5 globalPrevalence globalFirstObserved globalLastObserved size fileType isPeFile
			filePublisher fileProductName signer issuer signerHash isValidCertificate determinationType determinationValue`,
	} {
		w := s.call("all", "GET", target, "")
		value := decode(t, w.Body.Bytes()).(map[string]any)["value"].([]any)
		if len(value) == 0 {
			t.Fatalf("%s is empty", target)
		}
		if diff := cmp.Diff(sorted(strings.Fields(want)), sorted(keysOf(value[0]))); diff != "" {
			t.Errorf("%s: %s", target, diff)
		}
	}
	w := s.call("all", "GET", "/api/alerts/"+s.vars["alert_one"], "")
	evidence := decode(t, w.Body.Bytes()).(map[string]any)["evidence"].([]any)
	want := `entityType evidenceCreationTime sha1 sha256 fileName filePath processId processCommandLine processCreationTime parentProcessId
		parentProcessCreationTime parentProcessFileName parentProcessFilePath ipAddress url registryKey registryHive registryValueType registryValue
		registryValueName accountName domainName userSid aadUserId userPrincipalName detectionStatus`
	for _, e := range evidence {
		if diff := cmp.Diff(sorted(strings.Fields(want)), sorted(keysOf(e))); diff != "" {
			t.Errorf("evidence: %s", diff)
		}
	}
}

func keysOf(v any) []string {
	var out []string
	for k := range v.(map[string]any) {
		out = append(out, k)
	}
	return out
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// TestEveryListPaginates follows nextLink with small pages and compares with one big page.
func TestEveryListPaginates(t *testing.T) {
	small, big := newSite(t, 2), newSite(t, 0)
	for _, s := range []*site{small, big} {
		for i := range 5 {
			s.call("all", "POST", "/api/indicators", fmt.Sprintf(`{"indicatorValue":"203.0.113.%d","indicatorType":"IpAddress","action":"Block","title":"t","description":"d"}`, i))
		}
		for _, d := range []string{"web", "db"} {
			s.call("all", "POST", "/api/machines/"+s.vars[d]+"/isolate", `{"Comment":"c"}`)
			s.call("all", "POST", "/api/machines/"+s.vars[d]+"/unisolate", `{"Comment":"c"}`)
		}
	}
	for list, key := range map[string]string{
		"alerts": "title", "machines": "computerDnsName", "machineactions": "creationDateTimeUtc", "indicators": "indicatorValue",
	} {
		rapid.Check(t, func(r *rapid.T) {
			target := "/api/" + list + "?$count=true"
			if skip := rapid.IntRange(0, 6).Draw(r, "skip"); skip > 0 {
				target += fmt.Sprint("&$skip=", skip)
			}
			if top := rapid.IntRange(0, 7).Draw(r, "top"); top > 0 {
				target += fmt.Sprint("&$top=", top)
			}
			if got, want := follow(r, small, target, key), follow(r, big, target, key); !reflect.DeepEqual(got, want) {
				r.Fatalf("%s in pages of two: %v, in one: %v", target, got, want)
			}
		})
	}
}

func follow(r *rapid.T, s *site, target, key string) []string {
	var out []string
	for hops := 0; target != ""; hops++ {
		if hops > 20 {
			r.Fatal("the links never end")
		}
		w := s.call("all", "GET", target, "")
		var page struct {
			Value []map[string]any `json:"value"`
			Next  string           `json:"@odata.nextLink"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			r.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		for _, v := range page.Value {
			out = append(out, fmt.Sprint(v[key]))
		}
		target = strings.TrimPrefix(page.Next, address)
		if page.Next != "" && target == page.Next {
			r.Fatalf("the link %s is not absolute", page.Next)
		}
	}
	return out
}

// TestAnActionTellsTheTruth moves an action as a device does and reads it after each step.
func TestAnActionTellsTheTruth(t *testing.T) {
	s := newSite(t, 0)
	w := s.call("all", "POST", "/api/machines/"+s.vars["web"]+"/isolate", `{"Comment":"c"}`)
	id := decode(t, w.Body.Bytes()).(map[string]any)["id"].(string)
	expect := func(status, truth string) {
		t.Helper()
		w := s.call("all", "GET", "/api/machineactions/"+strings.ToUpper(id), "")
		got := decode(t, w.Body.Bytes()).(map[string]any)
		if got["status"] != status || !strings.Contains(fmt.Sprint(got["troubleshootInfo"]), truth) {
			t.Errorf("status %v, truth %v; want %s, %s", got["status"], got["troubleshootInfo"], status, truth)
		}
	}
	expect("Pending", "approved")
	ctx := context.Background()
	d, err := s.devices.Get(ctx, s.tenants[0], ident.DeviceID(s.vars["web"]))
	check(t, err)
	_, err = s.dispatch.Pending(ctx, d, nil)
	check(t, err)
	expect("InProgress", "delivered")
	check(t, s.dispatch.Result(ctx, d, action.Result{ID: ident.ActionID(id), State: "applied", Detail: "rules are in place"}))
	expect("InProgress", "applied: rules are in place")
	check(t, s.dispatch.Result(ctx, d, action.Result{ID: ident.ActionID(id), State: "verified", Detail: "probe got no answer"}))
	expect("Succeeded", "verified: probe got no answer")
}

func TestNamesThatSeveralMachinesShareAreRefused(t *testing.T) {
	s := newSite(t, 0)
	s.enrol("twin", 0, "web.example", "192.0.2.99", now)
	w := s.call("all", "POST", "/api/machines/web.example/isolate", `{"Comment":"c"}`)
	if body := w.Body.String(); w.Code != 400 || !strings.Contains(body, s.vars["web"]) || !strings.Contains(body, s.vars["twin"]) {
		t.Errorf("%d %s", w.Code, body)
	}
	// A full name goes before the first label of another.
	s.enrol("short", 0, "web", "192.0.2.98", now)
	if w := s.call("all", "GET", "/api/machines/web", ""); w.Code != 200 || !strings.Contains(w.Body.String(), s.vars["short"]) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestATenantWithoutRecentMachinesAnswersAsPublished(t *testing.T) {
	s := newSite(t, 0)
	s.later(181 * 24 * time.Hour)
	if w := s.call("all", "GET", "/api/machines", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "ResourceNotFound") {
		t.Errorf("the list: %d %s", w.Code, w.Body)
	}
	if w := s.call("all", "GET", "/api/machines/$count", ""); w.Code != 200 || w.Body.String() != "0" {
		t.Errorf("the count: %d %s", w.Code, w.Body)
	}
	if w := s.call("all", "GET", "/api/machines/"+s.vars["web"], ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"healthStatus":"Inactive"`) {
		t.Errorf("one of them: %d %s", w.Code, w.Body)
	}
}

// TestRiskIsTheHighestUnresolvedSeverity compares with a naive count over random alerts.
func TestRiskIsTheHighestUnresolvedSeverity(t *testing.T) {
	s := newSite(t, 0)
	rank := []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High}
	want := map[string]int{s.vars["web"]: 2, s.vars["db"]: -1, s.vars["server"]: -1}
	n := 100
	rapid.Check(t, func(r *rapid.T) {
		label := rapid.SampledFrom([]string{"web", "db", "server"}).Draw(r, "device")
		severity := rapid.IntRange(0, 3).Draw(r, "severity")
		status := rapid.SampledFrom([]alert.Status{alert.New, alert.InProgress, alert.Resolved}).Draw(r, "status")
		n++
		_, err := s.alerts.Raise(context.Background(), []*alert.Alert{{
			ID: ident.AlertID(fmt.Sprintf("da%018d_1", n)), Tenant: s.tenants[0], Device: ident.DeviceID(s.vars[label]),
			Severity: rank[severity], Status: status,
		}})
		if err != nil {
			r.Fatal(err)
		}
		if status != alert.Resolved {
			want[s.vars[label]] = max(want[s.vars[label]], severity)
		}
		w := s.call("all", "GET", "/api/machines?$select=id,riskScore", "")
		for _, v := range decode(t, w.Body.Bytes()).(map[string]any)["value"].([]any) {
			m := v.(map[string]any)
			expected := "None"
			if i := want[m["id"].(string)]; i >= 0 {
				expected = string(rank[i])
			}
			if m["riskScore"] != expected {
				r.Fatalf("%s has risk %s, want %s", m["id"], m["riskScore"], expected)
			}
		}
	})
}

package graphclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/microsoft/kiota-abstractions-go/authentication"
	graph "github.com/microsoftgraph/msgraph-sdk-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
	models "github.com/microsoftgraph/msgraph-sdk-go/models/security"
	"github.com/microsoftgraph/msgraph-sdk-go/security"
)

// patience bounds every wait.
const patience = 90 * time.Second

// profile is the part of a server's bootstrap.json that is needed.
type profile struct {
	APIURL       string `json:"api_url"`
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Token        string `json:"enrollment_token"`
	CAFile       string `json:"ca_file"`
}

// tokens gets access tokens as an application does, for Graph's resource.
type tokens struct {
	p    profile
	http *http.Client
}

// GetAuthorizationToken implements authentication.AccessTokenProvider.
func (s *tokens) GetAuthorizationToken(ctx context.Context, _ *url.URL, _ map[string]any) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.p.ClientID}, "client_secret": {s.p.ClientSecret},
		"scope": {"https://graph.microsoft.com/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.p.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		return "", fmt.Errorf("no token: %s, %v", resp.Status, err)
	}
	return answer.AccessToken, nil
}

// GetAllowedHostsValidator implements authentication.AccessTokenProvider.
func (*tokens) GetAllowedHostsValidator() *authentication.AllowedHostsValidator {
	v, err := authentication.NewAllowedHostsValidatorErrorCheck([]string{"127.0.0.1"})
	if err != nil {
		panic(err) // of a constant
	}
	return v
}

func bin(t *testing.T, name string) string {
	dir := os.Getenv("VEDETTE_BIN")
	if dir == "" {
		t.Fatal("VEDETTE_BIN names no directory with vedetted and vedette-agent: run make e2e-graph")
	}
	return filepath.Join(dir, name)
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if t.Failed() {
			lines := strings.Split(out.String(), "\n")
			t.Logf("%s said:\n%s", filepath.Base(name), strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
}

func await(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// site is a server with an agent on this host.
type site struct {
	p    profile
	http *http.Client
	*graph.GraphServiceClient
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	start(t, bin(t, "vedetted"), "serve", "--data-dir", dir, "--listen", addr)
	s := &site{}
	await(t, "the server", func() error {
		raw, err := os.ReadFile(filepath.Join(dir, "bootstrap.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &s.p); err != nil {
			return err
		}
		pem, err := os.ReadFile(s.p.CAFile)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		s.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
		resp, err := s.http.Get("https://" + addr + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.p.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin(t, "vedette-agent"), "run", "--server", "https://"+addr, "--enroll-token-file", token, "--ca", s.p.CAFile,
		"--state-dir", t.TempDir(), "--instance", fmt.Sprintf("g%d", os.Getpid()))
	adapter, err := graph.NewGraphRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		authentication.NewBaseBearerTokenAuthenticationProvider(&tokens{s.p, s.http}), nil, nil, s.http)
	if err != nil {
		t.Fatal(err)
	}
	adapter.SetBaseUrl("https://" + addr + "/v1.0")
	s.GraphServiceClient = graph.NewGraphServiceClient(adapter)
	return s
}

// post sends a request of another of the server's APIs.
func (s *site) post(t *testing.T, path string, body any) []byte {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := (&tokens{s.p, s.http}).GetAuthorizationToken(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.p.APIURL+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %s %s, %v", path, resp.Status, out, err)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// TestGraphSDK raises an alert on this host and works on it through the SDK.
func TestGraphSDK(t *testing.T) {
	s := newSite(t)
	var def struct{ ID int64 }
	if err := json.Unmarshal(s.post(t, "/V1.0/AlertDefinitions", map[string]any{"Name": "graph", "Title": "Graph title", "Severity": "High", "UxDescription": "d",
		"Category": "SuspiciousNetworkTraffic", "Enabled": true}), &def); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.77.%d.%d", os.Getpid()>>8&255, os.Getpid()&255|1)
	s.post(t, "/V1.0/IndicatorsOfCompromise", map[string]any{"Type": "IpAddress", "Value": addr, "DetectionFunction": "Equals", "Enabled": true,
		"AlertDefinition@odata.bind": fmt.Sprintf("AlertDefinitions(%d)", def.ID)})
	ctx := t.Context()
	var id string
	await(t, "the alert", func() error {
		if c, err := net.Dial("tcp", addr+":9"); err == nil {
			c.Close()
		}
		page, err := s.Security().Alerts_v2().Get(ctx, &security.Alerts_v2RequestBuilderGetRequestConfiguration{
			QueryParameters: &security.Alerts_v2RequestBuilderGetQueryParameters{Filter: ptr("severity eq 'high' and status eq 'new'"), Top: ptr(int32(5))}})
		if err != nil {
			return explain(err)
		}
		if len(page.GetValue()) == 0 {
			return errors.New("no alert")
		}
		id = value(page.GetValue()[0].GetId())
		return nil
	})
	incident := s.checkAlert(t, id)
	s.changeAlert(t, id)
	s.checkIncident(t, incident, id)
	s.checkHunt(t)
	if _, err := s.Security().Alerts_v2().ByAlertId("da0_0").Get(ctx, nil); err == nil {
		t.Error("an alert that is not there was answered")
	} else if e := new(odataerrors.ODataError); !errors.As(err, &e) || value(e.GetErrorEscaped().GetCode()) != "ResourceNotFound" {
		t.Errorf("the SDK reads the error as %v", explain(err))
	}
}

// explain shows what an error of Graph says.
func explain(err error) error {
	var e *odataerrors.ODataError
	if errors.As(err, &e) && e.GetErrorEscaped() != nil {
		return fmt.Errorf("%s: %s", value(e.GetErrorEscaped().GetCode()), value(e.GetErrorEscaped().GetMessage()))
	}
	return err
}

// checkAlert reads an alert by its id and returns that of its incident.
func (s *site) checkAlert(t *testing.T, id string) string {
	t.Helper()
	a, err := s.Security().Alerts_v2().ByAlertId(id).Get(t.Context(), nil)
	if err != nil {
		t.Fatal(explain(err))
	}
	if value(a.GetTitle()) != "Graph title" || value(a.GetSeverity()) != models.HIGH_ALERTSEVERITY || value(a.GetStatus()) != models.NEW_ALERTSTATUS ||
		value(a.GetServiceSource()) != models.MICROSOFTDEFENDERFORENDPOINT_SERVICESOURCE || value(a.GetDetectionSource()) != models.CUSTOMTI_DETECTIONSOURCE ||
		value(a.GetClassification()) != models.UNKNOWN_ALERTCLASSIFICATION || a.GetCreatedDateTime() == nil || a.GetFirstActivityDateTime() == nil {
		t.Errorf("alert: title %q severity %v status %v source %v %v", value(a.GetTitle()), a.GetSeverity(), a.GetStatus(), a.GetServiceSource(), a.GetDetectionSource())
	}
	kinds := map[string]int{}
	for _, e := range a.GetEvidence() {
		switch e := e.(type) {
		case *models.DeviceEvidence:
			kinds["device"]++
			if len(value(e.GetMdeDeviceId())) != 40 || value(e.GetOsPlatform()) == "" {
				t.Errorf("device evidence %q on %q", value(e.GetMdeDeviceId()), value(e.GetOsPlatform()))
			}
		case *models.ProcessEvidence:
			kinds["process"]++
			if value(e.GetProcessId()) == 0 || e.GetImageFile() == nil || value(e.GetImageFile().GetFileName()) == "" || e.GetProcessCreationDateTime() == nil {
				t.Errorf("process evidence %v", value(e.GetProcessCommandLine()))
			}
		case *models.IpEvidence:
			kinds["ip"]++
		case *models.UserEvidence:
			kinds["user"]++
			if value(e.GetUserAccount().GetAccountName()) == "" {
				t.Error("user evidence without a name")
			}
		}
	}
	for _, k := range []string{"device", "process", "ip", "user"} {
		if kinds[k] == 0 {
			t.Errorf("no %s evidence in %v", k, kinds)
		}
	}
	return value(a.GetIncidentId())
}

func (s *site) changeAlert(t *testing.T, id string) {
	t.Helper()
	body := models.NewAlert()
	body.SetStatus(ptr(models.INPROGRESS_ALERTSTATUS))
	body.SetAssignedTo(ptr("ana@example.com"))
	body.SetClassification(ptr(models.TRUEPOSITIVE_ALERTCLASSIFICATION))
	body.SetDetermination(ptr(models.COMPROMISEDACCOUNT_ALERTDETERMINATION))
	if _, err := s.Security().Alerts_v2().ByAlertId(id).Patch(t.Context(), body, nil); err != nil {
		t.Fatal(explain(err))
	}
	s.post(t, "/v1.0/security/alerts_v2/"+id+"/comments", map[string]string{"@odata.type": "microsoft.graph.security.alertComment", "comment": "seen"})
	a, err := s.Security().Alerts_v2().ByAlertId(id).Get(t.Context(), nil)
	if err != nil {
		t.Fatal(explain(err))
	}
	if value(a.GetStatus()) != models.INPROGRESS_ALERTSTATUS || value(a.GetAssignedTo()) != "ana@example.com" ||
		value(a.GetClassification()) != models.TRUEPOSITIVE_ALERTCLASSIFICATION || value(a.GetDetermination()) != models.COMPROMISEDACCOUNT_ALERTDETERMINATION ||
		len(a.GetComments()) != 1 || value(a.GetComments()[0].GetComment()) != "seen" {
		t.Errorf("changed: %v %v %v %v %v", a.GetStatus(), value(a.GetAssignedTo()), a.GetClassification(), a.GetDetermination(), a.GetComments())
	}
}

func (s *site) checkIncident(t *testing.T, id, alert string) {
	t.Helper()
	ctx := t.Context()
	page, err := s.Security().Incidents().Get(ctx, &security.IncidentsRequestBuilderGetRequestConfiguration{
		QueryParameters: &security.IncidentsRequestBuilderGetQueryParameters{Expand: []string{"alerts"}, Filter: ptr("status eq 'active'"), Orderby: []string{"createdDateTime desc"}}})
	if err != nil {
		t.Fatal(explain(err))
	}
	if len(page.GetValue()) != 1 || value(page.GetValue()[0].GetId()) != id || len(page.GetValue()[0].GetAlerts()) != 1 || value(page.GetValue()[0].GetAlerts()[0].GetId()) != alert {
		t.Fatalf("%d incidents, want %s with alert %s", len(page.GetValue()), id, alert)
	}
	body := models.NewIncident()
	body.SetStatus(ptr(models.RESOLVED_INCIDENTSTATUS))
	body.SetCustomTags([]string{"drill"})
	body.SetClassification(ptr(models.INFORMATIONALEXPECTEDACTIVITY_ALERTCLASSIFICATION))
	body.SetDetermination(ptr(models.SECURITYTESTING_ALERTDETERMINATION))
	body.SetResolvingComment(ptr("a drill"))
	if _, err := s.Security().Incidents().ByIncidentId(id).Patch(ctx, body, nil); err != nil {
		t.Fatal(explain(err))
	}
	i, err := s.Security().Incidents().ByIncidentId(id).Get(ctx, nil)
	if err != nil {
		t.Fatal(explain(err))
	}
	if value(i.GetStatus()) != models.RESOLVED_INCIDENTSTATUS || len(i.GetCustomTags()) != 1 || value(i.GetDetermination()) != models.SECURITYTESTING_ALERTDETERMINATION ||
		value(i.GetSeverity()) != models.HIGH_ALERTSEVERITY || len(i.GetComments()) != 1 {
		t.Errorf("incident %v %v %v %v", i.GetStatus(), i.GetCustomTags(), i.GetDetermination(), i.GetSeverity())
	}
	a, err := s.Security().Alerts_v2().ByAlertId(alert).Get(ctx, nil)
	if err != nil || value(a.GetStatus()) != models.RESOLVED_ALERTSTATUS {
		t.Errorf("the incident's alert: %v, %v", a.GetStatus(), err)
	}
}

func (s *site) checkHunt(t *testing.T) {
	t.Helper()
	await(t, "the alert's hunting row", func() error {
		body := security.NewMicrosoftGraphSecurityRunHuntingQueryRunHuntingQueryPostRequestBody()
		body.SetQuery(ptr("AlertInfo | project Title, Timestamp, N = 7"))
		body.SetTimespan(ptr("P1D"))
		r, err := s.Security().MicrosoftGraphSecurityRunHuntingQuery().Post(t.Context(), body, nil)
		if err != nil {
			return explain(err)
		}
		if len(r.GetSchema()) != 3 || value(r.GetSchema()[0].GetName()) != "Title" || value(r.GetSchema()[1].GetTypeEscaped()) != "DateTime" {
			t.Fatalf("schema of %d columns", len(r.GetSchema()))
		}
		if len(r.GetResults()) != 1 {
			return fmt.Errorf("%d rows", len(r.GetResults()))
		}
		if title, ok := r.GetResults()[0].GetAdditionalData()["Title"].(*string); !ok || *title != "Graph title" {
			t.Errorf("row %v", r.GetResults()[0].GetAdditionalData())
		}
		return nil
	})
	body := security.NewMicrosoftGraphSecurityRunHuntingQueryRunHuntingQueryPostRequestBody()
	body.SetQuery(ptr("AlertInfo | count"))
	body.SetTimespan(ptr("2020-01-01T00:00:00Z/2020-01-02T00:00:00Z"))
	r, err := s.Security().MicrosoftGraphSecurityRunHuntingQuery().Post(t.Context(), body, nil)
	if err != nil {
		t.Fatal(explain(err))
	}
	if n := r.GetResults()[0].GetAdditionalData()["Count"]; fmt.Sprint(*n.(*float64)) != "0" {
		t.Errorf("in another time there are %v", n)
	}
}

package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/server/vulnerability/feed"
	"github.com/vedette-edr/vedette/wire"
)

// people makes what valid requests name that only the caller's own tenant has: an application
// with a secret, a device group to change, devices without an open action, vulnerable
// software, sightings, an action that has yielded a file.
func (f *target) people(t testing.TB, s *Server, rows *hunttest.Memory, tenant ident.TenantID) {
	t.Helper()
	ctx, now := context.Background(), time.Now().UTC()
	by := access.System(tenant, "test")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	app, secret, err := s.control.directory.RegisterApplication(ctx, tenant, access.ApplicationRequest{Name: "plain", Roles: []access.Permission{access.AlertRead},
		Redirects: []string{"https://portal.example/back"}})
	must(err)
	_, more, err := s.control.directory.AddSecret(ctx, tenant, app.ID, "more", time.Hour)
	must(err)
	f.ids["applicationId"], f.ids["secretId"] = []string{string(app.ID)}, []string{more.ID}
	f.ids["client_id"], f.ids["client_secret"] = []string{string(app.ID)}, []string{secret}
	f.ids["redirect_uri"], f.ids["response_type"], f.ids["code_challenge"] = []string{"https://portal.example/back"}, []string{"code"}, []string{"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}
	f.ids["code_challenge_method"], f.ids["sinceTime"] = []string{"S256"}, []string{now.Add(-time.Hour).Format(time.RFC3339)}
	f.ids["spare group"] = nil
	spare, err := s.control.groups.Create(ctx, by, group.Request{Name: "spare"})
	must(err)
	f.ids["spare group"] = []string{fmt.Sprint(spare.ID)}
	for n := range 12 { // each action that is asked for keeps others of its kind off
		d := &device.Device{ID: ident.DeviceID(fmt.Sprintf("%040x", 0xabc000+n)), Tenant: tenant, Name: fmt.Sprintf("free%d.example", n), Incarnation: 1, Fingerprint: [32]byte{1, byte(n)},
			FirstSeen: now, LastSeen: now, LastReport: now, LastData: now, Platform: "Linux", Value: device.Normal}
		must(s.control.store.Devices().Create(ctx, d))
		f.ids["/api/machines"] = append(f.ids["/api/machines"], string(d.ID))
		if n == 0 {
			f.software(t, s, d)
			e := event.Event{Table: event.NetworkEvents, Action: "ConnectionSuccess", Time: now, Network: &event.Network{RemoteIP: "203.0.113.9", RemoteURL: "plain.example", Protocol: "Tcp"},
				Initiating: &event.Process{PID: 7, Start: now, Image: event.File{Name: "plain", Path: "/plain", SHA1: f.ids["/api/files"][0]}}}
			rows.Add(tenant, event.Origin{DeviceID: string(d.ID), DeviceName: d.Name, ReportID: 1}, &e)
		}
		if n == 1 {
			f.yielded(t, s, d)
		}
	}
}

// software reports a package with a flaw, and asks for it to be mended.
func (f *target) software(t testing.TB, s *Server, d *device.Device) {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.control.store.Vulnerabilities().SaveRecords(ctx, d.Tenant, "f", 1, []*feed.Record{{ID: "CVE-2099-1", Vulnerabilities: []string{"CVE-2099-1"}, Severity: "High",
		Affected: []feed.Affected{{Ecosystem: "debian:12", Package: "plain", Ranges: []feed.Range{{Fixed: "2"}}}}}})
	check(err)
	item, err := json.Marshal(vulnerability.Package{Kind: "deb", Name: "plain", Version: "1", Source: "plain", SourceVersion: "1", Release: "debian:12"})
	check(err)
	body, err := wire.EncodeSection(&wire.SectionBody{Put: []json.RawMessage{item}})
	check(err)
	digest := wire.SectionDigest([]string{wire.SectionKey(item)})
	_, _, err = s.control.vulnerabilities.Report(ctx, d, vulnerability.Report{Section: wire.SectionSoftware, Digest: digest[:], Body: body})
	check(err)
	by := access.System(d.Tenant, "test")
	task, err := s.control.vulnerabilities.NewTask(access.WithPrincipal(ctx, by), by, vulnerability.TaskRequest{Recommendation: "va-_-debian-_-plain"})
	check(err)
	f.ids["/api/Software"], f.ids["/api/vulnerabilities"] = []string{"debian-_-plain"}, []string{"CVE-2099-1"}
	f.ids["/api/recommendations"], f.ids["/api/vedette/recommendations"] = []string{"va-_-debian-_-plain"}, []string{"va-_-debian-_-plain"}
	f.ids["/api/remediationTasks"], f.ids["/api/vedette/remediationTasks"] = []string{task.ID}, []string{task.ID}
}

// yielded keeps actions that succeeded and brought a file each.
func (f *target) yielded(t testing.TB, s *Server, d *device.Device) {
	t.Helper()
	now := time.Now().UTC()
	for i, kind := range []action.Kind{action.CollectPackage, action.LiveResponse} {
		a := &action.Action{ID: ident.ActionID(fmt.Sprintf("%08x-0000-4000-8000-00000000beef", i)), Tenant: d.Tenant, Device: d.ID, DeviceName: d.Name, Incarnation: 1, Kind: kind,
			State: action.Verified, Created: now, Updated: now, Expires: now.Add(time.Hour), Artifacts: []action.Artifact{{Index: 0, Name: "plain.zip", SHA256: fmt.Sprintf("%064x", 1)}}}
		if kind == action.LiveResponse {
			a.Commands = []action.LiveCommand{{Kind: action.RunScript, Status: "Completed"}}
		}
		if err := s.control.store.Actions().CreateAction(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		f.ids["yielded "+string(kind)] = []string{string(a.ID)}
	}
}

// certificate is one in PEM that applications may prove themselves with.
func certificate() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // of a fixed curve: cannot fail
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "plain"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

package device

import (
	"context"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Antivirus is what the scans of a device tell of its antivirus engine. The zero value is
// that of a device which was never scanned.
type Antivirus struct {
	Quick, Full ScanOutcome
	// The engine that the last scan used, "" for none, and its signatures as it named them.
	Engine     string    `json:",omitempty"`
	Signatures string    `json:",omitempty"`
	Published  time.Time `json:",omitzero"` // of the signatures; zero where it is not known
	Seen       time.Time `json:",omitzero"` // when the device told of its engine
}

// ScanOutcome is how the last scan of a kind ended; the zero value says that there was none.
type ScanOutcome struct {
	Result ScanResult `json:",omitempty"`
	Error  string     `json:",omitempty"` // why it failed, in words for people
	At     time.Time  `json:",omitzero"`
}

// ScanResult is the published result of a scan.
type ScanResult string

// The published results.
const (
	ScanCompleted ScanResult = "Completed"
	ScanCancelled ScanResult = "Cancelled"
	ScanFailed    ScanResult = "Failed"
)

// Protection is a device with its antivirus.
type Protection struct {
	Device    *Device
	Antivirus Antivirus
}

// ProtectionFields is what devices may be filtered and ordered by in the list of their
// antivirus: the published properties of deviceAvInfo.
var ProtectionFields = filter.Schema{
	{Name: "id", Type: filter.String},
	{Name: "machineId", Type: filter.String},
	{Name: "computerDnsName", Type: filter.String},
	{Name: "osKind", Type: filter.String},
	{Name: "osPlatform", Type: filter.String},
	{Name: "osVersion", Type: filter.String},
	{Name: "avMode", Type: filter.String},
	{Name: "avSignatureVersion", Type: filter.String},
	{Name: "avEngineVersion", Type: filter.String},
	{Name: "avPlatformVersion", Type: filter.String},
	{Name: "quickScanResult", Type: filter.String},
	{Name: "quickScanError", Type: filter.String},
	{Name: "fullScanResult", Type: filter.String},
	{Name: "fullScanError", Type: filter.String},
	{Name: "avIsSignatureUpToDate", Type: filter.String},
	{Name: "avIsEngineUpToDate", Type: filter.String},
	{Name: "avIsPlatformUpToDate", Type: filter.String},
	{Name: "rbacGroupId", Type: filter.Int},
}

// UpToDate is the published avIs…UpToDate of every device: nothing here knows which
// versions are the newest.
const UpToDate = "Unknown"

// ProtectionStore lists devices with their antivirus. The rest of it is kept by the store
// as actions end.
type ProtectionStore interface {
	// Protections returns a page of the tenant's devices in access.ScopeOf the context that
	// match q, which uses ProtectionFields; ordered by id unless q orders otherwise.
	Protections(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Protection], error)
}

// Protections returns a page of the devices, with their antivirus, that match q, which uses
// ProtectionFields.
func (s *Service) Protections(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Protection], error) {
	const op = "device.Protections"
	if s.protections == nil {
		return filter.Page[*Protection]{}, errs.New(op, errs.Internal, "", "the store keeps no antivirus")
	}
	if err := filter.Check(ProtectionFields, q.Where); err != nil {
		return filter.Page[*Protection]{}, errs.Wrap(op, err)
	}
	page, err := s.protections.Protections(ctx, tenant, q)
	return page, errs.Wrap(op, err)
}

// OSKind is the published osKind of a platform: windows, mac or linux.
func OSKind(platform string) string {
	switch p := strings.ToLower(platform); {
	case strings.HasPrefix(p, "windows"):
		return "windows"
	case p == "macos":
		return "mac"
	}
	return "linux"
}

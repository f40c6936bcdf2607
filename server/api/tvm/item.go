package tvm

import (
	"encoding/json"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/wire"
)

// itemSheet reads a section item by item.
func itemSheet[T any](a *API, section string, record func(f *fleet, on onDevice, version *string, i *vulnerability.Item, v *T) (any, bool)) sheet {
	return func(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
		f := a.fleet(r)
		for {
			items, err := a.service.Items(r.Context(), r.Caller.Tenant, section, "", after, limit)
			if err != nil || len(items) == 0 {
				return nil, after, err
			}
			var out []any
			for _, i := range items {
				v, err := vulnerability.Parse[T](i)
				if err != nil {
					return nil, after, err
				}
				on, version, _, err := f.on(i.Device)
				if err != nil {
					return nil, after, err
				}
				if row, ok := record(f, on, version, i, v); ok {
					out = append(out, row)
				}
				after = vulnerability.Cursor{Device: string(i.Device), A: i.Key}
			}
			if len(out) > 0 {
				return out, after, nil
			}
		}
	}
}

type assetConfiguration struct {
	onDevice
	OSVersion               *string `json:"osVersion"`
	Timestamp               *string `json:"timestamp"`
	ConfigurationID         string  `json:"configurationId"`
	Category                string  `json:"configurationCategory"`
	Subcategory             string  `json:"configurationSubcategory"`
	Impact                  float64 `json:"configurationImpact"`
	IsCompliant             bool    `json:"isCompliant"`
	IsApplicable            bool    `json:"isApplicable"`
	IsExpectedUserImpact    *bool   `json:"isExpectedUserImpact"`
	Name                    string  `json:"configurationName"`
	RecommendationReference string  `json:"recommendationReference"`
}

func (a *API) configurationSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	return itemSheet(a, wire.SectionConfiguration, func(_ *fleet, on onDevice, version *string, i *vulnerability.Item, v *vulnerability.CheckState) (any, bool) {
		c, known := vulnerability.ConfigurationOf(v.ID)
		return assetConfiguration{onDevice: on, OSVersion: version, Timestamp: plainTime(i.Seen), ConfigurationID: v.ID, Category: c.Category, Subcategory: c.Subcategory,
			Impact: c.Impact, IsCompliant: v.Applicable && v.Compliant, IsApplicable: v.Applicable, Name: c.Name, RecommendationReference: "sca-_-" + v.ID}, known
	})(r, after, limit)
}

// assetExtension has the published sample's capitals.
type assetExtension struct {
	DeviceID             string          `json:"DeviceId"`
	DeviceName           string          `json:"DeviceName"`
	RBACGroupID          int64           `json:"RbacGroupId"`
	RBACGroupName        string          `json:"RbacGroupName"`
	InstallationTime     *string         `json:"InstallationTime"`
	BrowserName          string          `json:"BrowserName"`
	ExtensionID          string          `json:"ExtensionId"`
	ExtensionName        *string         `json:"ExtensionName"`
	ExtensionDescription *string         `json:"ExtensionDescription"`
	ExtensionVersion     *string         `json:"ExtensionVersion"`
	ExtensionRisk        *string         `json:"ExtensionRisk"`
	IsActivated          *bool           `json:"IsActivated"`
	Permissions          []permissionUse `json:"Permissions"`
}

type permissionUse struct {
	ID         string  `json:"Id"`
	IsRequired bool    `json:"IsRequired"`
	Risk       *string `json:"Risk"`
}

func (a *API) extensionSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	return itemSheet(a, wire.SectionExtensions, func(_ *fleet, on onDevice, _ *string, _ *vulnerability.Item, v *vulnerability.Extension) (any, bool) {
		e := assetExtension{DeviceID: on.DeviceID, DeviceName: on.DeviceName, RBACGroupID: on.RBACGroupID, RBACGroupName: on.RBACGroupName,
			BrowserName: v.Browser, ExtensionID: v.ID, ExtensionName: optional(v.Name), ExtensionDescription: optional(v.Description),
			ExtensionVersion: optional(v.Version), IsActivated: v.Active, Permissions: []permissionUse{}}
		if v.Installed > 0 {
			e.InstallationTime = plainTime(time.Unix(v.Installed, 0))
		}
		for _, p := range v.Permissions {
			e.Permissions = append(e.Permissions, permissionUse{ID: p, IsRequired: true})
		}
		return e, true
	})(r, after, limit)
}

type assetCertificate struct {
	DeviceID           string            `json:"deviceId"`
	DeviceName         string            `json:"deviceName"`
	Thumbprint         string            `json:"thumbprint"`
	Path               string            `json:"path"`
	SignatureAlgorithm string            `json:"signatureAlgorithm"`
	KeyLength          int               `json:"keyLength"`
	NotAfter           *string           `json:"notAfter"`
	NotBefore          *string           `json:"notBefore"`
	SubjectType        string            `json:"subjectType"`
	SerialNumber       string            `json:"serialNumber"`
	SubjectObject      map[string]string `json:"subjectObject"`
	IssuerObject       map[string]string `json:"issuerObject"`
	KeyUsageArray      []string          `json:"keyUsageArray"`
	ExtendedKeyUsage   []string          `json:"extendedKeyUsageArray"`
	IsSelfSigned       bool              `json:"isSelfSigned"`
	RBACGroupID        int64             `json:"rbacGroupId"`
	RBACGroupName      string            `json:"rbacGroupName"`
}

func (a *API) certificateSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	return itemSheet(a, wire.SectionCertificates, func(_ *fleet, on onDevice, _ *string, _ *vulnerability.Item, v *vulnerability.Certificate) (any, bool) {
		return assetCertificate{DeviceID: on.DeviceID, DeviceName: on.DeviceName, Thumbprint: v.Thumbprint, Path: v.Path, SignatureAlgorithm: v.Algorithm,
			KeyLength: v.KeyLength, NotAfter: plainTime(v.NotAfter), NotBefore: plainTime(v.NotBefore), SubjectType: v.SubjectType, SerialNumber: v.Serial,
			SubjectObject: v.Subject, IssuerObject: v.Issuer, KeyUsageArray: list(v.KeyUsage), ExtendedKeyUsage: list(v.Extended),
			IsSelfSigned: v.SelfSigned, RBACGroupID: on.RBACGroupID, RBACGroupName: on.RBACGroupName}, true
	})(r, after, limit)
}

type assetHardware struct {
	DeviceID         string  `json:"deviceId"`
	RBACGroupID      int64   `json:"rbacGroupId"`
	RBACGroupName    string  `json:"rbacGroupName"`
	DeviceName       string  `json:"deviceName"`
	ComponentType    string  `json:"componentType"`
	Manufacturer     *string `json:"manufacturer"`
	ComponentName    *string `json:"componentName"`
	ComponentVersion *string `json:"componentVersion"`
	AdditionalFields *string `json:"additionalFields"` // JSON
}

func (a *API) hardwareSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	return itemSheet(a, wire.SectionHardware, func(_ *fleet, on onDevice, _ *string, _ *vulnerability.Item, v *vulnerability.Component) (any, bool) {
		e := assetHardware{DeviceID: on.DeviceID, RBACGroupID: on.RBACGroupID, RBACGroupName: on.RBACGroupName, DeviceName: on.DeviceName,
			ComponentType: v.Type, Manufacturer: optional(v.Manufacturer), ComponentName: optional(v.Name), ComponentVersion: optional(v.Version)}
		if len(v.Fields) > 0 {
			if raw, err := json.Marshal(v.Fields); err == nil { // of strings: cannot fail
				e.AdditionalFields = optional(string(raw))
			}
		}
		return e, true
	})(r, after, limit)
}

// Nothing here assesses baselines, knows the risk of permissions or gathers further
// attributes: the shapes are the published ones of empty lists.
type (
	assetBaseline struct {
		ID string `json:"id"`
	}
	baselineProfile struct {
		ID string `json:"id"`
	}
	baselineConfiguration struct {
		ID string `json:"id"`
	}
	permissionInfo struct {
		Key            string `json:"key"`
		PermissionName string `json:"permissionName"`
		Description    string `json:"description"`
	}
	gathered struct {
		ID string `json:"deviceId"`
	}
)

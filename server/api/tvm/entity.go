package tvm

import (
	"time"

	"github.com/vedette-edr/vedette/server/api/odata"
)

func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// plainTime is how exports write times: 2021-01-11 09:47:58.854, "" for none.
func plainTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02 15:04:05.000")
	return &s
}

type scoreEntity struct {
	Time          odata.DateTime `json:"time"`
	Score         *float64       `json:"score"`
	RBACGroupName *string        `json:"rbacGroupName"`
	RBACGroupID   *int64         `json:"rbacGroupId"`
}

type softwareEntity struct {
	ID              string  `json:"id"`
	Name            string  `json:"name"`
	Vendor          string  `json:"vendor"`
	Weaknesses      int64   `json:"weaknesses"`
	PublicExploit   bool    `json:"publicExploit"`
	ActiveAlert     bool    `json:"activeAlert"`
	ExposedMachines int64   `json:"exposedMachines"`
	ImpactScore     float64 `json:"impactScore"`
}

type distributionEntity struct {
	Version         string `json:"version"`
	Installations   int64  `json:"installations"`
	Vulnerabilities int64  `json:"vulnerabilities"`
}

type fixEntity struct {
	ID              string         `json:"id"`
	Name            string         `json:"name"`
	OSBuild         *int64         `json:"osBuild"`
	ProductsNames   []string       `json:"productsNames"`
	URL             *string        `json:"url"`
	MachineMissedOn int64          `json:"machineMissedOn"`
	CVEAddressed    int64          `json:"cveAddressed"`
	ReleaseDate     odata.DateTime `json:"releaseDate"`
}

type machineReference struct {
	ID              string  `json:"id"`
	ComputerDNSName *string `json:"computerDnsName"`
	OSPlatform      *string `json:"osPlatform"`
	RBACGroupName   *string `json:"rbacGroupName"`
	RBACGroupID     int64   `json:"rbacGroupId"`
}

type vulnerabilityEntity struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	Description       *string        `json:"description"`
	Severity          *string        `json:"severity"`
	CVSSV3            *float64       `json:"cvssV3"`
	CVSSVector        *string        `json:"cvssVector"`
	ExposedMachines   int64          `json:"exposedMachines"`
	PublishedOn       odata.DateTime `json:"publishedOn"`
	UpdatedOn         odata.DateTime `json:"updatedOn"`
	FirstDetected     odata.DateTime `json:"firstDetected"`
	PublicExploit     bool           `json:"publicExploit"`
	ExploitVerified   bool           `json:"exploitVerified"`
	ExploitInKit      bool           `json:"exploitInKit"`
	ExploitTypes      []string       `json:"exploitTypes"`
	ExploitURIs       []string       `json:"exploitUris"`
	CVESupportability string         `json:"cveSupportability"`
}

type assetEntity struct {
	ID             string  `json:"id"`
	CVEID          string  `json:"cveId"`
	MachineID      string  `json:"machineId"`
	FixingKBID     *string `json:"fixingKbId"`
	ProductName    string  `json:"productName"`
	ProductVendor  string  `json:"productVendor"`
	ProductVersion string  `json:"productVersion"`
	Severity       *string `json:"severity"`
}

type recommendationEntity struct {
	ID                            string   `json:"id"`
	ProductName                   *string  `json:"productName"`
	RecommendationName            string   `json:"recommendationName"`
	Weaknesses                    int64    `json:"weaknesses"`
	Vendor                        *string  `json:"vendor"`
	RecommendedVersion            *string  `json:"recommendedVersion"`
	RecommendedVendor             *string  `json:"recommendedVendor"`
	RecommendedProgram            *string  `json:"recommendedProgram"`
	RecommendationCategory        string   `json:"recommendationCategory"`
	SubCategory                   *string  `json:"subCategory"`
	SeverityScore                 *float64 `json:"severityScore"`
	PublicExploit                 bool     `json:"publicExploit"`
	ActiveAlert                   bool     `json:"activeAlert"`
	AssociatedThreats             []string `json:"associatedThreats"`
	RemediationType               string   `json:"remediationType"`
	Status                        string   `json:"status"`
	ConfigScoreImpact             float64  `json:"configScoreImpact"`
	ExposureImpact                float64  `json:"exposureImpact"`
	TotalMachineCount             int64    `json:"totalMachineCount"`
	ExposedMachinesCount          int64    `json:"exposedMachinesCount"`
	NonProductivityImpactedAssets int64    `json:"nonProductivityImpactedAssets"`
	RelatedComponent              string   `json:"relatedComponent"`
}

type taskEntity struct {
	ID                  string         `json:"id"`
	Title               string         `json:"title"`
	CreatedOn           odata.DateTime `json:"createdOn"`
	RequesterID         string         `json:"requesterId"`
	RequesterEmail      *string        `json:"requesterEmail"`
	Status              string         `json:"status"`
	StatusLastModified  odata.DateTime `json:"statusLastModifiedOn"`
	Description         *string        `json:"description"`
	RelatedComponent    string         `json:"relatedComponent"`
	TargetDevices       int64          `json:"targetDevices"`
	RBACGroupNames      []string       `json:"rbacGroupNames"`
	FixedDevices        int64          `json:"fixedDevices"`
	RequesterNotes      *string        `json:"requesterNotes"`
	DueOn               odata.DateTime `json:"dueOn"`
	Category            string         `json:"category"`
	ProductivityImpact  *string        `json:"productivityImpactRemediationType"`
	Priority            string         `json:"priority"`
	CompletionMethod    *string        `json:"completionMethod"`
	CompleterID         *string        `json:"completerId"`
	CompleterEmail      *string        `json:"completerEmail"`
	SCID                *string        `json:"scid"`
	Type                string         `json:"type"`
	ProductID           *string        `json:"productId"`
	VendorID            *string        `json:"vendorId"`
	NameID              *string        `json:"nameId"`
	RecommendedVersion  *string        `json:"recommendedVersion"`
	RecommendedVendor   *string        `json:"recommendedVendor"`
	RecommendedProgram  *string        `json:"recommendedProgram"`
	RecommendationRefID string         `json:"recommendationReference"`
}

type deviceAVEntity struct {
	ID                     string         `json:"id"`
	MachineID              string         `json:"machineId"`
	ComputerDNSName        *string        `json:"computerDnsName"`
	OSKind                 string         `json:"osKind"`
	OSPlatform             *string        `json:"osPlatform"`
	OSVersion              *string        `json:"osVersion"`
	AVMode                 string         `json:"avMode"`
	AVSignatureVersion     *string        `json:"avSignatureVersion"`
	AVEngineVersion        *string        `json:"avEngineVersion"`
	AVPlatformVersion      *string        `json:"avPlatformVersion"`
	AVSignatureUpdateTime  odata.DateTime `json:"avSignatureUpdateTime"`
	AVEngineUpdateTime     odata.DateTime `json:"avEngineUpdateTime"`
	AVPlatformUpdateTime   odata.DateTime `json:"avPlatformUpdateTime"`
	AVSignaturePublishTime odata.DateTime `json:"avSignaturePublishTime"`
	AVIsSignatureUpToDate  string         `json:"avIsSignatureUpToDate"`
	AVIsEngineUpToDate     string         `json:"avIsEngineUpToDate"`
	AVIsPlatformUpToDate   string         `json:"avIsPlatformUpToDate"`
	LastSeenTime           odata.DateTime `json:"lastSeenTime"`
	DataRefreshTimestamp   odata.DateTime `json:"dataRefreshTimestamp"`
	QuickScanResult        string         `json:"quickScanResult"`
	QuickScanError         string         `json:"quickScanError"`
	QuickScanTime          odata.DateTime `json:"quickScanTime"`
	FullScanResult         string         `json:"fullScanResult"`
	FullScanError          string         `json:"fullScanError"`
	FullScanTime           odata.DateTime `json:"fullScanTime"`
	RBACGroupName          *string        `json:"rbacGroupName"`
	RBACGroupID            int64          `json:"rbacGroupId"`
	AVSignatureRefreshTime odata.DateTime `json:"avSignatureDataRefreshTime"`
	AVModeRefreshTime      odata.DateTime `json:"avModeDataRefreshTime"`
	CloudProtectionState   *string        `json:"cloudProtectionState"`
}

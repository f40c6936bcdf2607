package mde

import (
	"time"

	"github.com/vedette-edr/vedette/server/api/odata"
)

// optional renders the zero value of T as null.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// list renders a nil slice as [].
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func stamp(t time.Time) odata.DateTime { return odata.DateTime(t) }

// machineEntity is the published machine, every key always there.
type machineEntity struct {
	ID                     string            `json:"id"`
	MergedIntoMachineID    *string           `json:"mergedIntoMachineId"`
	IsPotentialDuplication bool              `json:"isPotentialDuplication"`
	IsExcluded             bool              `json:"isExcluded"`
	ExclusionReason        *string           `json:"exclusionReason"`
	ComputerDNSName        *string           `json:"computerDnsName"`
	FirstSeen              odata.DateTime    `json:"firstSeen"`
	LastSeen               odata.DateTime    `json:"lastSeen"`
	OSPlatform             *string           `json:"osPlatform"`
	OSVersion              *string           `json:"osVersion"`
	OSProcessor            *string           `json:"osProcessor"`
	Version                *string           `json:"version"`
	LastIPAddress          *string           `json:"lastIpAddress"`
	LastExternalIPAddress  *string           `json:"lastExternalIpAddress"`
	AgentVersion           *string           `json:"agentVersion"`
	OSBuild                *int64            `json:"osBuild"`
	HealthStatus           string            `json:"healthStatus" doc:"enum=Active|Inactive|ImpairedCommunication|NoSensorData|NoSensorDataImpairedCommunication|Unknown"`
	DeviceValue            string            `json:"deviceValue" doc:"enum=Normal|Low|High"`
	RBACGroupID            int64             `json:"rbacGroupId"`
	RBACGroupName          *string           `json:"rbacGroupName"`
	RiskScore              string            `json:"riskScore" doc:"enum=None|Informational|Low|Medium|High"`
	ExposureLevel          *string           `json:"exposureLevel" doc:"enum=None|Low|Medium|High"`
	IsAadJoined            *bool             `json:"isAadJoined"`
	AadDeviceID            *string           `json:"aadDeviceId"`
	MachineTags            []string          `json:"machineTags"`
	DefenderAvStatus       *string           `json:"defenderAvStatus"`
	OnboardingStatus       string            `json:"onboardingStatus" doc:"enum=Onboarded|CanBeOnboarded|Unsupported|InsufficientInfo"`
	OSArchitecture         *string           `json:"osArchitecture"`
	ManagedBy              *string           `json:"managedBy"`
	ManagedByStatus        *string           `json:"managedByStatus"`
	IPAddresses            []ipAddressEntity `json:"ipAddresses"`
	VMMetadata             *vmMetadata       `json:"vmMetadata"`
}

// vmMetadata is what a cloud says of a virtual machine. Its published form is not known.
type vmMetadata struct{}

type ipAddressEntity struct {
	IPAddress         string  `json:"ipAddress"`
	MACAddress        *string `json:"macAddress"` // 12 upper-case hexadecimal digits
	Type              *string `json:"type"`
	OperationalStatus *string `json:"operationalStatus"`
}

// alertEntity is the published alert.
type alertEntity struct {
	ID                 string           `json:"id"`
	IncidentID         *int64           `json:"incidentId"`
	InvestigationID    *int64           `json:"investigationId"`
	AssignedTo         *string          `json:"assignedTo"`
	Severity           string           `json:"severity" doc:"enum=UnSpecified|Informational|Low|Medium|High"`
	Status             string           `json:"status" doc:"enum=Unknown|New|InProgress|Resolved"`
	Classification     *string          `json:"classification" doc:"enum=FalsePositive|TruePositive|InformationalExpectedActivity"`
	Determination      *string          `json:"determination" doc:"enum=MultiStagedAttack|MaliciousUserActivity|CompromisedUser|Malware|Phishing|UnwantedSoftware|SecurityTesting|LineOfBusinessApplication|ConfirmedUserActivity|NotMalicious|InsufficientData|Other"`
	InvestigationState *string          `json:"investigationState"`
	DetectionSource    *string          `json:"detectionSource"`
	DetectorID         *string          `json:"detectorId"`
	Category           *string          `json:"category"`
	ThreatFamilyName   *string          `json:"threatFamilyName"`
	Title              string           `json:"title"`
	Description        *string          `json:"description"`
	RecommendedAction  *string          `json:"recommendedAction"`
	AlertCreationTime  odata.DateTime   `json:"alertCreationTime"`
	FirstEventTime     odata.DateTime   `json:"firstEventTime"`
	LastEventTime      odata.DateTime   `json:"lastEventTime"`
	LastUpdateTime     odata.DateTime   `json:"lastUpdateTime"`
	ResolvedTime       odata.DateTime   `json:"resolvedTime"`
	MachineID          *string          `json:"machineId"`
	ComputerDNSName    *string          `json:"computerDnsName"`
	RBACGroupName      *string          `json:"rbacGroupName"`
	AadTenantID        *string          `json:"aadTenantId"`
	ThreatName         *string          `json:"threatName"`
	MITRETechniques    []string         `json:"mitreTechniques"`
	RelatedUser        *relatedUser     `json:"relatedUser"`
	LoggedOnUsers      []loggedOnUser   `json:"loggedOnUsers"`
	Comments           []commentEntity  `json:"comments"`
	Evidence           []evidenceEntity `json:"evidence"`
}

type relatedUser struct {
	UserName   *string `json:"userName"`
	DomainName *string `json:"domainName"`
}

type loggedOnUser struct {
	AccountName string  `json:"accountName"`
	DomainName  *string `json:"domainName"`
}

type commentEntity struct {
	Comment     string         `json:"comment"`
	CreatedBy   string         `json:"createdBy"`
	CreatedTime odata.DateTime `json:"createdTime"`
}

type evidenceEntity struct {
	EntityType                string         `json:"entityType"`
	EvidenceCreationTime      odata.DateTime `json:"evidenceCreationTime"`
	SHA1                      *string        `json:"sha1"`
	SHA256                    *string        `json:"sha256"`
	FileName                  *string        `json:"fileName"`
	FilePath                  *string        `json:"filePath"`
	ProcessID                 *int64         `json:"processId"`
	ProcessCommandLine        *string        `json:"processCommandLine"`
	ProcessCreationTime       odata.DateTime `json:"processCreationTime"`
	ParentProcessID           *int64         `json:"parentProcessId"`
	ParentProcessCreationTime odata.DateTime `json:"parentProcessCreationTime"`
	ParentProcessFileName     *string        `json:"parentProcessFileName"`
	ParentProcessFilePath     *string        `json:"parentProcessFilePath"`
	IPAddress                 *string        `json:"ipAddress"`
	URL                       *string        `json:"url"`
	RegistryKey               *string        `json:"registryKey"`
	RegistryHive              *string        `json:"registryHive"`
	RegistryValueType         *string        `json:"registryValueType"`
	RegistryValue             *string        `json:"registryValue"`
	RegistryValueName         *string        `json:"registryValueName"`
	AccountName               *string        `json:"accountName"`
	DomainName                *string        `json:"domainName"`
	UserSID                   *string        `json:"userSid"`
	AadUserID                 *string        `json:"aadUserId"`
	UserPrincipalName         *string        `json:"userPrincipalName"`
	DetectionStatus           *string        `json:"detectionStatus"`
}

// fileEntity is the published file, as far as an alert's evidence knows it.
type fileEntity struct {
	SHA1                *string        `json:"sha1"`
	SHA256              *string        `json:"sha256"`
	MD5                 *string        `json:"md5"`
	GlobalPrevalence    *int64         `json:"globalPrevalence"`
	GlobalFirstObserved odata.DateTime `json:"globalFirstObserved"`
	GlobalLastObserved  odata.DateTime `json:"globalLastObserved"`
	Size                *int64         `json:"size"`
	FileType            *string        `json:"fileType"`
	IsPEFile            *bool          `json:"isPeFile"`
	FilePublisher       *string        `json:"filePublisher"`
	FileProductName     *string        `json:"fileProductName"`
	Signer              *string        `json:"signer"`
	Issuer              *string        `json:"issuer"`
	SignerHash          *string        `json:"signerHash"`
	IsValidCertificate  *bool          `json:"isValidCertificate"`
	DeterminationType   *string        `json:"determinationType"`
	DeterminationValue  *string        `json:"determinationValue"`
}

type ipReference struct {
	ID string `json:"id"`
}

type domainReference struct {
	Host string `json:"host"`
}

// userEntity is the published user, as far as a device or an alert names it.
type userEntity struct {
	ID                string         `json:"id"` // domain\name
	AccountName       string         `json:"accountName"`
	AccountDomain     *string        `json:"accountDomain"`
	AccountSID        *string        `json:"accountSid"`
	FirstSeen         odata.DateTime `json:"firstSeen"`
	LastSeen          odata.DateTime `json:"lastSeen"`
	LogonTypes        *string        `json:"logonTypes"`
	IsDomainAdmin     *bool          `json:"isDomainAdmin"`
	IsOnlyNetworkUser *bool          `json:"isOnlyNetworkUser"`
}

// actionEntity is the published machineAction.
type actionEntity struct {
	ID                      string         `json:"id"`
	Type                    string         `json:"type" doc:"enum=RunAntiVirusScan|Offboard|LiveResponse|RequestSample|CollectInvestigationPackage|Isolate|Unisolate|StopAndQuarantineFile|RestrictCodeExecution|UnrestrictCodeExecution|NotifyUser|RestoreFile|PauseAntiVirusScan|ResumeAntiVirusScan"`
	Title                   *string        `json:"title"`
	Requestor               string         `json:"requestor"`
	RequestorComment        string         `json:"requestorComment"`
	Status                  string         `json:"status" doc:"enum=Pending|InProgress|Succeeded|Failed|TimeOut|Cancelled"`
	MachineID               string         `json:"machineId"`
	ComputerDNSName         *string        `json:"computerDnsName"`
	CreationDateTimeUTC     odata.DateTime `json:"creationDateTimeUtc"`
	LastUpdateDateTimeUTC   odata.DateTime `json:"lastUpdateDateTimeUtc"`
	CancellationRequestor   *string        `json:"cancellationRequestor"`
	CancellationComment     *string        `json:"cancellationComment"`
	CancellationDateTimeUTC odata.DateTime `json:"cancellationDateTimeUtc"`
	ErrorHResult            int            `json:"errorHResult"`
	Error                   *string        `json:"error"`
	Scope                   *string        `json:"scope"`
	ExternalID              *string        `json:"externalId"`
	RequestSource           *string        `json:"requestSource"`
	RelatedFileInfo         *relatedFile   `json:"relatedFileInfo"`
	FileInstances           []fileInstance `json:"fileInstances"`
	Commands                []commandState `json:"commands"`
	TroubleshootInfo        *string        `json:"troubleshootInfo"`
}

// relatedFile is the file that an action is about.
type relatedFile struct {
	FileIdentifier     string `json:"fileIdentifier"`
	FileIdentifierType string `json:"fileIdentifierType" doc:"enum=Sha1|Sha256|Md5"`
}

// fileInstance is one place where an action met the file.
type fileInstance struct {
	FilePath string `json:"filePath"`
	Status   string `json:"status"`
}

// commandState is how far one command of a live response got.
type commandState struct {
	Index         int64          `json:"index"`
	StartTime     odata.DateTime `json:"startTime"`
	EndTime       odata.DateTime `json:"endTime"`
	CommandStatus string         `json:"commandStatus" doc:"enum=Created|Completed|Failed"`
	Errors        []string       `json:"errors"`
	Command       command        `json:"command"`
}

type command struct {
	Type   string         `json:"type" doc:"enum=PutFile|RunScript|GetFile"`
	Params []commandParam `json:"params"`
}

type commandParam struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// indicatorEntity is the published indicator.
type indicatorEntity struct {
	ID                      string           `json:"id"`
	IndicatorValue          string           `json:"indicatorValue"`
	IndicatorType           string           `json:"indicatorType" doc:"enum=FileSha1|FileSha256|FileMd5|CertificateThumbprint|IpAddress|DomainName|Url"`
	Action                  string           `json:"action" doc:"enum=Warn|Block|Audit|Alert|AlertAndBlock|BlockAndRemediate|Allowed"`
	CreatedBy               string           `json:"createdBy"`
	CreatedByDisplayName    string           `json:"createdByDisplayName"`
	CreatedBySource         *string          `json:"createdBySource"`
	Severity                string           `json:"severity" doc:"enum=Informational|Low|Medium|High"`
	Category                int              `json:"category"`
	Application             *string          `json:"application"`
	EducateURL              *string          `json:"educateUrl"`
	BypassDurationHours     *int64           `json:"bypassDurationHours"`
	Title                   string           `json:"title"`
	Description             string           `json:"description"`
	RecommendedActions      *string          `json:"recommendedActions"`
	CreationTimeDateTimeUTC odata.DateTime   `json:"creationTimeDateTimeUtc"`
	ExpirationTime          odata.DateTime   `json:"expirationTime"`
	LastUpdateTime          odata.DateTime   `json:"lastUpdateTime"`
	LastUpdatedBy           *string          `json:"lastUpdatedBy"`
	RBACGroupNames          []string         `json:"rbacGroupNames"`
	RBACGroupIDs            []string         `json:"rbacGroupIds"`
	NotificationID          *string          `json:"notificationId"`
	NotificationBody        *string          `json:"notificationBody"`
	Version                 *string          `json:"version"`
	MITRETechniques         []string         `json:"mitreTechniques"`
	HistoricalDetection     bool             `json:"historicalDetection"`
	LookBackPeriod          *string          `json:"lookBackPeriod"`
	GenerateAlert           bool             `json:"generateAlert"`
	AdditionalInfo          *string          `json:"additionalInfo"`
	ExternalID              *string          `json:"externalId"`
	Source                  *string          `json:"source"`
	SourceType              *string          `json:"sourceType"`
	CertificateInfo         *certificateInfo `json:"certificateInfo"`
}

type certificateInfo struct {
	Issuer  *string `json:"issuer"`
	Serial  *string `json:"serial"`
	SHA256  string  `json:"sha256"`
	Subject *string `json:"subject"`
}

// importEntity is what became of one indicator of an import.
type importEntity struct {
	ID            *string `json:"id"`
	Indicator     string  `json:"indicator"`
	IsFailed      bool    `json:"isFailed"`
	FailureReason *string `json:"failureReason"`
}

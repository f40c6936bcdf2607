package schema

// postureTables are software, vulnerability and baseline assessments.
// Source: as deviceTables.
var postureTables = []declared{
	{name: "DeviceTvmSoftwareInventory", doc: "Software installed on devices.", columns: `
		DeviceId:string DeviceName:string OSPlatform:string OSVersion:string OSArchitecture:string
		SoftwareVendor:string SoftwareName:string SoftwareVersion:string EndOfSupportStatus:string
		EndOfSupportDate:datetime ProductCodeCpe:string`},
	{name: "DeviceTvmSoftwareVulnerabilities", doc: "Vulnerabilities of the software installed on devices.", columns: `
		DeviceId:string DeviceName:string OSPlatform:string OSVersion:string OSArchitecture:string
		SoftwareVendor:string SoftwareName:string SoftwareVersion:string CveId:string
		VulnerabilitySeverityLevel:string RecommendedSecurityUpdate:string
		RecommendedSecurityUpdateId:string CveTags:dynamic`},
	{name: "DeviceTvmSoftwareVulnerabilitiesKB", doc: "What is known of each vulnerability.", columns: `
		CveId:string CvssScore:string IsExploitAvailable:bool VulnerabilitySeverityLevel:string
		LastModifiedTime:datetime PublishedDate:datetime VulnerabilityDescription:string
		AffectedSoftware:dynamic`},
	{name: "DeviceTvmSecureConfigurationAssessment", doc: "Whether devices meet security configurations.", columns: `
		DeviceId:string DeviceName:string OSPlatform:string Timestamp:datetime ConfigurationId:string
		ConfigurationCategory:string ConfigurationSubcategory:string ConfigurationImpact:real
		IsCompliant:bool IsApplicable:bool Context:dynamic IsExpectedUserImpact:bool`},
	{name: "DeviceTvmSecureConfigurationAssessmentKB", doc: "What each security configuration is.", columns: `
		ConfigurationId:string ConfigurationImpact:real ConfigurationName:string
		ConfigurationDescription:string RiskDescription:string ConfigurationCategory:string
		ConfigurationSubcategory:string ConfigurationBenchmarks:dynamic Tags:dynamic
		RemediationOptions:string`},
	{name: "DeviceTvmSoftwareEvidenceBeta", doc: "Where software was found on a device.", columns: `
		DeviceId:string SoftwareVendor:string SoftwareName:string SoftwareVersion:string
		RegistryPaths:dynamic DiskPaths:dynamic LastSeenTime:string`},
	{name: "DeviceTvmInfoGathering", doc: "Attributes gathered from devices.", columns: `
		Timestamp:datetime LastSeenTime:datetime DeviceId:string DeviceName:string OSPlatform:string
		AdditionalFields:dynamic`},
	{name: "DeviceTvmInfoGatheringKB", doc: "What each gathered attribute means.", columns: `
		IgId:string FieldName:string Description:string Categories:dynamic DataStructure:string`},
	{name: "DeviceTvmHardwareFirmware", doc: "Hardware and firmware of devices.", columns: `
		DeviceId:string DeviceName:string ComponentType:string Manufacturer:string ComponentName:string
		ComponentFamily:string ComponentVersion:string AdditionalFields:dynamic`},
	{name: "DeviceTvmCertificateInfo", doc: "Certificates found on devices.", columns: `
		DeviceId:string Thumbprint:string Path:string SerialNumber:string IssuedTo:dynamic IssuedBy:dynamic
		FriendlyName:string SignatureAlgorithm:string KeySize:string ExpirationDate:string IssueDate:string
		SubjectType:string KeyUsage:string ExtendedKeyUsage:string`},
	{name: "DeviceTvmBrowserExtensions", doc: "Browser extensions installed on devices.", columns: `
		DeviceId:string BrowserName:string ExtensionId:string ExtensionName:string
		ExtensionDescription:string ExtensionVersion:string ExtensionRisk:string ExtensionVendor:string
		IsActivated:string InstallationTime:datetime`},
	{name: "DeviceTvmBrowserExtensionsKB", doc: "What is known of each browser extension.", columns: `
		BrowserName:string ExtensionId:string ExtensionName:string ExtensionDescription:string
		ExtensionVersion:dynamic ExtensionRisk:string PermissionId:string PermissionName:string
		PermissionDescription:string PermissionRisk:string IsPermissionRequired:string`},
	{name: "DeviceBaselineComplianceAssessment", doc: "Whether devices meet the settings of a baseline.", columns: `
		DeviceId:string DeviceName:string OSPlatform:string OSVersion:string ConfigurationId:string
		ProfileId:string IsCompliant:bool IsApplicable:bool Source:dynamic RecommendedValue:dynamic
		CurrentValue:dynamic IsExempt:bool`},
	{name: "DeviceBaselineComplianceAssessmentKB", doc: "What each baseline setting is.", columns: `
		ConfigurationId:string ConfigurationName:string ConfigurationDescription:string
		ConfigurationRationale:string ConfigurationCategory:string BenchmarkProfileLevels:dynamic
		CCEReference:string RemediationOptions:string ConfigurationBenchmark:string Source:dynamic
		RecommendedValue:dynamic`},
	{name: "DeviceBaselineComplianceProfiles", doc: "Baseline profiles.", columns: `
		ProfileId:string ProfileName:string ProfileDescription:string OSPlatform:dynamic OSVersion:string
		BaseBenchmark:string BenchmarkVersion:string BenchmarkProfileLevel:string Status:bool
		CreatedBy:string CreatedOn:datetime LastUpdatedBy:string LastUpdatedOn:datetime`},
}

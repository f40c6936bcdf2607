package schema

// alertTables are filled from alerts and behaviours.
// Source: as deviceTables.
var alertTables = []declared{
	{name: "AlertInfo", doc: "One row for each alert.", columns: `
		Timestamp:datetime AlertId:string Title:string Category:string Severity:string ServiceSource:string
		DetectionSource:string AttackTechniques:string`},
	{name: "AlertEvidence", doc: "One row for each entity of an alert.", columns: `
		Timestamp:datetime AlertId:string Title:string Categories:string AttackTechniques:string
		ServiceSource:string DetectionSource:string EntityType:string EvidenceRole:string
		EvidenceDirection:string FileName:string FolderPath:string SHA1:string SHA256:string FileSize:long
		ThreatFamily:string RemoteIP:string RemoteUrl:string AccountName:string AccountDomain:string
		AccountSid:string AccountObjectId:string AccountUpn:string DeviceId:string DeviceName:string
		LocalIP:string NetworkMessageId:string EmailSubject:string Application:string ApplicationId:int
		OAuthApplicationId:string ProcessCommandLine:string RegistryKey:string RegistryValueName:string
		RegistryValueData:string AdditionalFields:string Severity:string CloudResource:string
		CloudPlatform:string ResourceType:string ResourceID:string SubscriptionId:string`},
	{name: "BehaviorInfo", doc: "One row for each behaviour that was recognised.", columns: `
		Timestamp:datetime BehaviorId:string ActionType:string Description:string Categories:string
		AttackTechniques:string ServiceSource:string DetectionSource:string DataSources:string
		DeviceId:string AccountUpn:string AccountObjectId:string StartTime:datetime EndTime:datetime
		AdditionalFields:string`},
	{name: "BehaviorEntities", doc: "One row for each entity of a behaviour.", columns: `
		Timestamp:datetime BehaviorId:string ActionType:string Categories:string ServiceSource:string
		DetectionSource:string DataSources:string EntityType:string EntityRole:string
		DetailedEntityRole:string FileName:string FolderPath:string SHA1:string SHA256:string FileSize:long
		ThreatFamily:string RemoteIP:string RemoteUrl:string AccountName:string AccountDomain:string
		AccountSid:string AccountObjectId:string AccountUpn:string DeviceId:string DeviceName:string
		LocalIP:string NetworkMessageId:string EmailSubject:string EmailClusterId:string Application:string
		ApplicationId:int OAuthApplicationId:string ProcessCommandLine:string RegistryKey:string
		RegistryValueName:string RegistryValueData:string AdditionalFields:string`},
	{name: "DisruptionAndResponseEvents", doc: "What automatic disruption prevented or blocked.", columns: `
		Timestamp:datetime ActionType:string DeviceId:string SourceDeviceId:string TargetDeviceId:string
		TargetDeviceName:string TargetDomainName:string DeviceName:string DomainName:string
		InitiatingProcessId:int InitiatingProcessFileName:string SourceUserSid:string SourceUserName:string
		SourceUserDomainName:string SourceIPAddress:string SourcePort:int IPAddress:string Port:string
		SourceDeviceName:string SourceDomainName:string AuthenticationProtocol:string Service:string
		InterfaceUuid:string InterfaceFriendlyName:string FileName:string ShareName:string LogonType:string
		LogonId:long SessionId:long CompromisedAccountCount:int PolicyId:string PolicyName:string
		PolicyVersion:string PolicyHash:string DataSources:dynamic IsPolicyOn:bool ReportType:string`},
}

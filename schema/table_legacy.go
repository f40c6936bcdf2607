package schema

// legacyTables are the names of the schema until 2019, as views of the current tables.
// Source: the 2019 state of the same reference, and its page on schema changes.
var legacyTables = []declared{
	{name: "AlertEvents", base: "AlertEvidence", columns: `
		AlertId:string EventTime:datetime MachineId:string ComputerName:string Severity:string
		Category:string Title:string FileName:string SHA1:string RemoteUrl:string RemoteIP:string
		ReportId:long Table:string`},
	// The name between 2019 and 2020, which clients still send.
	{name: "DeviceAlertEvents", base: "AlertEvidence", columns: `
		AlertId:string Timestamp:datetime DeviceId:string DeviceName:string Severity:string
		Category:string Title:string FileName:string SHA1:string RemoteUrl:string RemoteIP:string
		AttackTechniques:string ReportId:long Table:string`},
	{name: "MachineInfo", base: "DeviceInfo", columns: `
		EventTime:datetime MachineId:string ComputerName:string ClientVersion:string PublicIP:string
		OSArchitecture:string OSPlatform:string OSBuild:string IsAzureADJoined:bool LoggedOnUsers:string
		RegistryMachineTag:string ReportId:long OSVersion:string MachineGroup:string`},
	{name: "MachineNetworkInfo", base: "DeviceNetworkInfo", columns: `
		EventTime:datetime MachineId:string ComputerName:string ReportId:long NetworkAdapterName:string
		MacAddress:string NetworkAdapterType:string NetworkAdapterStatus:string TunnelType:string
		ConnectedNetworks:string DnsAddresses:string IPv4Dhcp:string IPv6Dhcp:string DefaultGateways:string
		IPAddresses:string`},
	{name: "ProcessCreationEvents", base: "DeviceProcessEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string FileName:string
		FolderPath:string SHA1:string SHA256:string MD5:string ProcessId:int ProcessCommandLine:string
		ProcessIntegrityLevel:string ProcessTokenElevation:string ProcessCreationTime:datetime
		AccountDomain:string AccountName:string AccountSid:string LogonId:string
		InitiatingProcessAccountDomain:string InitiatingProcessAccountName:string
		InitiatingProcessAccountSid:string InitiatingProcessLogonId:string
		InitiatingProcessIntegrityLevel:string InitiatingProcessTokenElevation:string
		InitiatingProcessSHA1:string InitiatingProcessSHA256:string InitiatingProcessMD5:string
		InitiatingProcessFileName:string InitiatingProcessId:int InitiatingProcessCommandLine:string
		InitiatingProcessCreationTime:datetime InitiatingProcessFolderPath:string
		InitiatingProcessParentId:int InitiatingProcessParentFileName:string
		InitiatingProcessParentCreationTime:datetime ReportId:long AppGuardContainerId:string`},
	{name: "NetworkCommunicationEvents", base: "DeviceNetworkEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string RemoteIP:string
		RemotePort:int RemoteUrl:string LocalIP:string LocalPort:int Protocol:string LocalIPType:string
		RemoteIPType:string InitiatingProcessSHA1:string InitiatingProcessMD5:string
		InitiatingProcessFileName:string InitiatingProcessId:int InitiatingProcessCommandLine:string
		InitiatingProcessCreationTime:datetime InitiatingProcessFolderPath:string
		InitiatingProcessParentFileName:string InitiatingProcessParentId:int
		InitiatingProcessParentCreationTime:datetime InitiatingProcessAccountDomain:string
		InitiatingProcessAccountName:string InitiatingProcessAccountSid:string
		InitiatingProcessIntegrityLevel:string InitiatingProcessTokenElevation:string ReportId:long
		AppGuardContainerId:string`},
	{name: "FileCreationEvents", base: "DeviceFileEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string FileName:string
		FolderPath:string SHA1:string SHA256:string MD5:string FileOriginUrl:string
		FileOriginReferrerUrl:string FileOriginIP:string InitiatingProcessAccountDomain:string
		InitiatingProcessAccountName:string InitiatingProcessAccountSid:string InitiatingProcessMD5:string
		InitiatingProcessSHA1:string InitiatingProcessFolderPath:string InitiatingProcessFileName:string
		InitiatingProcessId:int InitiatingProcessCommandLine:string InitiatingProcessCreationTime:datetime
		InitiatingProcessIntegrityLevel:string InitiatingProcessTokenElevation:string
		InitiatingProcessParentId:int InitiatingProcessParentFileName:string
		InitiatingProcessParentCreationTime:datetime RequestProtocol:string ShareName:string
		RequestSourceIP:string RequestSourcePort:string RequestAccountName:string
		RequestAccountDomain:string RequestAccountSid:string ReportId:long AppGuardContainerId:string
		SensitivityLabel:string SensitivitySubLabel:string IsAzureInfoProtectionApplied:bool`},
	{name: "RegistryEvents", base: "DeviceRegistryEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string RegistryKey:string
		RegistryValueType:string RegistryValueName:string RegistryValueData:string
		PreviousRegistryValueName:string PreviousRegistryValueData:string
		InitiatingProcessAccountDomain:string InitiatingProcessAccountName:string
		InitiatingProcessAccountSid:string InitiatingProcessSHA1:string InitiatingProcessMD5:string
		InitiatingProcessFileName:string InitiatingProcessId:int InitiatingProcessCommandLine:string
		InitiatingProcessCreationTime:datetime InitiatingProcessFolderPath:string
		InitiatingProcessParentId:int InitiatingProcessParentFileName:string
		InitiatingProcessParentCreationTime:datetime InitiatingProcessIntegrityLevel:string
		InitiatingProcessTokenElevation:string ReportId:long AppGuardContainerId:string`},
	{name: "LogonEvents", base: "DeviceLogonEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string AccountDomain:string
		AccountName:string AccountSid:string LogonType:string LogonId:string RemoteComputerName:string
		RemoteIP:string RemoteIPType:string RemotePort:int AdditionalFields:string
		InitiatingProcessAccountDomain:string InitiatingProcessAccountName:string
		InitiatingProcessAccountSid:string InitiatingProcessIntegrityLevel:string
		InitiatingProcessTokenElevation:string InitiatingProcessSHA1:string InitiatingProcessSHA256:string
		InitiatingProcessMD5:string InitiatingProcessFileName:string InitiatingProcessId:int
		InitiatingProcessCommandLine:string InitiatingProcessCreationTime:datetime
		InitiatingProcessFolderPath:string InitiatingProcessParentId:int
		InitiatingProcessParentFileName:string InitiatingProcessParentCreationTime:datetime ReportId:long
		AppGuardContainerId:string IsLocalAdmin:bool`},
	{name: "ImageLoadEvents", base: "DeviceImageLoadEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string FileName:string
		FolderPath:string SHA1:string MD5:string InitiatingProcessAccountDomain:string
		InitiatingProcessAccountName:string InitiatingProcessAccountSid:string
		InitiatingProcessIntegrityLevel:string InitiatingProcessTokenElevation:string
		InitiatingProcessSHA1:string InitiatingProcessMD5:string InitiatingProcessFileName:string
		InitiatingProcessId:int InitiatingProcessCommandLine:string InitiatingProcessCreationTime:datetime
		InitiatingProcessFolderPath:string InitiatingProcessParentId:int
		InitiatingProcessParentFileName:string InitiatingProcessParentCreationTime:datetime ReportId:long
		AppGuardContainerId:string`},
	{name: "MiscEvents", base: "DeviceEvents", columns: `
		EventTime:datetime MachineId:string ComputerName:string ActionType:string FileName:string
		FolderPath:string SHA1:string SHA256:string MD5:string AccountDomain:string AccountName:string
		AccountSid:string RemoteUrl:string RemoteComputerName:string ProcessId:int ProcessCommandLine:string
		ProcessCreationTime:datetime ProcessTokenElevation:string LogonId:string RegistryKey:string
		RegistryValueName:string RegistryValueData:string RemoteIP:string RemotePort:int LocalIP:string
		LocalPort:int FileOriginUrl:string FileOriginIP:string AdditionalFields:string
		InitiatingProcessSHA1:string InitiatingProcessSHA256:string InitiatingProcessFileName:string
		InitiatingProcessFolderPath:string InitiatingProcessId:int InitiatingProcessCommandLine:string
		InitiatingProcessCreationTime:datetime InitiatingProcessParentId:int
		InitiatingProcessParentFileName:string InitiatingProcessParentCreationTime:datetime
		InitiatingProcessMD5:string InitiatingProcessAccountDomain:string
		InitiatingProcessAccountName:string InitiatingProcessAccountSid:string
		InitiatingProcessLogonId:string ReportId:long AppGuardContainerId:string`},
}

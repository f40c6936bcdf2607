package mde_test

import (
	"slices"
	"strings"
	"testing"
)

// published is the entities of the API as they are documented and were recorded: each
// property's exact name and its type. s, b, l, d are string, boolean, integer (Int64 or
// Int32) and date-time; [x] is a list; what begins with a capital is a type of its own.
var published = map[string]string{
	"Machine": `id:s mergedIntoMachineId:s isPotentialDuplication:b isExcluded:b exclusionReason:s computerDnsName:s firstSeen:d lastSeen:d
		osPlatform:s osVersion:s osProcessor:s osArchitecture:s version:s osBuild:l lastIpAddress:s lastExternalIpAddress:s agentVersion:s
		healthStatus:s onboardingStatus:s rbacGroupId:l rbacGroupName:s riskScore:s exposureLevel:s deviceValue:s isAadJoined:b aadDeviceId:s
		machineTags:[s] defenderAvStatus:s managedBy:s managedByStatus:s ipAddresses:[IpAddress] vmMetadata:VmMetadata`,
	"IpAddress": `ipAddress:s macAddress:s type:s operationalStatus:s`,
	"Alert": `id:s incidentId:l investigationId:l investigationState:s assignedTo:s rbacGroupName:s severity:s status:s classification:s determination:s
		category:s detectionSource:s detectorId:s threatFamilyName:s threatName:s title:s description:s recommendedAction:s alertCreationTime:d
		firstEventTime:d lastEventTime:d lastUpdateTime:d resolvedTime:d machineId:s computerDnsName:s aadTenantId:s mitreTechniques:[s]
		comments:[Comment] relatedUser:RelatedUser loggedOnUsers:[LoggedOnUser] evidence:[Evidence]`,
	"Comment":      `comment:s createdBy:s createdTime:d`,
	"RelatedUser":  `userName:s domainName:s`,
	"LoggedOnUser": `accountName:s domainName:s`,
	"Evidence": `entityType:s evidenceCreationTime:d sha1:s sha256:s fileName:s filePath:s processId:l processCommandLine:s processCreationTime:d
		parentProcessId:l parentProcessCreationTime:d parentProcessFileName:s parentProcessFilePath:s ipAddress:s url:s registryKey:s registryHive:s
		registryValueType:s registryValue:s registryValueName:s accountName:s domainName:s userSid:s aadUserId:s userPrincipalName:s detectionStatus:s`,
	"MachineAction": `id:s type:s title:s scope:s requestor:s requestorComment:s requestSource:s status:s machineId:s computerDnsName:s
		creationDateTimeUtc:d lastUpdateDateTimeUtc:d cancellationRequestor:s cancellationComment:s cancellationDateTimeUtc:d errorHResult:l error:s
		externalId:s relatedFileInfo:RelatedFile fileInstances:[FileInstance] commands:[CommandState] troubleshootInfo:s`,
	"RelatedFile":  `fileIdentifier:s fileIdentifierType:s`,
	"FileInstance": `filePath:s status:s`,
	"CommandState": `index:l startTime:d endTime:d commandStatus:s errors:[s] command:Command`,
	"Command":      `type:s params:[CommandParam]`,
	"CommandParam": `key:s value:s`,
	"Indicator": `id:s indicatorValue:s indicatorType:s action:s application:s title:s description:s severity:s recommendedActions:s expirationTime:d
		creationTimeDateTimeUtc:d lastUpdateTime:d lastUpdatedBy:s createdBy:s createdByDisplayName:s createdBySource:s source:s sourceType:s
		rbacGroupNames:[s] rbacGroupIds:[s] generateAlert:b educateUrl:s bypassDurationHours:l category:l notificationId:s notificationBody:s version:s
		mitreTechniques:[s] historicalDetection:b lookBackPeriod:s additionalInfo:s externalId:s certificateInfo:CertificateInfo`,
	"CertificateInfo":       `issuer:s serial:s sha256:s subject:s`,
	"ImportIndicatorResult": `id:s indicator:s isFailed:b failureReason:s`,
	"User":                  `id:s accountName:s accountDomain:s accountSid:s firstSeen:d lastSeen:d logonTypes:s isDomainAdmin:b isOnlyNetworkUser:b`,
	"File": `sha1:s sha256:s md5:s globalPrevalence:l globalFirstObserved:d globalLastObserved:d size:l fileType:s isPeFile:b filePublisher:s
		fileProductName:s signer:s issuer:s signerHash:s isValidCertificate:b determinationType:s determinationValue:s`,
	"Domain":        `host:s`,
	"Ip":            `id:s`,
	"Investigation": `id:s startTime:d endTime:d state:s cancelledBy:s statusDetails:s machineId:s computerDnsName:s triggeringAlertId:s`,
	"LibraryFile":   `fileName:s sha256:s description:s creationTime:d lastUpdatedTime:d createdBy:s hasParameters:b parametersDescription:s`,
	"InOrgFileStats": `sha1:s organizationPrevalence:l orgFirstSeen:d orgLastSeen:d globallyPrevalence:l globalFirstObserved:d
		globalLastObserved:d topFileNames:[s]`,
	"Incident": `incidentId:l redirectIncidentId:l incidentName:s createdTime:d lastUpdateTime:d assignedTo:s classification:s determination:s
		detectionSource:s status:s severity:s tags:[s] comments:[Comment] alerts:[IncidentAlert]`,
	"IncidentAlert": `alertId:s providerAlertId:s incidentId:l serviceSource:s creationTime:d lastUpdatedTime:d resolvedTime:d firstActivity:d lastActivity:d
		title:s description:s category:s status:s severity:s investigationId:l investigationState:s classification:s determination:s detectionSource:s
		detectorId:s assignedTo:s actorName:s threatFamilyName:s mitreTechniques:[s] devices:[IncidentDevice] entities:[IncidentThing]`,
	"IncidentDevice": `mdatpDeviceId:s aadDeviceId:s deviceDnsName:s osPlatform:s version:s osProcessor:s osBuild:l healthStatus:s riskScore:s
		rbacGroupName:s rbacGroupId:l firstSeen:d`,
	"IncidentThing": `entityType:s evidenceCreationTime:d sha1:s sha256:s fileName:s filePath:s processId:l processCommandLine:s processCreationTime:d
		parentProcessId:l parentProcessCreationTime:d ipAddress:s url:s accountName:s domainName:s userSid:s aadUserId:s userPrincipalName:s
		mailboxDisplayName:s mailboxAddress:s clusterBy:s sender:s recipient:s subject:s deliveryAction:s securityGroupId:s securityGroupName:s
		registryHive:s registryKey:s registryValueType:s registryValue:s deviceId:s`,
	"InOrgDomainStats":         `host:s organizationPrevalence:l orgFirstSeen:d orgLastSeen:d`,
	"InOrgIPStats":             `ipAddress:s organizationPrevalence:l orgFirstSeen:d orgLastSeen:d`,
	"ActionAvailabilityStatus": `action:s isAvailable:b notSupportedReason:s`,
}

var edmTypes = map[string]string{
	"Edm.String": "s", "Edm.Boolean": "b", "Edm.Int64": "l", "Edm.Int32": "l", "Edm.DateTimeOffset": "d",
}

// TestEntitiesAreAsPublished compares names and types of every entity, by way of $metadata,
// to which another test holds the answers.
func TestEntitiesAreAsPublished(t *testing.T) {
	m := readModel(t, newSite(t, 0))
	const ns = "microsoft.windowsDefenderATP.api."
	for name, want := range published {
		var got []string
		for _, p := range m.types[ns+name].Properties {
			typ := strings.TrimSuffix(strings.TrimPrefix(p.Type, "Collection("), ")")
			short, ok := edmTypes[typ]
			if !ok {
				short = strings.TrimPrefix(typ, ns)
			}
			if strings.HasPrefix(p.Type, "Collection(") {
				short = "[" + short + "]"
			}
			got = append(got, p.Name+":"+short)
		}
		for _, p := range strings.Fields(want) {
			if !slices.Contains(got, p) {
				t.Errorf("%s has no %s", name, p)
			}
		}
		for _, p := range got {
			if !slices.Contains(strings.Fields(want), p) {
				t.Errorf("%s has %s, which is not published", name, p)
			}
		}
	}
	for name := range m.types {
		if _, ok := published[strings.TrimPrefix(name, ns)]; !ok && !strings.HasSuffix(name, ".VmMetadata") {
			t.Errorf("%s is in the model and not in the list of this test", name)
		}
	}
}

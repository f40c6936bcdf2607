package graph

import (
	"strings"

	"github.com/vedette-edr/vedette/server/alert"
)

// unknown is Graph's word for a value that is not set.
const unknown = "unknown"

// lower makes Graph's spelling of a word of ours: inProgress of InProgress.
func lower(s string) string {
	if s == "" {
		return unknown
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// determinations are those that Graph calls otherwise.
var determinations = map[string]string{
	"CompromisedUser": "compromisedAccount", "InsufficientData": "notEnoughDataToValidate", "ConfirmedUserActivity": "confirmedActivity",
}

func determination(s string) string {
	if w, ok := determinations[s]; ok {
		return w
	}
	return lower(s)
}

// detectionSources are Graph's words for the sources of the Defender API.
var detectionSources = map[string]string{
	"": unknown, "WindowsDefenderAtp": "microsoftDefenderForEndpoint", "WindowsDefenderAv": "antivirus", "WindowsDefenderSmartScreen": "smartScreen",
	"CustomerTI": "customTi", "CustomDetection": "customDetection", "AutomatedInvestigation": "automatedInvestigation",
	"ThreatExperts": "microsoftThreatExperts", "MTP": "microsoft365Defender",
}

func detectionSource(s string) string {
	if w, ok := detectionSources[s]; ok {
		return w
	}
	return "unknownFutureValue"
}

// ours returns the word of ours that Graph's word for a property means; a word that is not
// known is returned as it is, to equal nothing or to be refused by the noun.
func ours(property, word string) string {
	if strings.EqualFold(word, unknown) {
		return ""
	}
	table := map[string]map[string]string{"determination": determinations, "detectionSource": detectionSources}[property]
	for k, v := range table {
		if strings.EqualFold(v, word) {
			return k
		}
	}
	return word
}

// serviceSource is the one source that this server is.
const serviceSource = "microsoftDefenderForEndpoint"

// productName is what existing queries compare productName with.
const productName = "Microsoft Defender for Endpoint"

func severity(s alert.Severity) string { return lower(string(s)) }

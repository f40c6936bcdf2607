// Package vocabulary holds the published words of alerts that more than one part of the
// product accepts or refuses: whoever makes an alert, a rule's file or a request, may use
// the same ones. It holds words and nothing else.
package vocabulary

// AlertCategories returns the categories that an alert may be made with, in the order and
// spelling in which "Create alert from event" of the Defender for Endpoint API lists them.
// The slice belongs to the caller.
func AlertCategories() []string {
	return []string{
		"General", "CommandAndControl", "Collection", "CredentialAccess", "DefenseEvasion", "Discovery", "Exfiltration", "Exploit",
		"Execution", "InitialAccess", "LateralMovement", "Malware", "Persistence", "PrivilegeEscalation", "Ransomware", "SuspiciousActivity",
	}
}

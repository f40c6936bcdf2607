// Package antivirus carries out the commands of antivirus scans: it starts one, holds it and
// lets it go on, tells how far it is, reports what was found as events, and takes into
// quarantine what its policy says.
//
// It does not look for anything itself (agent/scan does) nor take anything away itself
// (agent/responder/remediate does). By default it takes files that are the EICAR test file,
// or hold it, and files that an indicator blocks; what else the engines find stays where it is, reported.
// Verified means that the scan came to its end with engines that had proved themselves;
// what was not looked at is said. Start at Handler.
package antivirus

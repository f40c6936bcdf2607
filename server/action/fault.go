package action

// The steps of an action on the server at which Config.Fault is called.
const (
	faultAsked     = "asked"     // the action is in a transaction that is not committed
	faultKept      = "kept"      // it is committed, its device does not know
	faultVoting    = "voting"    // a vote is in a transaction that is not committed
	faultVoted     = "voted"     // it is committed
	faultCancel    = "cancel"    // a cancellation is committed, its device does not know
	faultHanding   = "handing"   // commands are about to be handed out
	faultHanded    = "handed"    // they count as delivered, the device has no answer
	faultResult    = "result"    // a result is in a transaction that is not committed
	faultConcluded = "concluded" // it is committed, the device does not know
)

// Faults returns the names of the steps, in their order.
func Faults() []string {
	return []string{faultAsked, faultKept, faultVoting, faultVoted, faultCancel, faultHanding, faultHanded, faultResult, faultConcluded}
}

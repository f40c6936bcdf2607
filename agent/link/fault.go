package link

// The steps of a command on the device at which Config.Fault is called.
const (
	faultFetched  = "fetched"  // the server's answer is here, nothing is on the disk
	faultTaken    = "taken"    // the ledger has the command
	faultBegun    = "begun"    // the ledger knows that it has begun, the handler is not called yet
	faultRan      = "ran"      // the handler has returned, nobody knows of it
	faultKept     = "kept"     // the ledger has the result, the spool has not
	faultDone     = "done"     // the spool has it
	faultReported = "reported" // the server has the result, the spool does not know
	faultSettled  = "settled"  // the spool has let go of the result
)

// Faults returns the names of the steps, in their order.
func Faults() []string {
	return []string{faultFetched, faultTaken, faultBegun, faultRan, faultKept, faultDone, faultReported, faultSettled}
}

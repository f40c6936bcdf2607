// Package remediate stops what runs a file, takes the file into quarantine wherever it lies
// on the device, takes away what would start it again, and gives all of it back.
//
// A file is known by its digest. It is looked for where the device knows it: given paths,
// running and mapped images, the digests read lately, and a search bounded in time and
// bytes that says whether it was complete. What stays: files that an installed package
// shipped, what the machine cannot start without, and the agent's own; a digest of which
// such a file is a copy is refused as a whole.
//
// The order keeps it undoable: processes are stopped, not killed, until the content is
// sealed; a vault without room changes nothing. What was taken is written down in a ledger
// before it goes, so that a restart in the middle loses nothing. The invariant: Verified
// means that a second look found neither a process that runs it nor the file at any of its
// places; what was left is told. Start at Remediator.Remove and Restore; Handler speaks the
// commands.
package remediate

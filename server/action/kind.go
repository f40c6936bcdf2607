package action

import (
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
)

// Kind is the published type of a machine action.
type Kind string

// The published kinds. Which of them a device can carry out, its agent says.
const (
	Isolate               Kind = "Isolate"
	Unisolate             Kind = "Unisolate"
	RunAntiVirusScan      Kind = "RunAntiVirusScan"
	RestrictCodeExecution Kind = "RestrictCodeExecution"
	AllowCodeExecution    Kind = "UnrestrictCodeExecution"
	CollectPackage        Kind = "CollectInvestigationPackage"
	StopAndQuarantineFile Kind = "StopAndQuarantineFile"
	RequestSample         Kind = "RequestSample" // of before 2019: the file is fetched from the device
	Offboard              Kind = "Offboard"
	LiveResponse          Kind = "LiveResponse"
	NotifyUser            Kind = "NotifyUser" // not published: a message to the users of a device
	// Not published either: what gives a file back, and what holds a scan.
	RestoreFile Kind = "RestoreFile"
	PauseScan   Kind = "PauseAntiVirusScan"
	ResumeScan  Kind = "ResumeAntiVirusScan"
	// Nor this: a case about the device is handed to an expert outside, by the server.
	AskExpert Kind = "AskExpert"
)

// Kinds returns every kind, in a fixed order.
func Kinds() []Kind {
	return []Kind{
		Isolate, Unisolate, RunAntiVirusScan, RestrictCodeExecution, AllowCodeExecution, CollectPackage, StopAndQuarantineFile,
		RequestSample, Offboard, LiveResponse, NotifyUser, RestoreFile, PauseScan, ResumeScan, AskExpert,
	}
}

// Containment reports whether k limits what a device can do to others, or lifts such a
// limit. These go to a device before everything else, in the order they were asked for.
func (k Kind) Containment() bool { return k == Isolate || k == Unisolate }

// ByServer reports whether the server itself carries out actions of the kind. No device is
// told of them, so that neither its agent, its absence nor its enrolment matters, and several
// may be open on one device at a time.
func (k Kind) ByServer() bool { return k == AskExpert }

// inverse gives the kind whose verified effect an action of this kind undoes.
func (k Kind) inverse() (Kind, bool) {
	switch k {
	case Unisolate:
		return Isolate, true
	case AllowCodeExecution:
		return RestrictCodeExecution, true
	case RestoreFile:
		return StopAndQuarantineFile, true
	}
	return "", false
}

// Undo gives the kind that undoes an action of this kind.
func (k Kind) Undo() (Kind, bool) {
	for _, u := range Kinds() {
		if of, ok := u.inverse(); ok && of == k {
			return u, true
		}
	}
	return "", false
}

// Need is the permission that asking for an action of the kind takes.
func (k Kind) Need() access.Permission {
	switch k {
	case Isolate, Unisolate:
		return access.MachineIsolate
	case RunAntiVirusScan, PauseScan, ResumeScan:
		return access.MachineScan
	case RestrictCodeExecution, AllowCodeExecution, NotifyUser:
		return access.MachineRestrict
	case CollectPackage:
		return access.MachineCollect
	case Offboard:
		return access.MachineOffboard
	case LiveResponse:
		return access.MachineLive
	case AskExpert:
		return access.ExpertAsk
	}
	return access.MachineQuarantine
}

// word is the responder's name of the kind.
func (k Kind) word() string { return strings.ToLower(string(k)) }

// Refusal says why the device d, as its agent reports it, cannot carry out actions of a
// kind; nil when it can, and when it is not known. The error's code is the published
// OsPlatformNotSupported or ClientVersionNotSupported.
func Refusal(d *device.Device, k Kind) error {
	const op = "action.Request"
	switch works, known := d.Responds(k.word()); {
	case works:
		return nil
	case known:
		return errs.New(op, errs.Unsupported, errs.ClientVersionNotSupported,
			"The agent %s of %s does not carry out %s: %s", d.AgentVersion, d.Name, k, d.Lacks(k.word()))
	case d.Platform != "" && d.Platform != responding:
		return errs.New(op, errs.Unsupported, errs.OSPlatformNotSupported, "The agent for %s does not carry out %s", d.Platform, k)
	}
	return nil
}

// selectively is what agents say that they carry out which isolate selectively: older ones
// would isolate fully when asked to.
const selectively = "isolate-selective"

// RefusalOfSelective says why the device d cannot be isolated selectively; nil when it can.
func RefusalOfSelective(d *device.Device) error {
	if err := Refusal(d, Isolate); err != nil {
		return err
	}
	if works, _ := d.Responds(selectively); !works {
		return errs.New("action.Request", errs.Unsupported, errs.OSPlatformNotSupported,
			"selective isolation is not supported by the agent %s of %s; ask for IsolationType Full", d.AgentVersion, d.Name)
	}
	return nil
}

// responding is the platform whose agents carry out actions even where they do not say so.
const responding = "Linux"

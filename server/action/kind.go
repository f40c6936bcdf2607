package action

// Containment reports whether k limits what a device can do to others, or lifts such a
// limit. These go to a device before everything else, in the order they were asked for.
func (k Kind) Containment() bool { return k == Isolate || k == Unisolate }

// inverse gives the kind whose verified effect an action of this kind undoes.
func (k Kind) inverse() (Kind, bool) {
	if k == Unisolate {
		return Isolate, true
	}
	return "", false
}

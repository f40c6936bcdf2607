package action

// Changed says that an action moved: it was requested, or a step was added. The action is
// shared and must not be changed.
type Changed struct{ Action *Action }

package portal

// Local is where somebody is sent after signing in.
var Local = local

package audit

// utmpSize is the size of a utmp record in bytes.
const utmpSize = 384

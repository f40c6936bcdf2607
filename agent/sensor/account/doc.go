// Package account is the sensor of what gives lasting hold of a device: local users and
// groups, services and scheduled tasks, as their files say.
//
// It compares states, not writes: after a file under etc or a unit directory changed and
// was quiet for a moment, the new state is read and each difference becomes a row of
// DeviceEvents. Replacing a file by renaming another over it is a change like any other,
// and an inotify overflow loses nothing. What comes and goes within the quiet time is not
// seen here; the file sensors see it. What changed while the agent did not run is not seen.
//
// Actions, with the published names: UserAccountCreated, UserAccountDeleted,
// UserAccountModified, UserAccountAddedToLocalGroup, UserAccountRemovedFromLocalGroup,
// SecurityGroupCreated, SecurityGroupDeleted; ServiceInstalled, ServiceModified,
// ServiceDeleted for systemd services, sockets and init scripts; ScheduledTaskCreated,
// ScheduledTaskUpdated, ScheduledTaskDeleted for systemd timers and cron tables.
//
// No password hash leaves this package: only that one changed. Start at watch_linux.go.
package account

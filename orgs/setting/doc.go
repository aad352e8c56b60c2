// Package setting is what can be set, and how a setting gets its value.
//
// Every setting is an entry of one typed registry ([All], [Find]). Its value comes from the highest
// of five layers that has one:
//
//	default   this build
//	env       the operator, in SETTINGS, for the whole installation
//	global    platform staff, for every organisation
//	tier      this build, for organisations on one tier
//	org       the organisation
//
// Platform staff may lock a setting, and some are the platform's own: then the organisation's layer
// does not count. [Setting.Resolve] says which layer decided, so that nobody has to guess.
//
// The package is pure: no database, no Encore. Values are JSON in the one form that [Setting.Parse]
// gives; a stored value that a newer build no longer takes is passed over, never served.
package setting

package db

// What package sqldb gives package et without showing it to apps.
var (
	wrap   func(*Handle) any
	unwrap func(database any) *Handle
)

// Expose records how a handle becomes a *sqldb.Database and back.
func Expose(toDatabase func(*Handle) any, toHandle func(database any) *Handle) {
	wrap, unwrap = toDatabase, toHandle
}

// Wrap turns a handle into a *sqldb.Database.
func Wrap(h *Handle) any { return wrap(h) }

// Unwrap turns a *sqldb.Database into its handle.
func Unwrap(database any) *Handle { return unwrap(database) }

// Known says whether the app has a database of the name.
func Known(name string) bool {
	handlesMu.Lock()
	defer handlesMu.Unlock()
	return handles[name] != nil
}

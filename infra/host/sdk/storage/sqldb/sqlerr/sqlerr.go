// Package sqlerr names the kinds of database error that an app can act on.
package sqlerr

// Code is the kind of an error reported by the database.
type Code string

const (
	Other               Code = "other" // none of the kinds below
	NotNullViolation    Code = "not_null_violation"
	ForeignKeyViolation Code = "foreign_key_violation"
	UniqueViolation     Code = "unique_violation"
	CheckViolation      Code = "check_violation"
	ExcludeViolation    Code = "exclude_violation"
	TransactionFailed   Code = "transaction_failed" // an earlier command of the transaction failed
	DeadlockDetected    Code = "deadlock_detected"
	TooManyConnections  Code = "too_many_connections" // the server refuses another connection
)

// Severity is how bad the database says an error is.
type Severity string

const (
	SeverityError   Severity = "ERROR"
	SeverityFatal   Severity = "FATAL"
	SeverityPanic   Severity = "PANIC"
	SeverityWarning Severity = "WARNING"
	SeverityNotice  Severity = "NOTICE"
	SeverityDebug   Severity = "DEBUG"
	SeverityInfo    Severity = "INFO"
	SeverityLog     Severity = "LOG"
)

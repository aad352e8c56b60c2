// Package part names what an app needs around it (Postgres, RabbitMQ, an object
// store) when it is missing, in words an operator can act on.
package part

import "fmt"

// Error says which part cannot be used, which variable chooses it and why.
// It never holds the variable's value: that usually has a password in it.
type Error struct {
	Part     string // "Postgres"
	Variable string // "DATABASE_URL"
	Problem  string // "is not set (database \"app\" needs it)"
	Err      error  // the cause, free of secrets; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s %s: %v", e.Part, e.Variable, e.Problem, e.Err)
	}
	return fmt.Sprintf("%s: %s %s", e.Part, e.Variable, e.Problem)
}

func (e *Error) Unwrap() error { return e.Err }

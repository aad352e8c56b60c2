package sqldb

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"encore.dev/storage/sqldb/sqlerr"
)

// Error is an error that the database server reported. Which of its fields are
// set depends on the kind of error.
type Error struct {
	Code           sqlerr.Code
	Severity       sqlerr.Severity
	DatabaseCode   string // SQLSTATE
	Message        string
	SchemaName     string
	TableName      string
	ColumnName     string
	DataTypeName   string
	ConstraintName string

	cause error
}

func (e *Error) Error() string { return e.cause.Error() }

func (e *Error) Unwrap() error { return e.cause }

// ErrCode is the kind of err: [sqlerr.Other] for nil and for what is no [*Error].
func ErrCode(err error) sqlerr.Code {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return sqlerr.Other
}

// convert gives errors of the driver their form in this package.
func convert(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		return err
	}
	return &Error{
		Code:           codeOf(pg.Code),
		Severity:       sqlerr.Severity(pg.SeverityUnlocalized),
		DatabaseCode:   pg.Code,
		Message:        pg.Message,
		SchemaName:     pg.SchemaName,
		TableName:      pg.TableName,
		ColumnName:     pg.ColumnName,
		DataTypeName:   pg.DataTypeName,
		ConstraintName: pg.ConstraintName,
		cause:          err,
	}
}

func codeOf(sqlstate string) sqlerr.Code {
	switch sqlstate {
	case "23502":
		return sqlerr.NotNullViolation
	case "23503":
		return sqlerr.ForeignKeyViolation
	case "23505":
		return sqlerr.UniqueViolation
	case "23514":
		return sqlerr.CheckViolation
	case "23P01":
		return sqlerr.ExcludeViolation
	case "25P02":
		return sqlerr.TransactionFailed
	case "40P01":
		return sqlerr.DeadlockDetected
	case "53300":
		return sqlerr.TooManyConnections
	}
	return sqlerr.Other
}

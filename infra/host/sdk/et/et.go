// Package et helps to test an app.
//
// What one test publishes or changes stays its own: it belongs to the top-level
// test function on the stack, and so to its subtests that are function literals.
package et

import (
	"context"
	"fmt"
	"reflect"

	"encore.dev/beta/auth"
	"encore.dev/config"
	"encore.dev/internal/capture"
	"encore.dev/internal/configvalue"
	"encore.dev/internal/db"
	"encore.dev/internal/scope"
	"encore.dev/pubsub"
	"encore.dev/storage/sqldb"
)

// stringLiteral can only be given as a constant.
type stringLiteral string

// NewTestDatabase makes a migrated copy of a database for one test, without
// what other tests wrote. It is dropped after the test binary has ended.
func NewTestDatabase(ctx context.Context, name stringLiteral) (*sqldb.Database, error) {
	if !db.Known(string(name)) {
		return nil, fmt.Errorf("et: there is no database %q", name)
	}
	h, err := db.Clone(ctx, string(name))
	if err != nil {
		return nil, err
	}
	return db.Wrap(h).(*sqldb.Database), nil
}

// SQLDBWithSuperuser returns the same database under the login role, for test
// set-up that the app itself may not do, such as TRUNCATE.
func SQLDBWithSuperuser(database *sqldb.Database) *sqldb.Database {
	h, err := db.Unwrap(database).Superuser(context.Background())
	if err != nil {
		panic(fmt.Sprintf("et.SQLDBWithSuperuser: %v", err))
	}
	return db.Wrap(h).(*sqldb.Database)
}

// OverrideAuthInfo sets who the current request or test works for; nobody if uid is "".
func OverrideAuthInfo(uid auth.UID, data any) {
	caller := scope.Caller{UID: string(uid), Data: data}
	if s := scope.Current(); s != nil && s.Request() != nil {
		s.SetCaller(&caller)
		return
	}
	// A scope of the test's own: one that a subtest inherited is its parent's too.
	scope.Attach(context.Background(), &scope.Scope{UID: caller.UID, AuthData: data})
}

// SetCfg changes a configured value within the test. Lists cannot be changed.
func SetCfg[T any](cfg config.Value[T], newValue T) {
	if reflect.TypeFor[T]().Kind() == reflect.Slice {
		panic("et.SetCfg: lists cannot be changed")
	}
	if err := configvalue.Override(&cfg, newValue); err != nil {
		panic(fmt.Sprintf("et.SetCfg: %v", err))
	}
}

// TopicHelpers looks at a topic in tests, where nothing is delivered.
type TopicHelpers[T any] interface {
	// PublishedMessages gives what this test published, oldest first. What came
	// from a goroutine that the test started is there too, and in other tests as well.
	PublishedMessages() []T
}

// Topic returns the helpers of a topic.
func Topic[T any](topic *pubsub.Topic[T]) TopicHelpers[T] { return helpers[T]{topic.Meta().Name} }

type helpers[T any] struct{ topic string }

func (h helpers[T]) PublishedMessages() []T {
	messages := capture.Messages(h.topic)
	list := make([]T, len(messages))
	for i, m := range messages {
		list[i] = m.(T)
	}
	return list
}

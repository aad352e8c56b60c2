package host

import (
	"fmt"
	"reflect"

	"encore.dev/internal/registry"
)

// StructOf gives the service struct of type t, which is a pointer. Subscriptions
// that are methods know their struct's type and not its service.
func StructOf(t reflect.Type) (any, error) {
	for _, s := range registry.Process().Services() {
		if s.Struct == t {
			return instances.Get(s.Name)
		}
	}
	return nil, fmt.Errorf("no service has the struct %s", t)
}

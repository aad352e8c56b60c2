package pubsub

import (
	"context"
	"reflect"

	"encore.dev/host"
)

// MethodHandler makes a handler of a method of the service struct:
//
//	Handler: pubsub.MethodHandler((*Service).Welcome)
func MethodHandler[T, SvcStruct any](handler func(s SvcStruct, ctx context.Context, msg T) error) func(ctx context.Context, msg T) error {
	return func(ctx context.Context, msg T) error {
		svc, err := host.StructOf(reflect.TypeFor[SvcStruct]())
		if err != nil {
			return err
		}
		return handler(svc.(SvcStruct), ctx, msg)
	}
}

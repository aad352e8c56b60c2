// Package config gives services their configuration.
//
//	type Config struct{ MaxSeats config.Int }
//
//	var cfg = config.Load[*Config]()
//
// The CUE files beside a service are evaluated for each type of environment when
// the app is built; Load takes the result for the environment it runs in.
package config

import (
	"fmt"
	"time"

	"encore.dev"
	"encore.dev/internal/caller"
	"encore.dev/internal/configvalue"
	"encore.dev/internal/registry"
	"encore.dev/types/uuid"
)

// Value is a configured value. It is a function so that tests can change it; see et.SetCfg.
type Value[T any] func() T

// Values is a configured list.
type Values[T any] func() []T

type (
	Bool    = Value[bool]
	Int8    = Value[int8]
	Int16   = Value[int16]
	Int32   = Value[int32]
	Int64   = Value[int64]
	Uint8   = Value[uint8]
	Uint16  = Value[uint16]
	Uint32  = Value[uint32]
	Uint64  = Value[uint64]
	Float32 = Value[float32]
	Float64 = Value[float64]
	String  = Value[string]
	Bytes   = Value[[]byte]
	Time    = Value[time.Time]
	UUID    = Value[uuid.UUID]
	Int     = Value[int]
	Uint    = Value[uint]
)

// Load gives the configuration of the calling service. It is for package
// variables, and panics where the build has made none that fits: the app must not run then.
func Load[T any]() T { return load[T](caller.Package(0)) }

func load[T any](pkg string) T {
	env := string(encore.Meta().Environment.Type)
	data, ok := registry.Process().Config(pkg, env)
	if !ok {
		panic(fmt.Sprintf("config.Load: package %s has no configuration for a %s environment", pkg, env))
	}
	var cfg T
	if err := configvalue.Decode([]byte(data), &cfg); err != nil {
		panic(fmt.Sprintf("config.Load: package %s: %v", pkg, err))
	}
	return cfg
}

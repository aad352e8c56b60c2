package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"encore.dev/beta/errs"
	"encore.dev/internal/broker"
	"encore.dev/internal/capture"
	"encore.dev/internal/scope"
)

// DeliveryGuarantee is what a topic promises its subscriptions.
type DeliveryGuarantee int

const (
	// AtLeastOnce delivers every message, some of them more than once.
	AtLeastOnce DeliveryGuarantee = iota + 1

	// ExactlyOnce delivers every message once as far as the broker can. This
	// host treats it as AtLeastOnce.
	ExactlyOnce
)

// TopicConfig configures a topic.
type TopicConfig struct {
	DeliveryGuarantee DeliveryGuarantee // required

	// OrderingAttribute is not supported by this host: the app refuses to start.
	OrderingAttribute string
}

// TopicMeta describes a topic.
type TopicMeta struct {
	Name   string
	Config TopicConfig
}

// Topic takes messages of type T and gives each of its subscriptions a copy.
type Topic[T any] struct {
	hub   *hub
	name  string
	cfg   TopicConfig
	attrs []attrField
}

// NewTopic declares a topic. It is for package variables.
func NewTopic[T any](name string, cfg TopicConfig) *Topic[T] { return newTopic[T](&process, name, cfg) }

func newTopic[T any](h *hub, name string, cfg TopicConfig) *Topic[T] {
	h.addTopic(name, cfg)
	return &Topic[T]{hub: h, name: name, cfg: cfg, attrs: attrFields(reflect.TypeFor[T]())}
}

// Meta describes the topic.
func (t *Topic[T]) Meta() TopicMeta { return TopicMeta{Name: t.name, Config: t.cfg} }

// Publish returns the message's id once the message is safe with the topic.
// An error has the code unavailable; the message may have been taken nevertheless.
func (t *Topic[T]) Publish(ctx context.Context, msg T) (id string, err error) {
	body, err := json.Marshal(msg)
	if err != nil {
		return "", errs.B().Code(errs.InvalidArgument).Msg("the message cannot be encoded").Cause(err).Err()
	}
	id = uuid.Must(uuid.NewV7()).String()
	transport := t.hub.current()
	if transport == nil {
		if !testing.Testing() {
			return "", unavailable(t.name, errors.New("the app has not started"))
		}
		capture.Add(t.name, msg)
		return id, nil
	}
	m := &broker.Message{ID: id, Topic: t.name, Body: body, Attrs: readAttrs(t.attrs, msg), Published: time.Now()}
	if s := scope.Either(ctx); s != nil {
		m.TraceID, m.RequestID = s.TraceID, s.RequestID
	}
	if err := transport.Publish(ctx, m); err != nil {
		return "", unavailable(t.name, err)
	}
	return id, nil
}

func unavailable(topic string, err error) error {
	return errs.B().Code(errs.Unavailable).Msg("the message was not published").Meta("topic", topic).Cause(err).Err()
}

// attrField is a field tagged pubsub-attr.
type attrField struct {
	index int
	name  string
}

func attrFields(t reflect.Type) []attrField {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var list []attrField
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("pubsub-attr")
		if name == "" {
			continue
		}
		if strings.HasPrefix(name, "encore") {
			panic(fmt.Sprintf("pubsub: attribute %q of %s: names that begin with encore are reserved", name, t))
		}
		list = append(list, attrField{index: i, name: name})
	}
	return list
}

func readAttrs(fields []attrField, msg any) map[string]string {
	if len(fields) == 0 {
		return nil
	}
	v := reflect.Indirect(reflect.ValueOf(msg))
	if !v.IsValid() { // a nil message
		return nil
	}
	attrs := make(map[string]string, len(fields))
	for _, f := range fields {
		attrs[f.name] = fmt.Sprint(v.Field(f.index).Interface())
	}
	return attrs
}

package pubsub

import "context"

// TopicPerms is what every permission interface of [TopicRef] has.
type TopicPerms[T any] interface {
	Meta() TopicMeta
}

// Publisher is the permission to publish.
type Publisher[T any] interface {
	// Publish publishes a message; see [Topic.Publish].
	Publish(ctx context.Context, msg T) (id string, err error)

	// Meta describes the topic.
	Meta() TopicMeta
}

// TopicRef returns a reference to a topic with the permissions P, to be passed around.
func TopicRef[P TopicPerms[T], T any](topic *Topic[T]) P {
	return any(ref[T]{topic}).(P)
}

// ref hides the topic, so that a reference cannot be turned back into it.
type ref[T any] struct{ topic *Topic[T] }

func (r ref[T]) Publish(ctx context.Context, msg T) (string, error) { return r.topic.Publish(ctx, msg) }

func (r ref[T]) Meta() TopicMeta { return r.topic.Meta() }

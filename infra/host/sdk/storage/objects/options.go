package objects

import "encore.dev/internal/objectstore"

// Options of the operations. Only uploads have any on this host.
type (
	DownloadOption interface{ downloadOption() }
	UploadOption   interface{ uploadOption(*objectstore.PutOptions) }
	ListOption     interface{ listOption() }
	RemoveOption   interface{ removeOption() }
	AttrsOption    interface{ attrsOption() }
	ExistsOption   interface{ existsOption() }
)

// Preconditions of an upload.
type Preconditions struct {
	NotExists bool // the object must not exist yet
}

type withPreconditionsOption struct{ pre Preconditions }

// WithPreconditions has an upload fail with [ErrPreconditionFailed] where one does not hold.
func WithPreconditions(pre Preconditions) withPreconditionsOption {
	return withPreconditionsOption{pre: pre}
}

func (o withPreconditionsOption) uploadOption(put *objectstore.PutOptions) {
	put.NotExists = o.pre.NotExists
}

// UploadAttrs are attributes that an upload sets.
type UploadAttrs struct {
	ContentType string
}

type withUploadAttrsOption struct{ attrs UploadAttrs }

// WithUploadAttrs sets attributes of the object.
func WithUploadAttrs(attrs UploadAttrs) withUploadAttrsOption {
	return withUploadAttrsOption{attrs: attrs}
}

func (o withUploadAttrsOption) uploadOption(put *objectstore.PutOptions) {
	put.ContentType = o.attrs.ContentType
}

package objects

import (
	"context"
	"iter"
)

// BucketPerms is what [BucketRef] takes as permissions: the interfaces below,
// alone or together.
type BucketPerms interface{}

// Uploader is the permission to upload.
type Uploader interface {
	Upload(ctx context.Context, object string, options ...UploadOption) *Writer
}

// Downloader is the permission to download.
type Downloader interface {
	Download(ctx context.Context, object string, options ...DownloadOption) *Reader
}

// Lister is the permission to list.
type Lister interface {
	List(ctx context.Context, query *Query, options ...ListOption) iter.Seq2[*ListEntry, error]
}

// Remover is the permission to remove.
type Remover interface {
	Remove(ctx context.Context, object string, options ...RemoveOption) error
}

// Attrser is the permission to look at attributes.
type Attrser interface {
	Attrs(ctx context.Context, object string, options ...AttrsOption) (*ObjectAttrs, error)
	Exists(ctx context.Context, object string, options ...ExistsOption) (bool, error)
}

// ReadWriter is every permission that this host has.
type ReadWriter interface {
	Uploader
	Downloader
	Remover
	Lister
	Attrser
}

// BucketRef returns a reference to a bucket with the permissions P, to be passed around.
func BucketRef[P BucketPerms](bucket *Bucket) P { return any(ref{bucket}).(P) }

// ref hides the bucket, so that a reference cannot be turned back into it.
type ref struct{ ReadWriter }

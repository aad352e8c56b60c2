package objectstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// partSize bounds the memory of an upload whose size is not known beforehand,
// which is every one; it allows objects of 160 GB.
const partSize = 16 << 20

// S3 keeps objects in a store that speaks S3, addressed by path, so that it
// needs no DNS names of its own.
type S3 struct {
	client *minio.Client
	prefix string // of bucket names
	region string
}

var _ Store = (*S3)(nil)

var errURL = errors.New("s3://key:secret@host:port/bucket-prefix?region=…&tls=true|false")

// NewS3 reads a URL of the form s3://key:secret@host:port/bucket-prefix?region=…&tls=….
// Its error never quotes the URL.
func NewS3(u *url.URL) (*S3, error) {
	secret, _ := u.User.Password()
	tls := true
	if v := u.Query().Get("tls"); v != "" {
		var err error
		if tls, err = strconv.ParseBool(v); err != nil {
			return nil, errURL
		}
	}
	region := u.Query().Get("region")
	if region == "" {
		region = "us-east-1"
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(u.User.Username(), secret, ""),
		Secure:       tls,
		Region:       region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, errURL
	}
	return &S3{client: client, prefix: strings.Trim(u.Path, "/"), region: region}, nil
}

// bucket is the bucket's name in the store.
func (s *S3) bucket(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + "-" + name
}

func (s *S3) Open(ctx context.Context, bucket string) error {
	exists, err := s.client.BucketExists(ctx, s.bucket(bucket))
	if err != nil || exists {
		return err
	}
	err = s.client.MakeBucket(ctx, s.bucket(bucket), minio.MakeBucketOptions{Region: s.region})
	if minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" { // another replica made it
		return nil
	}
	return err
}

func (s *S3) Put(ctx context.Context, bucket, key string, r io.Reader, opts PutOptions) error {
	put := minio.PutObjectOptions{ContentType: opts.ContentType, PartSize: partSize}
	if opts.NotExists {
		put.SetMatchETagExcept("*")
	}
	_, err := s.client.PutObject(ctx, s.bucket(bucket), key, r, -1, put)
	return convert(err)
}

func (s *S3) Get(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	object, err := s.client.GetObject(ctx, s.bucket(bucket), key, minio.GetObjectOptions{})
	if err != nil {
		return nil, convert(err)
	}
	if _, err := object.Stat(); err != nil { // the first request; GetObject made none
		_ = object.Close()
		return nil, convert(err)
	}
	return object, nil
}

func (s *S3) Stat(ctx context.Context, bucket, key string) (Attrs, error) {
	info, err := s.client.StatObject(ctx, s.bucket(bucket), key, minio.StatObjectOptions{})
	if err != nil {
		return Attrs{}, convert(err)
	}
	return fromInfo(info), nil
}

func (s *S3) List(ctx context.Context, bucket, prefix string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
		for info := range s.client.ListObjectsIter(ctx, s.bucket(bucket), options) {
			if info.Err != nil {
				yield(Attrs{}, convert(info.Err))
				return
			}
			if !yield(fromInfo(info), nil) {
				return
			}
		}
	}
}

func (s *S3) Remove(ctx context.Context, bucket, key string) error {
	return convert(s.client.RemoveObject(ctx, s.bucket(bucket), key, minio.RemoveObjectOptions{}))
}

func (s *S3) Health(ctx context.Context, bucket string) error {
	exists, err := s.client.BucketExists(ctx, s.bucket(bucket))
	if err == nil && !exists {
		err = errors.New("the bucket is gone")
	}
	return err
}

func fromInfo(info minio.ObjectInfo) Attrs {
	return Attrs{Key: info.Key, ContentType: info.ContentType, Size: info.Size, ETag: info.ETag}
}

func convert(err error) error {
	if err == nil {
		return nil
	}
	switch r := minio.ToErrorResponse(err); {
	case r.StatusCode == http.StatusNotFound && (r.Code == "NoSuchKey" || r.Code == "NotFound"):
		return ErrNotFound
	case r.StatusCode == http.StatusPreconditionFailed:
		return ErrExists
	}
	return err
}

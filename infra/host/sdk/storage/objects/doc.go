// Package objects gives services buckets of objects.
//
//	var exports = objects.NewBucket("exports", objects.BucketConfig{})
//
// Objects are files under .dev/objects, or where OBJECT_STORE_URL says:
//
//	file:///var/lib/app/objects
//	s3://key:secret@host:port/bucket-prefix?region=eu-central-1&tls=true
//
// In an S3 store a bucket is called bucket-prefix-name and is made if it is
// missing. Tests keep objects in memory. Signed and public URLs and versioned
// buckets are not supported.
package objects

package objects

import (
	"context"
	"errors"
	"io"

	"encore.dev/internal/objectstore"
)

var errAborted = errors.New("objects: upload aborted")

// Writer takes the content of an object that is uploaded. The object appears
// when Close returns nil.
type Writer struct {
	pipe *io.PipeWriter
	done chan struct{} // the store is through with the upload
	err  error         // of the store; read after done
	stop context.CancelFunc
}

// Upload starts the upload of an object. Close or Abort must be called.
func (b *Bucket) Upload(ctx context.Context, object string, options ...UploadOption) *Writer {
	s, err := b.store(object)
	ctx, stop := context.WithCancel(ctx)
	r, pipe := io.Pipe()
	w := &Writer{pipe: pipe, done: make(chan struct{}), stop: stop}
	if err != nil {
		w.err = err
		_ = r.CloseWithError(err)
		close(w.done)
		return w
	}
	put := objectstore.PutOptions{}
	for _, o := range options {
		o.uploadOption(&put)
	}
	// The goroutine ends with the pipe, which Close and Abort close and the context breaks.
	broken := context.AfterFunc(ctx, func() { _ = pipe.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(w.done)
		defer broken()
		w.err = convert(s.Put(ctx, b.name, object, r, put))
		// A writer that goes on after a failure must not wait for a reader.
		_ = r.CloseWithError(errors.Join(w.err, io.ErrClosedPipe))
	}()
	return w
}

// Write adds to the content.
func (w *Writer) Write(p []byte) (int, error) { return w.pipe.Write(p) }

// Abort gives the upload up; no object appears. Close then returns err.
func (w *Writer) Abort(err error) {
	if err == nil {
		err = errAborted
	}
	_ = w.pipe.CloseWithError(err)
	<-w.done
	w.stop()
}

// Close completes the upload.
func (w *Writer) Close() error {
	_ = w.pipe.Close()
	<-w.done
	w.stop()
	return w.err
}

// Reader gives the content of an object. Its error, if there is one, is that
// of the whole download.
type Reader struct {
	body io.ReadCloser
	err  error
}

// Download opens an object. Close must be called. An object that does not
// exist shows in Err and in every Read.
func (b *Bucket) Download(ctx context.Context, object string, options ...DownloadOption) *Reader {
	s, err := b.store(object)
	if err != nil {
		return &Reader{err: err}
	}
	body, err := s.Get(ctx, b.name, object)
	return &Reader{body: body, err: convert(err)}
}

// Err is what went wrong so far.
func (r *Reader) Err() error { return r.err }

// Read reads on.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF {
		r.err = convert(err)
		err = r.err
	}
	return n, err
}

// Close ends the download.
func (r *Reader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// Command images packs the app's static binary as OCI images, one a role, without a container engine or
// a registry:
//
//	images -binary .dev/images/tenantry -out .dev/images/oci [-revision REV]
//
// They hold what infra/deploy/Dockerfile puts into its own: the binary, the certificates to trust, and a
// user that is not root. The same input makes the same digests. `crane push` and `skopeo copy oci:` take
// the layouts from there.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// roles are the images and what each one's process is told to do.
var roles = []struct {
	name string
	cmd  []string
}{
	{"web", []string{"--role", "web"}},
	{"worker", []string{"--role", "worker"}},
	{"scheduler", []string{"--role", "scheduler"}},
	{"migrate", []string{"migrate"}},
}

// Where systems keep the certificates of public authorities.
const (
	certificates = "etc/ssl/certs/ca-certificates.crt"
	nobody       = "65532:65532"
)

func main() {
	binary := flag.String("binary", "", "the app's static binary")
	out := flag.String("out", "", "the directory of the image layouts, one a role; what is there is replaced")
	roots := flag.String("certificates", "/"+certificates, "the certificates that the images trust")
	revision := flag.String("revision", "", "the revision of the sources")
	flag.Parse()
	if err := run(*binary, *out, *roots, *revision, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(binary, out, roots, revision string, report io.Writer) error {
	if binary == "" || out == "" {
		return errors.New("-binary and -out are needed")
	}
	layer, err := layerOf(file{"tenantry", binary, 0o755}, file{certificates, roots, 0o644})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, role := range roles {
		image, err := imageOf(layer, role.name, role.cmd, revision)
		if err == nil {
			err = write(filepath.Join(out, role.name), image)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", role.name, err)
		}
		digest, err := image.Digest()
		if err != nil {
			return fmt.Errorf("%s: %w", role.name, err)
		}
		fmt.Fprintf(report, "%s %s\n", role.name, digest)
	}
	return nil
}

// write makes a layout with one image, and reads it back.
func write(dir string, image v1.Image) error {
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := to.AppendImage(image); err != nil {
		return err
	}
	written, err := to.ImageIndex()
	if err != nil {
		return err
	}
	return validate.Index(written)
}

func imageOf(layer v1.Layer, role string, cmd []string, revision string) (v1.Image, error) {
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		User:         nobody,
		Env:          []string{"APP_ENV=production", "PORT=8080", "HOST_MIGRATE=off", "HOST_DRAIN_DELAY=5s"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Entrypoint:   []string{"/tenantry"},
		Cmd:          cmd,
		Labels: map[string]string{
			"org.opencontainers.image.title":    "tenantry-" + role,
			"org.opencontainers.image.revision": revision,
		},
	}
	return mutate.ConfigFile(image, config)
}

// file is something that goes into an image.
type file struct {
	name, path string
	mode       int64
}

// layerOf packs files with nothing in it that depends on when or where.
func layerOf(files ...file) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

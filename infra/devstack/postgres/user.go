package postgres

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"encore.app/infra/devstack/proc"
)

// serverUser is whom the server runs as: nil, which is this process's own user, unless that is root.
func serverUser(dataDir string) (*proc.User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("does not run as root, and there is no user postgres or nobody to run it: %w", err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	closed, err := closedToOthers(filepath.Dir(dataDir))
	if err != nil {
		return nil, err
	}
	return &proc.User{UID: uint32(uid), GID: uint32(gid), Traverse: closed}, nil
}

// closedToOthers reports whether a directory or one above it may not be entered by everybody.
func closedToOthers(dir string) (bool, error) {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false, err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return true, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false, nil
		}
		dir = parent
	}
}

package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"encore.app/infra/devstack/proc"
)

// BaseBackup copies the running cluster to dir. With the WAL that is archived from then on, [Restore]
// brings the copy to any later moment.
func (c *Cluster) BaseBackup(dir string) error {
	user, err := serverUser(dir)
	if err != nil {
		return err
	}
	name, password := c.Superuser()
	_, err = proc.Output(proc.Command{
		Name: "pg_basebackup",
		Args: []string{
			filepath.Join(c.config.BinDir, "pg_basebackup"), "--pgdata=" + dir, "--host=127.0.0.1", fmt.Sprintf("--port=%d", c.config.Port),
			"--username=" + name, "--no-password", "--checkpoint=fast", "--wal-method=none",
		},
		Env: append(serverEnv(), "PGPASSWORD="+password), Dir: "/", User: user,
	})
	return err
}

// Restore makes a base backup of c into a data directory: a cluster that is started with it replays what
// c has archived, up to the given moment and no further, and is its own from then on.
func (c *Cluster) Restore(dir string, to time.Time) error {
	settings := fmt.Sprintf(`
restore_command = 'cp "%s" "%%p"'
recovery_target_time = '%s'
recovery_target_action = 'promote'
`, filepath.Join(c.config.Archive, "%f"), to.UTC().Format("2006-01-02 15:04:05.999999-07"))
	conf, err := os.OpenFile(filepath.Join(dir, "postgresql.auto.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(settings)
	if closed := conf.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	user, err := serverUser(dir)
	if err != nil {
		return err
	}
	signal := filepath.Join(dir, "recovery.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if user != nil {
		if err := os.Chown(signal, int(user.UID), int(user.GID)); err != nil {
			return err
		}
	}
	passwords, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return err
	}
	return os.WriteFile(dir+".json", passwords, 0o600)
}

package devstack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// checkWait is how long a part that is set has to answer.
const checkWait = 5 * time.Second

//go:embed cerbos.yaml
var cerbosSettings []byte

// Config says for which checkout a stack is, and of what it consists.
type Config struct {
	Root    string    // the checkout
	Env     Env       // what is set by the caller
	Out     io.Writer // progress, for people
	Report  io.Writer // what there is in the end: the banner of a run, the parts of an exec
	Real    bool      // also a real Redis and RabbitMQ
	Require []string  // parts that must be real, by name; they are started too
	Seed    bool      // put the demo tenants in once the app is ready

	// Durable has a throw-away stack's Postgres keep what it commits, as one does that matters; commits
	// cost what they cost there.
	Durable bool

	// throwAway: data of no value, ports beside any other stack's.
	throwAway bool
}

// Part is what became of one dependency.
type Part struct {
	Name    string
	Version string // "" if it was not had
	How     string // "private cluster", or why it was not had
}

// PartError is a part that cannot be used.
type PartError struct {
	Part, Variable string
	Set            bool // the variable names it; otherwise the stack tried to start its own
	Err            error
}

func (e *PartError) Error() string {
	if e.Set {
		return fmt.Sprintf("%s: %s is set, but nothing usable answers there: %v", e.Part, e.Variable, e.Err)
	}
	return fmt.Sprintf("%s: cannot start one (%s would name another): %v", e.Part, e.Variable, e.Err)
}

func (e *PartError) Unwrap() error { return e.Err }

// besidePart is a part that starts beside the command.
type besidePart struct {
	name, variable string
	up             func() (ok bool, err error) // neither: it is still starting
}

// stack is a set of running parts.
type stack struct {
	config Config
	data   *dataDir
	ports  *ports

	mu     sync.Mutex
	parts  []Part
	beside []besidePart // those that start beside the command
	values Env          // what the app is told
	stops  []func()
	users  []string // the development issuer's, a line each

	// For ENCORE_SQLDB_*; empty where Postgres is somebody else's.
	superuser struct{ host, name, password string }
}

// start brings every part up and returns when all answer. The caller owns data and closes it.
func start(ctx context.Context, config Config, data *dataDir) (*stack, error) {
	if err := checkAppEnv(config.Env); err != nil {
		return nil, err
	}
	for _, name := range config.Require {
		if !slices.Contains(partNames, name) {
			return nil, fmt.Errorf("there is no part %q to require; there are %s", name, strings.Join(partNames, ", "))
		}
	}
	s := &stack{config: config, data: data, values: Env{}}
	var err error
	if s.ports, err = loadPorts(data.join("ports.json")); err != nil {
		return nil, err
	}
	if config.throwAway { // beside any other app, and known before the realm names it
		port, err := s.ports.pick("app")
		if err != nil {
			return nil, err
		}
		s.config.Env = config.Env.With(Env{"PORT": strconv.Itoa(port)})
	}
	plans := s.plan()
	if err := s.install(ctx, plans); err != nil {
		return nil, err
	}
	// Ports first, one after the other: whatever is taken is said before anything starts.
	for _, p := range plans {
		if p.start == nil || p.reserve == nil {
			continue
		}
		if err := p.reserve(); err != nil {
			s.stop()
			return nil, &PartError{Part: p.name, Variable: p.variable, Err: err}
		}
	}
	if err := s.ports.save(); err != nil {
		s.stop()
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, p := range plans {
		group.Go(func() error { return s.bringUp(groupCtx, p) })
	}
	if err := group.Wait(); err != nil {
		s.stop()
		return nil, err
	}
	if s.config.Env["OBJECT_STORE_URL"] == "" {
		s.values["OBJECT_STORE_URL"] = "file://" + data.join("objects")
	}
	return s, nil
}

// bringUp checks the part that is set, starts the one that is not, or notes its absence.
func (s *stack) bringUp(ctx context.Context, p plan) error {
	part := Part{Name: p.name}
	values := Env{}
	switch set := s.config.Env[p.variable]; {
	case set != "":
		checkCtx, cancel := context.WithTimeout(ctx, checkWait)
		defer cancel()
		version, err := p.check(checkCtx, set)
		if err != nil {
			return &PartError{Part: p.name, Variable: p.variable, Set: true, Err: err}
		}
		part.Version, part.How = orUnknown(version), "set by "+p.variable
	case p.start == nil:
		if slices.Contains(s.config.Require, p.name) {
			return &PartError{Part: p.name, Variable: p.variable, Err: fmt.Errorf("required, but %s", p.absent)}
		}
		part.How = p.absent
	default:
		got, err := p.start(ctx)
		var absent *absentError
		if errors.As(err, &absent) && !slices.Contains(s.config.Require, p.name) {
			part.How = absent.why
			break
		}
		if err != nil {
			return &PartError{Part: p.name, Variable: p.variable, Err: err}
		}
		part.Version, part.How = orUnknown(got.version), got.how
		values[p.variable] = got.value
		s.mu.Lock()
		s.stops = append(s.stops, got.stop)
		if got.up != nil {
			s.beside = append(s.beside, besidePart{p.name, p.variable, got.up})
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, part)
	maps.Copy(s.values, values)
	return nil
}

// stop ends every part that was started, all at once: none needs another to end well.
func (s *stack) stop() {
	s.mu.Lock()
	stops := s.stops
	s.stops = nil
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, stop := range stops {
		wg.Go(stop)
	}
	wg.Wait()
}

// environ is the environment for a program that uses the stack.
func (s *stack) environ(more Env) []string {
	return s.config.Env.With(s.values).With(more).List()
}

func (s *stack) logf(format string, args ...any) { s.config.logf(format, args...) }

func (c Config) logf(format string, args ...any) {
	fmt.Fprintf(c.Out, "devstack: "+format+"\n", args...)
}

func (c Config) toolsDir() string { return filepath.Join(c.Root, devName, toolsName) }

// wantsReal reports whether a part that the app has a stand-in for is to be started.
func (c Config) wantsReal(name string) bool { return c.Real || slices.Contains(c.Require, name) }

// broken is the first part that was started beside the command and failed.
func (s *stack) broken() error {
	for _, p := range s.beside {
		if _, err := p.up(); err != nil {
			return &PartError{Part: p.name, Variable: p.variable, Err: err}
		}
	}
	return nil
}

// summary says what the stack consisted of, in one line.
func (s *stack) summary() string {
	var had, lacked []string
	for _, name := range partNames {
		i := slices.IndexFunc(s.parts, func(p Part) bool { return p.Name == name })
		if i < 0 {
			continue
		}
		p := s.parts[i]
		if at := slices.IndexFunc(s.beside, func(b besidePart) bool { return b.name == name }); at >= 0 {
			switch ok, err := s.beside[at].up(); {
			case err != nil:
				p = Part{Name: name, How: "did not start"}
			case !ok:
				p.How += ", not waited for"
			}
		}
		if p.Version != "" {
			had = append(had, fmt.Sprintf("%s %s (%s)", p.Name, p.Version, p.How))
		} else {
			lacked = append(lacked, fmt.Sprintf("%s (%s)", p.Name, p.How))
		}
	}
	line := "ran against: " + strings.Join(had, " · ")
	if lacked != nil {
		line += "; could not have: " + strings.Join(lacked, ", ")
	}
	return line
}

func orUnknown(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return version
}

package audit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/jackc/pgx/v5"
)

// ErasePerson makes everything personal that the log holds of a user unreadable, for good, by
// destroying the key that it is sealed and salted with. The entries, their numbers and their hashes
// stay, and so does every proof. What is still on its way to the log arrives without the person's
// data, and what died on the way loses it at once, for nobody says when it will be sent again; what dies
// later loses it within minutes. Erasing again changes nothing.
func ErasePerson(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	if user == uuid.Nil {
		return errors.New("audit: erase: nobody")
	}
	_, err := tx.Exec(ctx, `
insert into audit.person_keys (subject, erased_at) values ($1, now())
on conflict (subject) do update set key = null, erased_at = now() where person_keys.key is not null`, user)
	if err == nil {
		err = scrubDead(ctx, tx)
	}
	if err != nil {
		return fmt.Errorf("audit: erase: %w", err)
	}
	return nil
}

// scrub takes what is personal of erased persons out of events that have died since.
func (s store) scrub(ctx context.Context) error {
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { return scrubDead(ctx, tx) })
	if err != nil {
		return fmt.Errorf("audit: scrub: %w", err)
	}
	return nil
}

func scrubDead(ctx context.Context, tx pgx.Tx) error {
	return outbox.RewriteDead(ctx, tx, event.Topic, func(ctx context.Context, payloads []json.RawMessage) error {
		events := make([]event.Event, len(payloads))
		persons := map[uuid.UUID]bool{}
		for i, text := range payloads {
			if err := json.Unmarshal(text, &events[i]); err != nil { // it is none, and died of that
				events[i] = event.Event{}
				continue
			}
			if p := events[i].Person; p != nil {
				persons[*p] = true
			}
			for _, p := range events[i].Personal {
				persons[p.Subject] = true
			}
		}
		erased, err := collect(ctx, tx, pgx.RowTo[uuid.UUID],
			"select subject from audit.person_keys where subject = any($1) and erased_at is not null", slices.Collect(maps.Keys(persons)))
		if err != nil {
			return err
		}
		for i := range events {
			if !blank(&events[i], erased) {
				continue
			}
			if payloads[i], err = json.Marshal(events[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// blank empties what e says of those who have been erased. The names of the fields stay: the log says
// what was erased.
func blank(e *event.Event, erased []uuid.UUID) (changed bool) {
	if e.Person != nil && e.IP != "" && slices.Contains(erased, *e.Person) {
		e.IP, changed = "", true
	}
	for _, p := range e.Personal {
		if !slices.Contains(erased, p.Subject) {
			continue
		}
		for name, value := range p.Fields {
			if string(value) != "null" {
				p.Fields[name], changed = json.RawMessage("null"), true
			}
		}
	}
	return changed
}

// personKey is what one person's values are sealed and salted with; nil once they are erased.
type personKey []byte

const keySize = 32

// derive is a key for one purpose and one field of one event: showing it gives nothing else away.
func (k personKey) derive(purpose string, event uuid.UUID, path string) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(purpose))
	mac.Write(event[:])
	mac.Write([]byte(path))
	return mac.Sum(nil)
}

func (k personKey) salt(event uuid.UUID, path string) []byte {
	if k == nil { // nobody will ever be shown it
		salt := make([]byte, ledger.SaltSize)
		rand.Read(salt)
		return salt
	}
	return k.derive("salt", event, path)
}

func (k personKey) seal(event uuid.UUID, path string, value []byte) ([]byte, error) {
	if k == nil {
		return nil, nil
	}
	box, err := k.box(event, path)
	if err != nil {
		return nil, err
	}
	return box.Seal(nil, nil, value, nil), nil
}

func (k personKey) open(event uuid.UUID, path string, sealed []byte) ([]byte, error) {
	box, err := k.box(event, path)
	if err != nil {
		return nil, err
	}
	return box.Open(nil, nil, sealed, nil)
}

func (k personKey) box(event uuid.UUID, path string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.derive("seal", event, path))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

const (
	cachedKeys = 10_000
	// keyFor bounds how long a replica may still seal under a key that was destroyed meanwhile. What
	// it seals then can never be opened.
	keyFor = time.Minute
)

// keyring finds persons' keys for writers. Readers ask the database every time, so that what was
// erased is gone at once.
type keyring struct {
	db *tenantdb.DB
	// cache is made with the first key that is sealed with: it has a goroutine that never ends, and who
	// only reads needs none.
	cache func() *expirable.LRU[uuid.UUID, personKey]
}

func newKeyring(db *tenantdb.DB) *keyring {
	return &keyring{db: db, cache: sync.OnceValue(func() *expirable.LRU[uuid.UUID, personKey] {
		return expirable.NewLRU[uuid.UUID, personKey](cachedKeys, nil, keyFor)
	})}
}

const ensureKey = `
with added as (insert into audit.person_keys (subject, key) values ($1, $2) on conflict do nothing returning key)
select key from added union all select key from audit.person_keys where subject = $1 limit 1`

// of is the person's key, made now if there is none yet.
func (r *keyring) of(ctx context.Context, person uuid.UUID) (personKey, error) {
	if key, ok := r.cache().Get(person); ok {
		return key, nil
	}
	fresh := make([]byte, keySize)
	rand.Read(fresh)
	for {
		key, err := tenantdb.Row(ctx, r.db, tenantdb.Scope{}, pgx.RowTo[[]byte], ensureKey, person, fresh)
		if errors.Is(err, pgx.ErrNoRows) { // another writer's key, which the next statement sees
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("audit: key: %w", err)
		}
		r.cache().Add(person, key)
		return key, nil
	}
}

// existing are the keys of those who have not been erased.
func (r *keyring) existing(ctx context.Context, persons []uuid.UUID) (map[uuid.UUID]personKey, error) {
	type row struct {
		Subject uuid.UUID
		Key     []byte
	}
	rows, err := tenantdb.Rows(ctx, r.db, tenantdb.Scope{}, pgx.RowToStructByPos[row],
		"select subject, key from audit.person_keys where subject = any($1) and key is not null", persons)
	if err != nil {
		return nil, fmt.Errorf("audit: keys: %w", err)
	}
	keys := make(map[uuid.UUID]personKey, len(rows))
	for _, r := range rows {
		keys[r.Subject] = r.Key
	}
	return keys, nil
}

package uuid

import (
	"database/sql/driver"
	"encoding/json"
)

// NullUUID is a UUID that may be NULL in a database and null in JSON.
type NullUUID struct {
	UUID  UUID
	Valid bool
}

// Value gives a database the UUID or NULL.
func (u NullUUID) Value() (driver.Value, error) {
	if !u.Valid {
		return nil, nil
	}
	return u.UUID.Value()
}

// Scan takes a UUID or NULL from a database.
func (u *NullUUID) Scan(src interface{}) error {
	if src == nil {
		*u = NullUUID{}
		return nil
	}
	u.Valid = true
	return u.UUID.Scan(src)
}

// MarshalJSON gives the UUID or null.
func (u NullUUID) MarshalJSON() ([]byte, error) {
	if !u.Valid {
		return []byte("null"), nil
	}
	return json.Marshal(u.UUID)
}

// UnmarshalJSON takes a UUID or null.
func (u *NullUUID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*u = NullUUID{}
		return nil
	}
	if err := json.Unmarshal(b, &u.UUID); err != nil {
		return err
	}
	u.Valid = true
	return nil
}

package orgs

import (
	"context"

	"encore.app/identity"
	"encore.app/infra/platform/page"
	"encore.dev/types/uuid"
)

// pageOf cuts rows that were read with one more than limit, sorted by id, and turns each into what is
// sent.
func pageOf[Row, Item any](rows []Row, limit int, id func(Row) uuid.UUID, payload func(Row) Item) (items []Item, next string) {
	rows, next = page.Cut(rows, limit, func(r Row) any { return id(r) })
	items = make([]Item, len(rows))
	for i, r := range rows {
		items[i] = payload(r)
	}
	return items, next
}

// peopleOf is pageOf for rows that are about users, of whom identity knows the rest.
func peopleOf[Row, Item any](ctx context.Context, rows []Row, limit int, user func(Row) uuid.UUID, payload func(Row, identity.Profile) Item) ([]Item, string, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = user(r)
	}
	profiles, err := identity.Profiles(ctx, ids)
	if err != nil {
		return nil, "", err
	}
	items, next := pageOf(rows, limit, user, func(r Row) Item { return payload(r, profiles[user(r)]) })
	return items, next, nil
}

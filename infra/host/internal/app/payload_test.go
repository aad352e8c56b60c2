package app

import "testing"

func TestSnake(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Name": "name", "UserID": "user_id", "HTTPStatus": "http_status", "A": "a", "OrgIDs": "org_i_ds", "PageSize2": "page_size2",
	} {
		if got := snake(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

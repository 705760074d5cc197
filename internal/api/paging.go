package api

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/store"
)

// pagingHeaders has the fields of every generated header type of a list.
type pagingHeaders struct {
	Link        *string
	XTotalCount int64
}

// listQuery reads the parameters of a list. fuzzy are the plain query
// parameters, such as name, that stand for a condition "contains"; a condition in
// q on the same field counts more.
func listQuery(q, sort string, page, pageSize *int64, fuzzy ...store.Condition) (store.ListQuery, error) {
	query, err := store.ParseListQuery(q, sort, orDefault(page, 1), orDefault(pageSize, 10))
	if err != nil {
		return store.ListQuery{}, err
	}
	for _, c := range fuzzy {
		if _, given := query.Condition(c.Field); !given && c.Values[0] != "" {
			query.Conditions = append(query.Conditions, c)
		}
	}
	return query, nil
}

// contains is the condition of a plain query parameter that searches a name.
func contains(field, value string) store.Condition {
	return store.Condition{Field: field, Match: store.Fuzzy, Values: []string{value}}
}

func orDefault(value *int64, otherwise int64) int64 {
	if value == nil {
		return otherwise
	}
	return *value
}

// paging returns the headers of a list, computed from the request as it came.
func paging(ctx context.Context, total int64, query store.ListQuery) pagingHeaders {
	headers := pagingHeaders{XTotalCount: total}
	if links := links(requestOf(ctx).url, total, query.Page, query.PageSize); links != "" {
		headers.Link = &links
	}
	return headers
}

// links is the Link header of a page: relative URLs with their query left
// unescaped, separated by " , ", as Harbor writes it. A list of everything has none.
func links(u url.URL, total, page, pageSize int64) string {
	if pageSize <= 0 || total <= 0 {
		return ""
	}
	var all []string
	if page > 1 && page-1 <= total/pageSize {
		all = append(all, link(u, page-1, pageSize, "prev"))
	}
	if page <= (total-1)/pageSize {
		all = append(all, link(u, page+1, pageSize, "next"))
	}
	return strings.Join(all, " , ")
}

func link(u url.URL, page, pageSize int64, rel string) string {
	query := u.Query()
	query.Set("page", strconv.FormatInt(page, 10))
	query.Set("page_size", strconv.FormatInt(pageSize, 10))
	text := query.Encode()
	// What could end the link or the header early stays escaped.
	if plain, err := url.QueryUnescape(text); err == nil && !strings.ContainsFunc(plain, breaksHeader) {
		text = plain
	}
	return fmt.Sprintf(`<%s?%s>; rel=%q`, u.EscapedPath(), text, rel)
}

func breaksHeader(r rune) bool { return r < ' ' || r == 0x7f || r == '<' || r == '>' || r == '"' }

package tree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// s3Page is a part of a listing: keys, or the folders that a delimiter makes of them.
type s3Page struct {
	objects   []Object // Name is the whole key
	prefixes  []string
	truncated bool
	token     string // of the next page
}

// errNoPage is that an answer is XML and no listing: an error, as a rule.
var errNoPage = errors.New("the answer is no listing")

// readPage reads a ListBucketResult. What the fast way does not understand goes
// the slow way: there is XML in the world that no store has been seen to send.
func readPage(text []byte) (s3Page, error) {
	if page, ok := readPageFast(text); ok {
		return page, nil
	}
	return readPageSlowly(text)
}

func readPageSlowly(text []byte) (s3Page, error) {
	var list struct {
		XMLName  xml.Name
		Contents []struct {
			Key          string
			LastModified string
			ETag         string
			Size         int64
		}
		CommonPrefixes        []struct{ Prefix string }
		IsTruncated           bool
		NextContinuationToken string
		EncodingType          string
	}
	if err := xml.Unmarshal(text, &list); err != nil {
		return s3Page{}, err
	}
	if list.XMLName.Local != "ListBucketResult" {
		return s3Page{}, errNoPage
	}
	page := s3Page{truncated: list.IsTruncated, token: list.NextContinuationToken}
	decode := keyDecoder(list.EncodingType)
	for _, o := range list.Contents {
		key, err := decode(o.Key)
		if err != nil {
			return s3Page{}, err
		}
		page.objects = append(page.objects, Object{Name: key, Size: o.Size, Modified: modified(o.LastModified), ETag: strings.Trim(o.ETag, `"`)})
	}
	for _, p := range list.CommonPrefixes {
		prefix, err := decode(p.Prefix)
		if err != nil {
			return s3Page{}, err
		}
		page.prefixes = append(page.prefixes, prefix)
	}
	return page, nil
}

// keyDecoder returns what makes keys of how they are sent.
func keyDecoder(encoding string) func(string) (string, error) {
	if encoding == "url" {
		return url.QueryUnescape
	}
	return func(key string) (string, error) { return key, nil }
}

// modified is zero for what is no time.
func modified(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.Truncate(time.Millisecond)
}

// readPageFast reads a listing as stores send it: elements without attributes, text,
// and the entities of XML. ok is false for anything else.
func readPageFast(text []byte) (page s3Page, ok bool) {
	r := pageReader{rest: text}
	if !r.begin() {
		return s3Page{}, false
	}
	encoded := false
	ok = r.each("ListBucketResult", func(name string, kind tagKind) bool {
		switch name {
		case "Contents":
			o, ok := r.object(kind)
			page.objects = append(page.objects, o)
			return ok
		case "CommonPrefixes":
			prefix, ok := r.prefix(kind)
			page.prefixes = append(page.prefixes, prefix)
			return ok
		}
		value, ok := r.value(name, kind)
		switch name {
		case "IsTruncated":
			page.truncated = string(value) == "true"
			ok = ok && (page.truncated || string(value) == "false")
		case "NextContinuationToken":
			page.token = string(value)
		case "EncodingType":
			encoded = string(value) == "url"
		}
		return ok
	})
	if !ok || len(bytes.TrimSpace(r.rest)) > 0 {
		return s3Page{}, false
	}
	return page, !encoded || page.decode() == nil
}

// decode makes keys of how they were sent.
func (p *s3Page) decode() error {
	for i := range p.objects {
		if err := decodeKey(&p.objects[i].Name); err != nil {
			return err
		}
	}
	for i := range p.prefixes {
		if err := decodeKey(&p.prefixes[i]); err != nil {
			return err
		}
	}
	return nil
}

func decodeKey(key *string) error {
	if !strings.ContainsAny(*key, "%+") {
		return nil
	}
	decoded, err := url.QueryUnescape(*key)
	*key = decoded
	return err
}

// pageReader goes through the text of a listing.
type pageReader struct {
	rest  []byte
	depth int // of elements in elements
}

// tagKind is what a tag does to its element.
type tagKind int

const (
	tagOpens tagKind = iota
	tagCloses
	tagIsAll // <Prefix/>
)

// begin goes behind the tag that opens a listing.
func (r *pageReader) begin() bool {
	r.rest = bytes.TrimSpace(r.rest)
	if bytes.HasPrefix(r.rest, []byte("<?xml ")) {
		_, rest, found := bytes.Cut(r.rest, []byte("?>"))
		if !found {
			return false
		}
		r.rest = bytes.TrimSpace(rest)
	}
	end := bytes.IndexByte(r.rest, '>')
	if end < 1 || r.rest[end-1] == '/' {
		return false
	}
	name, _, _ := bytes.Cut(r.rest[:end], []byte(" ")) // what follows is the namespace
	r.rest = r.rest[end+1:]
	return string(name) == "<ListBucketResult"
}

// tag goes behind the next tag, before which only blanks may be.
func (r *pageReader) tag() (name []byte, kind tagKind, ok bool) {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	end := bytes.IndexByte(r.rest, '>')
	if end < 2 || r.rest[0] != '<' {
		return nil, 0, false
	}
	name = r.rest[1:end]
	r.rest = r.rest[end+1:]
	switch {
	case name[0] == '/':
		name, kind = name[1:], tagCloses
	case name[len(name)-1] == '/':
		name, kind = name[:len(name)-1], tagIsAll
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return nil, 0, false
		}
	}
	return name, kind, len(name) > 0
}

// each calls do behind the first tag of each element in another, and goes behind the
// end of that.
func (r *pageReader) each(outer string, do func(name string, kind tagKind) bool) bool {
	const deepest = 10
	if r.depth++; r.depth > deepest {
		return false
	}
	defer func() { r.depth-- }()
	for {
		name, kind, ok := r.tag()
		if !ok {
			return false
		}
		if kind == tagCloses {
			return string(name) == outer
		}
		if !do(elementName(name), kind) {
			return false
		}
	}
}

// elementName spares the memory for the names that come a thousand times.
func elementName(name []byte) string {
	for _, known := range []string{"Contents", "Key", "LastModified", "ETag", "Size", "StorageClass", "CommonPrefixes", "Prefix"} {
		if string(name) == known {
			return known
		}
	}
	return string(name)
}

// value is the text of an element behind whose first tag we are; it goes behind the
// last one. An element with others in it has none.
func (r *pageReader) value(name string, kind tagKind) ([]byte, bool) {
	if kind == tagIsAll {
		return nil, true
	}
	end := bytes.IndexByte(r.rest, '<')
	if end < 0 {
		return nil, false
	}
	text := r.rest[:end]
	r.rest = r.rest[end:]
	before := r.rest
	next, kind, ok := r.tag()
	switch {
	case !ok:
		return nil, false
	case kind == tagCloses:
		if string(next) != name {
			return nil, false
		}
		return unescape(text)
	default: // an owner, a list of algorithms
		r.rest = before
		return nil, len(bytes.TrimSpace(text)) == 0 && r.each(name, r.skip)
	}
}

func (r *pageReader) skip(name string, kind tagKind) bool {
	_, ok := r.value(name, kind)
	return ok
}

func (r *pageReader) object(kind tagKind) (o Object, ok bool) {
	o.Size = -1
	ok = kind == tagOpens && r.each("Contents", func(name string, kind tagKind) bool {
		value, ok := r.value(name, kind)
		switch name {
		case "Key":
			o.Name = string(value)
		case "LastModified":
			o.Modified = modified(string(value))
		case "ETag":
			o.ETag = string(bytes.Trim(value, `"`))
		case "Size":
			size, err := strconv.ParseInt(string(value), 10, 64)
			ok = ok && err == nil && size >= 0
			o.Size = size
		}
		return ok
	})
	return o, ok && o.Size >= 0
}

func (r *pageReader) prefix(kind tagKind) (prefix string, ok bool) {
	ok = kind == tagOpens && r.each("CommonPrefixes", func(name string, kind tagKind) bool {
		value, ok := r.value(name, kind)
		if name == "Prefix" {
			prefix = string(value)
		}
		return ok
	})
	return prefix, ok
}

// unescape replaces the entities of XML.
func unescape(text []byte) ([]byte, bool) {
	if bytes.IndexByte(text, '\r') >= 0 {
		return nil, false // XML makes something else of it
	}
	if bytes.IndexByte(text, '&') < 0 {
		return text, true
	}
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		at := bytes.IndexByte(text, '&')
		if at < 0 {
			return append(plain, text...), true
		}
		end := bytes.IndexByte(text, ';')
		if end < at {
			return nil, false
		}
		plain = append(plain, text[:at]...)
		switch string(text[at+1 : end]) {
		case "quot", "#34", "#x22":
			plain = append(plain, '"')
		case "amp", "#38":
			plain = append(plain, '&')
		case "apos", "#39":
			plain = append(plain, '\'')
		case "lt":
			plain = append(plain, '<')
		case "gt":
			plain = append(plain, '>')
		default:
			return nil, false
		}
		text = text[end+1:]
	}
	return plain, true
}
